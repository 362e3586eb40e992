// Tiles of bf16 numbers as TDPBF16PS takes them, packed with AVX-512; private to the AMX products
// and compiled with their flags.
#pragma once

#include <immintrin.h>

#include <algorithm>
#include <cstdint>
#include <memory>

#include "engine/tensor.h"

namespace dlm::amx {

inline constexpr int64_t kLines = 16;  // lines of a tile
inline constexpr int64_t kPairs = 16;  // pairs of k in a line of 64 bytes
inline constexpr int64_t kDepth = 32;  // k of one tile
inline constexpr int64_t kPanel = 32;  // columns of B that are packed together: two tiles
inline constexpr int64_t kTile = kLines * kDepth;
inline constexpr int64_t kBlock = 2 * kLines;  // lines of C that are summed together
inline constexpr int64_t kStep = 2 * kTile;    // numbers of a block or a panel for 32 k

// Tiles that `depth` k take.
inline int64_t steps_of(int64_t depth) {
  return (depth + kDepth - 1) / kDepth;
}

// A 16 x 16 matrix of 32-bit units, transposed.
inline void transpose(__m512i x[16]) {
  __m512i y[16];
  for (int i = 0; i < 16; i += 2) {
    y[i] = _mm512_unpacklo_epi32(x[i], x[i + 1]);
    y[i + 1] = _mm512_unpackhi_epi32(x[i], x[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    x[i] = _mm512_unpacklo_epi64(y[i], y[i + 2]);
    x[i + 1] = _mm512_unpackhi_epi64(y[i], y[i + 2]);
    x[i + 2] = _mm512_unpacklo_epi64(y[i + 1], y[i + 3]);
    x[i + 3] = _mm512_unpackhi_epi64(y[i + 1], y[i + 3]);
  }
  for (int i = 0; i < 4; ++i) {
    y[i] = _mm512_shuffle_i32x4(x[i], x[i + 4], 0x88);
    y[i + 4] = _mm512_shuffle_i32x4(x[i], x[i + 4], 0xdd);
    y[i + 8] = _mm512_shuffle_i32x4(x[i + 8], x[i + 12], 0x88);
    y[i + 12] = _mm512_shuffle_i32x4(x[i + 8], x[i + 12], 0xdd);
  }
  for (int i = 0; i < 4; ++i) {
    x[i] = _mm512_shuffle_i32x4(y[i], y[i + 8], 0x88);
    x[i + 4] = _mm512_shuffle_i32x4(y[i + 4], y[i + 12], 0x88);
    x[i + 8] = _mm512_shuffle_i32x4(y[i], y[i + 8], 0xdd);
    x[i + 12] = _mm512_shuffle_i32x4(y[i + 4], y[i + 12], 0xdd);
  }
}

// The first `count` numbers of a line of up to 32, zeros after them.
inline __m512i load_line(const BF16* from, int64_t count) {
  if (count >= 32) return _mm512_loadu_si512(from);
  if (count <= 0) return _mm512_setzero_si512();
  return _mm512_maskz_loadu_epi16((1U << count) - 1, from);
}

// Lines r0 and r1 of 32 numbers as pairs (r0[i], r1[i]): of the lower and of the upper 16.
struct PairOrder {
  __m512i lower;
  __m512i upper;
  PairOrder() {
    alignas(64) uint16_t order[2][32];
    for (uint16_t i = 0; i < 16; ++i) {
      order[0][2 * i] = i;
      order[0][2 * i + 1] = static_cast<uint16_t>(i + 32);
      order[1][2 * i] = static_cast<uint16_t>(i + 16);
      order[1][2 * i + 1] = static_cast<uint16_t>(i + 48);
    }
    lower = _mm512_load_si512(order[0]);
    upper = _mm512_load_si512(order[1]);
  }
};

// 16 lines of x[count, depth] (dense in k), for a tile of A.
inline void pack_lines(const BF16* x, int64_t ld, int64_t count, int64_t depth, BF16* to) {
  for (int64_t i = 0; i < kLines; ++i) {
    _mm512_store_si512(to + i * kDepth,
                       i < count ? load_line(x + i * ld, depth) : _mm512_setzero_si512());
  }
}

// The same from x stored [depth, count].
inline void pack_lines_transposed(const BF16* x, int64_t ld, int64_t count, int64_t depth,
                                  const PairOrder& order, BF16* to) {
  __m512i pairs[kPairs];
  for (int64_t p = 0; p < kPairs; ++p) {
    const __m512i even = load_line(x + 2 * p * ld, 2 * p < depth ? std::min(count, kLines) : 0);
    const __m512i odd =
        load_line(x + (2 * p + 1) * ld, 2 * p + 1 < depth ? std::min(count, kLines) : 0);
    pairs[p] = _mm512_permutex2var_epi16(even, order.lower, odd);
  }
  transpose(pairs);
  for (int64_t i = 0; i < kLines; ++i) _mm512_store_si512(to + i * kDepth, pairs[i]);
}

// Columns [0, count) of B stored [n, k], k in [0, depth), as the two tiles of a panel's step.
inline void pack_columns_transposed(const BF16* b, int64_t ld, int64_t count, int64_t depth,
                                    BF16* to) {
  for (int64_t half = 0; half < kPanel; half += kLines) {
    __m512i lines[kLines];
    for (int64_t i = 0; i < kLines; ++i) {
      lines[i] = half + i < count ? load_line(b + (half + i) * ld, depth) : _mm512_setzero_si512();
    }
    transpose(lines);
    for (int64_t p = 0; p < kPairs; ++p) {
      _mm512_store_si512(to + half * kDepth + p * kDepth, lines[p]);
    }
  }
}

// Two lines of k, 32 columns each, as a line of either tile of a panel's step.
inline void store_pairs(__m512i even, __m512i odd, const PairOrder& order, BF16* to) {
  _mm512_store_si512(to, _mm512_permutex2var_epi16(even, order.lower, odd));
  _mm512_store_si512(to + kTile, _mm512_permutex2var_epi16(even, order.upper, odd));
}

// The same from B stored [k, n].
inline void pack_columns(const BF16* b, int64_t ld, int64_t count, int64_t depth,
                         const PairOrder& order, BF16* to) {
  for (int64_t p = 0; p < kPairs; ++p) {
    store_pairs(load_line(b + 2 * p * ld, 2 * p < depth ? count : 0),
                load_line(b + (2 * p + 1) * ld, 2 * p + 1 < depth ? count : 0), order,
                to + p * kDepth);
  }
}

// Rounded to the nearest, ties to even.
inline __m256i narrow(__m512 x) {
  return reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(x));
}

// The first `count` of up to 16 numbers, zeros after them.
inline __m512 load_floats(const float* from, int64_t count) {
  const int64_t lanes = std::clamp<int64_t>(count, 0, kLines);
  return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1U << lanes) - 1), from);
}

// Numbers rounded, and what rounding left.
struct Halves {
  __m256i rounded;
  __m256i rest;
};
inline Halves split(__m512 x) {
  const __m256i rounded = narrow(x);
  const __m512 wide = _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(rounded), 16));
  return {rounded, narrow(_mm512_sub_ps(x, wide))};
}
inline void split(const float* x, int64_t count, BF16* rounded, BF16* rest) {
  for (int64_t i = 0; i < count; i += kLines) {
    const auto mask = static_cast<__mmask16>((1U << std::min(kLines, count - i)) - 1);
    const Halves halves = split(load_floats(x + i, count - i));
    _mm256_mask_storeu_epi16(rounded + i, mask, halves.rounded);
    _mm256_mask_storeu_epi16(rest + i, mask, halves.rest);
  }
}

// Memory that a thread keeps for its products.
template <class T>
class Memory {
 public:
  T* take(int64_t count) {
    const auto needed = static_cast<size_t>(count) * sizeof(T);
    if (needed > size_) {
      bytes_ = allocate_aligned(needed);
      size_ = needed;
    }
    return reinterpret_cast<T*>(bytes_.get());
  }

 private:
  std::shared_ptr<std::byte> bytes_;
  size_t size_ = 0;
};

}  // namespace dlm::amx
