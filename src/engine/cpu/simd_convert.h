// Sixteen lanes between f32, integers, halves and bits, rounding as the scalar code of
// formats/ does. For AVX2 and AVX-512. Included by the
// kernel files only, after simd.h.
#pragma once

#include "engine/cpu/simd.h"

namespace dlm::DLM_TIER {

inline IVec splat_int(int32_t x) {
#if defined(__AVX512F__)
  return IVec{} + x;
#else
  const I8 all = (I8)_mm256_set1_epi32(x);
  return {all, all};
#endif
}

// Toward zero, of |v| < 2^31.
inline IVec truncate(Vec v) {
#if defined(__AVX512F__)
  return (IVec)_mm512_cvttps_epi32((__m512)v);
#else
  return {(I8)_mm256_cvttps_epi32((__m256)v.lo), (I8)_mm256_cvttps_epi32((__m256)v.hi)};
#endif
}

// a where the mask's lanes are all ones, b where they are zero.
inline Vec select(IVec mask, Vec a, Vec b) {
  return (Vec)(((IVec)a & mask) | ((IVec)b & ~mask));
}
inline IVec select(IVec mask, IVec a, IVec b) {
  return (a & mask) | (b & ~mask);
}
inline IVec clamp(IVec v, int32_t low, int32_t high) {
  const IVec l = splat_int(low), h = splat_int(high);
  v = select((IVec)(v < l), l, v);
  return select((IVec)(v > h), h, v);
}

// Bit l: whether lane l of a mask is set.
inline uint32_t lane_bits(IVec mask) {
#if defined(__AVX512F__)
  return _mm512_movepi32_mask((__m512i)mask);
#else
  return static_cast<uint32_t>(_mm256_movemask_ps((__m256)mask.lo)) |
         static_cast<uint32_t>(_mm256_movemask_ps((__m256)mask.hi)) << 8;
#endif
}

// The nearest integer as quantizers take it (ggml_scale_search.h), for every v.
inline IVec nearest_int(Vec v) {
  const IVec bits = (IVec)(v + splat(12582912.0f));
  return (bits & 0x007fffff) - splat_int(0x00400000);
}

inline Vec magnitude(Vec v) {
  return (Vec)((UVec)v & 0x7fffffffU);
}

// Halves as bits, of numbers that are not NaN: to nearest, ties to even, infinite when too large.
inline UVec to_half(Vec v) {
#if defined(__AVX512F__)
  return (UVec)_mm512_cvtepu16_epi32(_mm512_cvtps_ph((__m512)v, _MM_FROUND_TO_NEAREST_INT));
#else
  const auto eight = [](F8 x) {
    return (U8)_mm256_cvtepu16_epi32(_mm256_cvtps_ph((__m256)x, _MM_FROUND_TO_NEAREST_INT));
  };
  return {eight(v.lo), eight(v.hi)};
#endif
}

inline Vec from_half(UVec halves) {
#if defined(__AVX512F__)
  return (Vec)_mm512_cvtph_ps(_mm512_cvtepi32_epi16((__m512i)halves));
#else
  const auto eight = [](U8 x) {
    const __m256i packed = _mm256_packus_epi32((__m256i)x, (__m256i)x);
    return (F8)_mm256_cvtph_ps(_mm256_castsi256_si128(_mm256_permute4x64_epi64(packed, 0x08)));
  };
  return {eight(halves.lo), eight(halves.hi)};
#endif
}

}  // namespace dlm::DLM_TIER
