// Q4_0, Q4_1, Q5_0, Q5_1 and Q8_0: blocks of 32 with one scale.
#include <algorithm>
#include <cmath>

#include "formats/ggml_row_codecs.h"
#include "formats/ggml_scale_search.h"
#include "formats/half.h"

namespace dlm::ggml {

namespace {

// The low byte of v cut to an integer; 0 where v is beyond integers, as with a scale so small that
// its reciprocal is infinite.
uint8_t truncated_byte(float v) {
  if (!(std::fabs(v) < 2147483648.0f)) return 0;
  return static_cast<uint8_t>(static_cast<int32_t>(v));
}

template <class Block>
void pack_nibbles(const uint8_t* codes, Block& block) {
  for (int j = 0; j < 16; ++j) {
    block.codes[j] = static_cast<uint8_t>((codes[j] & 15) | (codes[j + 16] & 15) << 4);
  }
}

template <class Block>
void pack_high_bits(const uint8_t* codes, Block& block) {
  uint32_t high = 0;
  for (int j = 0; j < kBlock; ++j) high |= static_cast<uint32_t>(codes[j] >> 4 & 1) << j;
  block.high = high;
}

template <class Block>
uint8_t code_of(const Block& block, int j) {
  return j < 16 ? block.codes[j] & 15 : block.codes[j - 16] >> 4;
}
template <class Block>
uint8_t high_of(const Block& block, int j) {
  return static_cast<uint8_t>((block.high >> j & 1U) << 4);
}

float reciprocal(float v) {
  return v != 0 ? 1 / v : 0.0f;
}

// Scale from the number of the largest magnitude, which gets the code 0; codes 0 to 2 levels - 1.
float symmetric_codes(const float* x, int levels, uint8_t* codes) {
  float magnitude = 0, largest = 0;
  for (int j = 0; j < kBlock; ++j) {
    if (std::fabs(x[j]) > magnitude) {
      magnitude = std::fabs(x[j]);
      largest = x[j];
    }
  }
  const float scale = largest / -static_cast<float>(levels);
  const float inverse = reciprocal(scale);
  for (int j = 0; j < kBlock; ++j) {
    const int8_t code =
        static_cast<int8_t>(truncated_byte(x[j] * inverse + (static_cast<float>(levels) + 0.5f)));
    codes[j] = static_cast<uint8_t>(std::min<int>(code, 2 * levels - 1));
  }
  return scale;
}

// Scale and minimum from the range; codes 0 to `most`.
ScaleAndMinimum range_codes(const float* x, int most, uint8_t* codes) {
  float low = x[0], high = x[0];
  for (int j = 1; j < kBlock; ++j) {
    if (x[j] < low) low = x[j];
    if (x[j] > high) high = x[j];
  }
  const float scale = (high - low) / static_cast<float>(most);
  const float inverse = reciprocal(scale);
  for (int j = 0; j < kBlock; ++j) codes[j] = truncated_byte((x[j] - low) * inverse + 0.5f);
  return {scale, -low};
}

// What the squared errors of one block weigh: importance times the square root of the row's mean
// square plus the number's own.
class ErrorWeights {
 public:
  ErrorWeights(const float* x, int64_t elements, const float* importance)
      : importance_(importance) {
    float sum = 0;
    for (int64_t i = 0; i < elements; ++i) sum += x[i] * x[i];
    mean_square_ = sum / static_cast<float>(elements);
  }
  const float* of_block(const float* x, int64_t first) {
    for (int j = 0; j < kBlock; ++j) {
      const float value = x[first + j];
      weights_[j] = importance_[first + j] * std::sqrt(mean_square_ + value * value);
    }
    return weights_;
  }

 private:
  const float* importance_;
  float mean_square_;
  float weights_[kBlock];
};

// Calls write(block, x of it, its weights or null) for each block of the row.
template <class Block, class Write>
void for_each_block(const float* x, int64_t elements, const float* importance, Block* out,
                    const Write& write) {
  if (importance == nullptr) {
    for (int64_t i = 0; i < elements; i += kBlock) write(*out++, x + i, nullptr);
    return;
  }
  ErrorWeights weights(x, elements, importance);
  for (int64_t i = 0; i < elements; i += kBlock) write(*out++, x + i, weights.of_block(x, i));
}

}  // namespace

void quantize(const float* row, int64_t elements, const float* importance, BlockQ4_0* out) {
  for_each_block(
      row, elements, importance, out, [](BlockQ4_0& block, const float* x, const float* weights) {
        uint8_t codes[kBlock];
        const float scale = weights != nullptr ? search_symmetric(kBlock, 8, x, weights, codes)
                                               : symmetric_codes(x, 8, codes);
        block.scale = f32_to_half(scale);
        pack_nibbles(codes, block);
      });
}

void quantize(const float* row, int64_t elements, const float* importance, BlockQ5_0* out) {
  for_each_block(
      row, elements, importance, out, [](BlockQ5_0& block, const float* x, const float* weights) {
        uint8_t codes[kBlock];
        const float scale = weights != nullptr ? search_symmetric(kBlock, 16, x, weights, codes)
                                               : symmetric_codes(x, 16, codes);
        block.scale = f32_to_half(scale);
        pack_nibbles(codes, block);
        pack_high_bits(codes, block);
      });
}

void quantize(const float* row, int64_t elements, const float* importance, BlockQ4_1* out) {
  for_each_block(row, elements, importance, out,
                 [](BlockQ4_1& block, const float* x, const float* weights) {
                   uint8_t codes[kBlock];
                   ScaleAndMinimum fit;
                   if (weights != nullptr) {
                     fit = search_affine(kBlock, 15, x, weights, kGridWeighted, codes);
                   } else {
                     fit = range_codes(x, 15, codes);
                     for (uint8_t& code : codes) {
                       code = static_cast<uint8_t>(std::min<int>(static_cast<int8_t>(code), 15));
                     }
                   }
                   block.scale = f32_to_half(fit.scale);
                   block.minimum = f32_to_half(-fit.minimum);
                   pack_nibbles(codes, block);
                 });
}

void quantize(const float* row, int64_t elements, const float* importance, BlockQ5_1* out) {
  for_each_block(
      row, elements, importance, out, [](BlockQ5_1& block, const float* x, const float* weights) {
        uint8_t codes[kBlock];
        const ScaleAndMinimum fit =
            weights != nullptr ? search_affine(kBlock, 31, x, weights, kGridWeighted, codes)
                               : range_codes(x, 31, codes);
        block.scale = f32_to_half(fit.scale);
        block.minimum = f32_to_half(-fit.minimum);
        pack_nibbles(codes, block);
        pack_high_bits(codes, block);
      });
}

void quantize(const float* row, int64_t elements, const float*, BlockQ8_0* out) {
  for (int64_t first = 0; first < elements; first += kBlock) {
    const float* x = row + first;
    float magnitude = 0;
    for (int j = 0; j < kBlock; ++j) {
      if (std::fabs(x[j]) > magnitude) magnitude = std::fabs(x[j]);
    }
    const float scale = magnitude / 127.0f;
    const float inverse = reciprocal(scale);
    BlockQ8_0& block = *out++;
    block.scale = f32_to_half(scale);
    for (int j = 0; j < kBlock; ++j) {
      block.codes[j] = static_cast<int8_t>(truncated_byte(std::round(x[j] * inverse)));
    }
  }
}

void dequantize(const BlockQ4_0& block, float* y) {
  const float scale = half_to_f32(block.scale);
  for (int j = 0; j < kBlock; ++j) y[j] = static_cast<float>(code_of(block, j) - 8) * scale;
}

void dequantize(const BlockQ4_1& block, float* y) {
  const float scale = half_to_f32(block.scale), minimum = half_to_f32(block.minimum);
  for (int j = 0; j < kBlock; ++j) y[j] = static_cast<float>(code_of(block, j)) * scale + minimum;
}

void dequantize(const BlockQ5_0& block, float* y) {
  const float scale = half_to_f32(block.scale);
  for (int j = 0; j < kBlock; ++j) {
    y[j] = static_cast<float>((code_of(block, j) | high_of(block, j)) - 16) * scale;
  }
}

void dequantize(const BlockQ5_1& block, float* y) {
  const float scale = half_to_f32(block.scale), minimum = half_to_f32(block.minimum);
  for (int j = 0; j < kBlock; ++j) {
    y[j] = static_cast<float>(code_of(block, j) | high_of(block, j)) * scale + minimum;
  }
}

void dequantize(const BlockQ8_0& block, float* y) {
  const float scale = half_to_f32(block.scale);
  for (int j = 0; j < kBlock; ++j) y[j] = static_cast<float>(block.codes[j]) * scale;
}

}  // namespace dlm::ggml
