#include "formats/ggml_blocks.h"

#include <cstring>

#include "formats/ggml_row_codecs.h"
#include "formats/half.h"
#include "support/error.h"

namespace dlm {

namespace {

bool half_is_finite(uint16_t half) {
  return (half & 0x7c00U) != 0x7c00U;
}

template <class Block>
bool is_finite(const Block& block) {
  return half_is_finite(block.scale);
}
template <class Block>
requires requires(Block block) {
  block.minimum;
}
bool is_finite(const Block& block) {
  return half_is_finite(block.scale) && half_is_finite(block.minimum);
}

// Calls body with a null pointer of the block type, unless the type is one of single numbers.
template <class Body>
bool with_block_type(GgmlType type, const Body& body) {
  switch (type) {
    case GgmlType::kQ4_0:
      body(static_cast<ggml::BlockQ4_0*>(nullptr));
      return true;
    case GgmlType::kQ4_1:
      body(static_cast<ggml::BlockQ4_1*>(nullptr));
      return true;
    case GgmlType::kQ5_0:
      body(static_cast<ggml::BlockQ5_0*>(nullptr));
      return true;
    case GgmlType::kQ5_1:
      body(static_cast<ggml::BlockQ5_1*>(nullptr));
      return true;
    case GgmlType::kQ8_0:
      body(static_cast<ggml::BlockQ8_0*>(nullptr));
      return true;
    case GgmlType::kQ4_K:
      body(static_cast<ggml::BlockQ4_K*>(nullptr));
      return true;
    case GgmlType::kQ5_K:
      body(static_cast<ggml::BlockQ5_K*>(nullptr));
      return true;
    case GgmlType::kQ6_K:
      body(static_cast<ggml::BlockQ6_K*>(nullptr));
      return true;
    case GgmlType::kF32:
    case GgmlType::kF16:
    case GgmlType::kBF16:
    case GgmlType::kI32:
      return false;
  }
  return false;
}

uint16_t load_u16(const std::byte* p) {
  uint16_t bits;
  std::memcpy(&bits, p, sizeof(bits));
  return bits;
}

[[noreturn]] void not_a_weight_type() {
  throw Error(ErrorKind::kInternal, "rows of integers have no numbers to quantize or decode");
}

}  // namespace

void ggml_quantize_row(GgmlType type, const float* row, int64_t elements, const float* importance,
                       std::byte* out) {
  if (with_block_type(type, [&](auto* block) {
        ggml::quantize(row, elements, importance, reinterpret_cast<decltype(block)>(out));
      })) {
    return;
  }
  if (type == GgmlType::kF32) {
    std::memcpy(out, row, static_cast<size_t>(elements) * sizeof(float));
    return;
  }
  if (type == GgmlType::kI32) not_a_weight_type();
  for (int64_t i = 0; i < elements; ++i) {
    const uint16_t bits = type == GgmlType::kF16 ? f32_to_half(row[i]) : f32_to_bf16(row[i]);
    std::memcpy(out + 2 * i, &bits, sizeof(bits));
  }
}

void ggml_dequantize_row(GgmlType type, const std::byte* row, int64_t elements, float* out) {
  const int64_t size = ggml_traits(type).block_elements;
  if (with_block_type(type, [&](auto* block) {
        const auto* blocks = reinterpret_cast<decltype(block)>(const_cast<std::byte*>(row));
        for (int64_t i = 0; i < elements; i += size) ggml::dequantize(blocks[i / size], out + i);
      })) {
    return;
  }
  if (type == GgmlType::kF32) {
    std::memcpy(out, row, static_cast<size_t>(elements) * sizeof(float));
    return;
  }
  if (type == GgmlType::kI32) not_a_weight_type();
  for (int64_t i = 0; i < elements; ++i) {
    const uint16_t bits = load_u16(row + 2 * i);
    out[i] = type == GgmlType::kF16 ? half_to_f32(bits) : bf16_to_f32(bits);
  }
}

bool ggml_row_is_finite(GgmlType type, const std::byte* row, int64_t elements) {
  bool result = true;
  const int64_t size = ggml_traits(type).block_elements;
  if (with_block_type(type, [&](auto* block) {
        const auto* blocks = reinterpret_cast<decltype(block)>(const_cast<std::byte*>(row));
        for (int64_t i = 0; i < elements / size; ++i) result = result && is_finite(blocks[i]);
      })) {
    return result;
  }
  // Of single numbers: the exponent is not all ones.
  for (int64_t i = 0; i < elements; ++i) {
    if (type == GgmlType::kF32) {
      uint32_t bits;
      std::memcpy(&bits, row + 4 * i, sizeof(bits));
      result = result && (bits & 0x7f800000U) != 0x7f800000U;
    } else if (type == GgmlType::kF16) {
      result = result && half_is_finite(load_u16(row + 2 * i));
    } else if (type == GgmlType::kBF16) {
      result = result && (load_u16(row + 2 * i) & 0x7f80U) != 0x7f80U;
    }
  }
  return result;
}

}  // namespace dlm
