// The blocks of quantized weights, byte for byte as GGUF files hold them. Halves are bits (half.h);
// files and this program's machines are little endian.
#pragma once

#include <cstdint>

namespace dlm::ggml {

inline constexpr int kBlock = 32;        // elements of a simple block, and of a sub-block of Q4_K
inline constexpr int kSuperBlock = 256;  // elements of a K block

#pragma pack(push, 1)

// Codes of simple blocks: the low nibble of byte j is of element j, the high one of element j + 16;
// bit j of `high` is the fifth bit of element j.
struct BlockQ4_0 {
  uint16_t scale;
  uint8_t codes[16];
};
struct BlockQ4_1 {
  uint16_t scale, minimum;
  uint8_t codes[16];
};
struct BlockQ5_0 {
  uint16_t scale;
  uint32_t high;
  uint8_t codes[16];
};
struct BlockQ5_1 {
  uint16_t scale, minimum;
  uint32_t high;
  uint8_t codes[16];
};
struct BlockQ8_0 {
  uint16_t scale;
  int8_t codes[32];
};

// Eight sub-blocks of 32 with a 6-bit scale and a 6-bit minimum each (pack_scale_pair). Nibbles lie
// in four groups of 64 elements: byte 32 g + l holds element 64 g + l and, above it, 64 g + 32 + l.
struct BlockQ4_K {
  uint16_t scale, minimum;
  uint8_t scales[12];
  uint8_t codes[128];
};
// As Q4_K; bits 2 g and 2 g + 1 of high[l] are the fifth bits of elements 64 g + l and
// 64 g + 32 + l.
struct BlockQ5_K {
  uint16_t scale, minimum;
  uint8_t scales[12];
  uint8_t high[32];
  uint8_t codes[128];
};
// Sixteen sub-blocks of 16 with an 8-bit scale each, in two halves of 128 elements: with codes L of
// a half, low[l] is L[l] and L[l + 64], low[l + 32] is L[l + 32] and L[l + 96], and two bits each
// of high[l] are of L[l], L[l + 32], L[l + 64], L[l + 96].
struct BlockQ6_K {
  uint8_t low[128];
  uint8_t high[64];
  int8_t scales[16];
  uint16_t scale;
};

#pragma pack(pop)

static_assert(sizeof(BlockQ4_0) == 18 && sizeof(BlockQ4_1) == 20 && sizeof(BlockQ5_0) == 22);
static_assert(sizeof(BlockQ5_1) == 24 && sizeof(BlockQ8_0) == 34 && sizeof(BlockQ4_K) == 144);
static_assert(sizeof(BlockQ5_K) == 176 && sizeof(BlockQ6_K) == 210);

// Scale and minimum, 0 to 63, of sub-block j of eight in the 12 bytes of Q4_K and Q5_K: the first
// four in the low six bits of bytes j and 4 + j; of the others the low four bits are in byte 8 + (j
// - 4) and the upper two in the top bits of the first four's bytes.
struct ScalePair {
  uint8_t scale, minimum;
};

inline ScalePair scale_pair(const uint8_t* scales, int j) {
  if (j < 4) {
    return {static_cast<uint8_t>(scales[j] & 63), static_cast<uint8_t>(scales[j + 4] & 63)};
  }
  return {static_cast<uint8_t>((scales[j + 4] & 15) | scales[j - 4] >> 6 << 4),
          static_cast<uint8_t>(scales[j + 4] >> 4 | scales[j] >> 6 << 4)};
}

// Into 12 bytes that start as zeros.
inline void pack_scale_pair(ScalePair pair, int j, uint8_t* scales) {
  if (j < 4) {
    scales[j] = static_cast<uint8_t>(scales[j] | pair.scale);
    scales[j + 4] = static_cast<uint8_t>(scales[j + 4] | pair.minimum);
    return;
  }
  scales[j + 4] = static_cast<uint8_t>((pair.scale & 15) | (pair.minimum & 15) << 4);
  scales[j - 4] = static_cast<uint8_t>(scales[j - 4] | pair.scale >> 4 << 6);
  scales[j] = static_cast<uint8_t>(scales[j] | pair.minimum >> 4 << 6);
}

}  // namespace dlm::ggml
