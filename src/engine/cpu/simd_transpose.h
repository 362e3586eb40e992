// Sixteen vectors of sixteen lanes, turned around: what lets a kernel work on sixteen rows or
// blocks at once, each sum in its own lane and order. Included by the kernel files only, after
// simd.h.
#pragma once

#include "engine/cpu/simd.h"

namespace dlm::DLM_TIER {

#if !defined(__AVX512F__)

// Eight registers of eight lanes, by pairs, quads and halves.
inline void transpose_eight(F8* v0, F8* v1, F8* v2, F8* v3, F8* v4, F8* v5, F8* v6, F8* v7) {
  const auto low = [](F8 a, F8 b) { return _mm256_unpacklo_ps((__m256)a, (__m256)b); };
  const auto high = [](F8 a, F8 b) { return _mm256_unpackhi_ps((__m256)a, (__m256)b); };
  const __m256 a0 = low(*v0, *v1), a1 = high(*v0, *v1), a2 = low(*v2, *v3), a3 = high(*v2, *v3);
  const __m256 a4 = low(*v4, *v5), a5 = high(*v4, *v5), a6 = low(*v6, *v7), a7 = high(*v6, *v7);
  const __m256 b0 = _mm256_shuffle_ps(a0, a2, 0x44), b1 = _mm256_shuffle_ps(a0, a2, 0xee);
  const __m256 b2 = _mm256_shuffle_ps(a1, a3, 0x44), b3 = _mm256_shuffle_ps(a1, a3, 0xee);
  const __m256 b4 = _mm256_shuffle_ps(a4, a6, 0x44), b5 = _mm256_shuffle_ps(a4, a6, 0xee);
  const __m256 b6 = _mm256_shuffle_ps(a5, a7, 0x44), b7 = _mm256_shuffle_ps(a5, a7, 0xee);
  *v0 = (F8)_mm256_permute2f128_ps(b0, b4, 0x20);
  *v1 = (F8)_mm256_permute2f128_ps(b1, b5, 0x20);
  *v2 = (F8)_mm256_permute2f128_ps(b2, b6, 0x20);
  *v3 = (F8)_mm256_permute2f128_ps(b3, b7, 0x20);
  *v4 = (F8)_mm256_permute2f128_ps(b0, b4, 0x31);
  *v5 = (F8)_mm256_permute2f128_ps(b1, b5, 0x31);
  *v6 = (F8)_mm256_permute2f128_ps(b2, b6, 0x31);
  *v7 = (F8)_mm256_permute2f128_ps(b3, b7, 0x31);
}

// Lane l of v[i] becomes lane i of v[l].
inline void transpose(Vec* v) {
  transpose_eight(&v[0].lo, &v[1].lo, &v[2].lo, &v[3].lo, &v[4].lo, &v[5].lo, &v[6].lo, &v[7].lo);
  transpose_eight(&v[0].hi, &v[1].hi, &v[2].hi, &v[3].hi, &v[4].hi, &v[5].hi, &v[6].hi, &v[7].hi);
  transpose_eight(&v[8].lo, &v[9].lo, &v[10].lo, &v[11].lo, &v[12].lo, &v[13].lo, &v[14].lo,
                  &v[15].lo);
  transpose_eight(&v[8].hi, &v[9].hi, &v[10].hi, &v[11].hi, &v[12].hi, &v[13].hi, &v[14].hi,
                  &v[15].hi);
  for (int i = 0; i < 8; ++i) {
    const F8 upper = v[i].hi;
    v[i].hi = v[i + 8].lo;
    v[i + 8].lo = upper;
  }
}

#else

// Exchanges the upper half of each 2 * kHalf lanes of a with the lower half of b's.
template <int kHalf>
inline void exchange(Vec& a, Vec& b) {
  const Vec x = a, y = b;
  if constexpr (kHalf == 8) {
    a = __builtin_shufflevector(x, y, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23);
    b = __builtin_shufflevector(x, y, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
  } else if constexpr (kHalf == 4) {
    a = __builtin_shufflevector(x, y, 0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27);
    b = __builtin_shufflevector(x, y, 4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31);
  } else if constexpr (kHalf == 2) {
    a = __builtin_shufflevector(x, y, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29);
    b = __builtin_shufflevector(x, y, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31);
  } else {
    a = __builtin_shufflevector(x, y, 0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30);
    b = __builtin_shufflevector(x, y, 1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31);
  }
}

template <int kHalf>
inline void exchange_all(Vec* v) {
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) {
    if ((i & kHalf) == 0) exchange<kHalf>(v[i], v[i + kHalf]);
  }
}

// Lane l of v[i] becomes lane i of v[l].
inline void transpose(Vec* v) {
  exchange_all<8>(v);
  exchange_all<4>(v);
  exchange_all<2>(v);
  exchange_all<1>(v);
}

#endif

// `n` numbers, a multiple of 16, from each of sixteen places: out[i] holds number i of each.
inline void load_transposed(const float* const places[kLanes], int64_t n, Vec* out) {
  for (int64_t first = 0; first < n; first += kLanes) {
    alignas(64) Vec tile[kLanes];
    for (int64_t l = 0; l < kLanes; ++l) tile[l] = load(places[l] + first);
    transpose(tile);
    for (int64_t i = 0; i < kLanes; ++i) out[first + i] = tile[i];
  }
}

}  // namespace dlm::DLM_TIER
