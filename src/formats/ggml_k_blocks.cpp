// Q4_K, Q5_K and Q6_K: super-blocks of 256 whose sub-blocks have quantized scales of their own.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "formats/ggml_row_codecs.h"
#include "formats/ggml_scale_search.h"
#include "formats/half.h"

namespace dlm::ggml {

namespace {

constexpr int kSubBlocks = kSuperBlock / kBlock;
constexpr int kMostScale = 63;  // of six bits

// What 256 numbers become before their codes are packed.
struct AffineFit {
  float scale[kSubBlocks], minimum[kSubBlocks];
  uint16_t block_scale, block_minimum;  // halves
  uint8_t packed[12];
  uint8_t codes[kSuperBlock];
};

// Scales of the sub-blocks, all by the same factor.
uint8_t scale_code(float value, float inverse) {
  const uint8_t code = static_cast<uint8_t>(nearest_int(inverse * value));
  return std::min<uint8_t>(kMostScale, code);
}

void fit_without_importance(const float* x, int most, const GridSearch& grid, AffineFit& fit) {
  float largest_scale = 0, largest_minimum = 0;
  for (int j = 0; j < kSubBlocks; ++j) {
    const float* part = x + j * kBlock;
    float sum = 0;
    for (int l = 0; l < kBlock; ++l) sum += part[l] * part[l];
    const float mean = std::sqrt(sum / static_cast<float>(kBlock));
    float weights[kBlock];
    for (int l = 0; l < kBlock; ++l) weights[l] = mean + std::fabs(part[l]);
    const ScaleAndMinimum found =
        search_affine(kBlock, most, part, weights, grid, fit.codes + j * kBlock);
    fit.scale[j] = found.scale;
    fit.minimum[j] = found.minimum;
    if (found.scale > largest_scale) largest_scale = found.scale;
    if (found.minimum > largest_minimum) largest_minimum = found.minimum;
  }
  const float inverse_scale = largest_scale > 0 ? 63.0f / largest_scale : 0.0f;
  const float inverse_minimum = largest_minimum > 0 ? 63.0f / largest_minimum : 0.0f;
  for (int j = 0; j < kSubBlocks; ++j) {
    pack_scale_pair(
        {scale_code(fit.scale[j], inverse_scale), scale_code(fit.minimum[j], inverse_minimum)}, j,
        fit.packed);
  }
  fit.block_scale = f32_to_half(largest_scale / 63.0f);
  fit.block_minimum = f32_to_half(largest_minimum / 63.0f);
}

void fit_with_importance(const float* x, const float* importance, int most, AffineFit& fit) {
  float sum = 0;
  for (int l = 0; l < kSuperBlock; ++l) sum += x[l] * x[l];
  const float variance = 2 * sum / static_cast<float>(kSuperBlock);
  float total_weight[kSubBlocks];
  for (int j = 0; j < kSubBlocks; ++j) {
    const float* part = x + j * kBlock;
    float weights[kBlock];
    total_weight[j] = 0;
    for (int l = 0; l < kBlock; ++l) {
      weights[l] = importance[j * kBlock + l] * std::sqrt(variance + part[l] * part[l]);
      total_weight[j] += weights[l];
    }
    const ScaleAndMinimum found =
        search_affine(kBlock, most, part, weights, kGridWeighted, fit.codes + j * kBlock);
    fit.scale[j] = found.scale;
    fit.minimum[j] = found.minimum;
  }
  uint8_t scales[kSubBlocks], minimums[kSubBlocks];
  const float scale = search_positive(kSubBlocks, kMostScale, fit.scale, total_weight, scales);
  const float minimum =
      search_positive(kSubBlocks, kMostScale, fit.minimum, total_weight, minimums);
  for (int j = 0; j < kSubBlocks; ++j) {
    pack_scale_pair(
        {std::min<uint8_t>(kMostScale, scales[j]), std::min<uint8_t>(kMostScale, minimums[j])}, j,
        fit.packed);
  }
  fit.block_scale = f32_to_half(scale);
  fit.block_minimum = f32_to_half(minimum);
}

// Codes for the scales as they were stored; where one was stored as zero the search's codes stay.
void requantize(const float* x, int most, AffineFit& fit) {
  for (int j = 0; j < kSubBlocks; ++j) {
    const ScalePair pair = scale_pair(fit.packed, j);
    const float scale = half_to_f32(fit.block_scale) * static_cast<float>(pair.scale);
    if (scale == 0) continue;
    const float minimum = half_to_f32(fit.block_minimum) * static_cast<float>(pair.minimum);
    for (int l = 0; l < kBlock; ++l) {
      const int i = j * kBlock + l;
      fit.codes[i] =
          static_cast<uint8_t>(clamp_int(nearest_int((x[i] + minimum) / scale), 0, most));
    }
  }
}

template <class Block>
void write_affine(const float* x, const float* importance, int most, const GridSearch& grid,
                  AffineFit& fit, Block& block) {
  std::memset(fit.packed, 0, sizeof(fit.packed));
  if (importance == nullptr) {
    fit_without_importance(x, most, grid, fit);
  } else {
    fit_with_importance(x, importance, most, fit);
  }
  requantize(x, most, fit);
  block.scale = fit.block_scale;
  block.minimum = fit.block_minimum;
  std::memcpy(block.scales, fit.packed, sizeof(block.scales));
  for (int i = 0; i < kSuperBlock; i += 2 * kBlock) {
    for (int l = 0; l < kBlock; ++l) {
      block.codes[i / 2 + l] =
          static_cast<uint8_t>((fit.codes[i + l] & 15) | (fit.codes[i + kBlock + l] & 15) << 4);
    }
  }
}

template <class Block, class Code>
void dequantize_affine(const Block& block, const Code& code, float* y) {
  const float scale = half_to_f32(block.scale), minimum = half_to_f32(block.minimum);
  for (int j = 0; j < kSubBlocks; ++j) {
    const ScalePair pair = scale_pair(block.scales, j);
    const float d = scale * static_cast<float>(pair.scale);
    const float m = minimum * static_cast<float>(pair.minimum);
    for (int l = 0; l < kBlock; ++l) y[j * kBlock + l] = d * static_cast<float>(code(j, l)) - m;
  }
}

int nibble(const uint8_t* codes, int j, int l) {
  const uint8_t byte = codes[j / 2 * kBlock + l];
  return j % 2 == 0 ? byte & 15 : byte >> 4;
}

}  // namespace

void quantize(const float* x, int64_t elements, const float* importance, BlockQ4_K* out) {
  AffineFit fit;
  for (int64_t i = 0; i < elements; i += kSuperBlock) {
    write_affine(x + i, importance == nullptr ? nullptr : importance + i, 15, kGridQ4_K, fit,
                 *out++);
  }
}

void quantize(const float* x, int64_t elements, const float* importance, BlockQ5_K* out) {
  AffineFit fit;
  for (int64_t i = 0; i < elements; i += kSuperBlock) {
    BlockQ5_K& block = *out++;
    write_affine(x + i, importance == nullptr ? nullptr : importance + i, 31, kGridQ5_K, fit,
                 block);
    std::memset(block.high, 0, sizeof(block.high));
    for (int k = 0; k < kSuperBlock; ++k) {
      uint8_t& high = block.high[k % kBlock];
      high = static_cast<uint8_t>(high | (fit.codes[k] >> 4) << (k / kBlock));
    }
  }
}

void quantize(const float* row, int64_t elements, const float* importance, BlockQ6_K* out) {
  constexpr int kPart = 16;
  for (int64_t first = 0; first < elements; first += kSuperBlock) {
    const float* x = row + first;
    BlockQ6_K& block = *out++;
    uint8_t codes[kSuperBlock];
    float scales[kSuperBlock / kPart];
    float largest = 0, magnitude = 0;
    for (int j = 0; j < kSuperBlock / kPart; ++j) {
      const float* weights = importance == nullptr ? nullptr : importance + first + j * kPart;
      scales[j] = search_symmetric(kPart, 32, x + j * kPart, weights, codes + j * kPart);
      if (std::fabs(scales[j]) > magnitude) {
        magnitude = std::fabs(scales[j]);
        largest = scales[j];
      }
    }
    if (magnitude < kAllZero) {
      std::memset(&block, 0, sizeof(block));
      continue;
    }
    const float inverse = -128.0f / largest;
    block.scale = f32_to_half(1 / inverse);
    for (int j = 0; j < kSuperBlock / kPart; ++j) {
      block.scales[j] = static_cast<int8_t>(std::min(127, nearest_int(inverse * scales[j])));
      const float scale = half_to_f32(block.scale) * static_cast<float>(block.scales[j]);
      if (scale == 0) continue;
      for (int i = j * kPart; i < (j + 1) * kPart; ++i) {
        codes[i] = static_cast<uint8_t>(clamp_int(nearest_int(x[i] / scale), -32, 31) + 32);
      }
    }
    for (int half = 0; half < 2; ++half) {
      const uint8_t* l = codes + 128 * half;
      for (int k = 0; k < 32; ++k) {
        block.low[64 * half + k] = static_cast<uint8_t>((l[k] & 15) | (l[k + 64] & 15) << 4);
        block.low[64 * half + 32 + k] =
            static_cast<uint8_t>((l[k + 32] & 15) | (l[k + 96] & 15) << 4);
        block.high[32 * half + k] = static_cast<uint8_t>(l[k] >> 4 | l[k + 32] >> 4 << 2 |
                                                         l[k + 64] >> 4 << 4 | l[k + 96] >> 4 << 6);
      }
    }
  }
}

void dequantize(const BlockQ4_K& block, float* y) {
  dequantize_affine(
      block, [&](int j, int l) { return nibble(block.codes, j, l); }, y);
}

void dequantize(const BlockQ5_K& block, float* y) {
  dequantize_affine(
      block,
      [&](int j, int l) { return nibble(block.codes, j, l) | (block.high[l] >> j & 1) << 4; }, y);
}

void dequantize(const BlockQ6_K& block, float* y) {
  const float scale = half_to_f32(block.scale);
  for (int i = 0; i < kSuperBlock; ++i) {
    const int half = i / 128, k = i % 32, quarter = i % 128 / 32;
    const uint8_t low = block.low[64 * half + quarter % 2 * 32 + k];
    const int code =
        (quarter < 2 ? low & 15 : low >> 4) | (block.high[32 * half + k] >> 2 * quarter & 3) << 4;
    y[i] = scale * static_cast<float>(block.scales[i / 16]) * static_cast<float>(code - 32);
  }
}

}  // namespace dlm::ggml
