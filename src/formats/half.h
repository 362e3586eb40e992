// The two 16-bit float formats as bits: IEEE half (f16) and bfloat16 (bf16). Rounding is to
// nearest, ties to even.
#pragma once

#include <bit>
#include <cstdint>

namespace dlm {

// Exact; a NaN keeps its payload's upper bits.
inline float half_to_f32(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000U) << 16;
  const uint32_t rest = half & 0x7fffU;
  if (rest >= 0x7c00U) return std::bit_cast<float>(sign | 0x7f800000U | (rest & 0x3ffU) << 13);
  if (rest >= 0x400U) return std::bit_cast<float>(sign | ((rest << 13) + (112U << 23)));
  // Subnormal: rest units of 2^-24.
  const float size = static_cast<float>(rest) * 5.9604644775390625e-8f;
  return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(size));
}

// Beyond the largest half: infinity. NaN becomes the quiet NaN of its sign.
inline uint16_t f32_to_half(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = bits >> 16 & 0x8000U;
  const uint32_t size = bits & 0x7fffffffU;
  if (size > 0x7f800000U) return static_cast<uint16_t>(sign | 0x7e00U);
  if (size >= 0x477ff000U) return static_cast<uint16_t>(sign | 0x7c00U);  // rounds to 65536 or more
  if (size >= 0x38800000U) {
    const uint32_t rebased = size - (112U << 23);
    return static_cast<uint16_t>(sign | (rebased + 0xfffU + (rebased >> 13 & 1U)) >> 13);
  }
  // Subnormal: in f32 the units of 0.5 are 2^-24, so this sum rounds to units of a half.
  const float sum = std::bit_cast<float>(size) + 0.5f;
  return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(sum) - 0x3f000000U));
}

inline float bf16_to_f32(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

// NaN stays NaN.
inline uint16_t f32_to_bf16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffffU) > 0x7f800000U) return static_cast<uint16_t>(bits >> 16 | 0x40U);
  return static_cast<uint16_t>((bits + 0x7fffU + (bits >> 16 & 1U)) >> 16);
}

}  // namespace dlm
