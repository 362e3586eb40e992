// Sixteen lanes as the compiler's own vectors: one AVX-512 register, or plain code.
#pragma once

#include <cmath>
#include <cstdint>

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

namespace dlm::DLM_TIER {

typedef float Vec __attribute__((vector_size(64), aligned(4), may_alias));
typedef int32_t IVec __attribute__((vector_size(64), aligned(4), may_alias));
typedef uint32_t UVec __attribute__((vector_size(64), aligned(4), may_alias));
typedef uint16_t HVec __attribute__((vector_size(32), aligned(2), may_alias));

inline void set_lane(UVec& v, int64_t lane, uint32_t value) {
  v[lane] = value;
}

inline Vec splat(float x) {
  return Vec{} + x;
}
inline Vec load(const float* p) {
  return *reinterpret_cast<const Vec*>(p);
}
inline void store(float* p, Vec v) {
  *reinterpret_cast<Vec*>(p) = v;
}

// Sixteen 16-bit numbers, widened and narrowed.
inline UVec load_u16(const uint16_t* p) {
  const HVec half = *reinterpret_cast<const HVec*>(p);
#if defined(__AVX512F__)
  return (UVec)_mm512_cvtepu16_epi32((__m256i)half);
#else
  return __builtin_convertvector(half, UVec);
#endif
}
inline void store_u16(uint16_t* p, UVec v) {
#if defined(__AVX512F__)
  *reinterpret_cast<HVec*>(p) = (HVec)_mm512_cvtepi32_epi16((__m512i)v);
#else
  *reinterpret_cast<HVec*>(p) = __builtin_convertvector(v, HVec);
#endif
}

// a * b + c, fused where the tier has it.
inline Vec fma(Vec a, Vec b, Vec c) {
#if defined(__AVX512F__)
  return (Vec)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#else
  return a * b + c;
#endif
}

inline Vec max(Vec a, Vec b) {
#if defined(__AVX512F__)
  return (Vec)_mm512_max_ps((__m512)a, (__m512)b);
#else
  const IVec a_wins = (IVec)(a > b);
  return (Vec)(((IVec)a & a_wins) | ((IVec)b & ~a_wins));
#endif
}

inline Vec min(Vec a, Vec b) {
#if defined(__AVX512F__)
  return (Vec)_mm512_min_ps((__m512)a, (__m512)b);
#else
  const IVec a_wins = (IVec)(a < b);
  return (Vec)(((IVec)a & a_wins) | ((IVec)b & ~a_wins));
#endif
}

inline Vec sqrt(Vec x) {
#if defined(__AVX512F__)
  return (Vec)_mm512_sqrt_ps((__m512)x);
#else
  Vec r;
  for (int i = 0; i < 16; ++i) r[i] = std::sqrt(x[i]);
  return r;
#endif
}

}  // namespace dlm::DLM_TIER
