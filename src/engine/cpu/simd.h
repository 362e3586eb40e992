// Sixteen float lanes, on every tier: one zmm register, two ymm, or plain code. Each kernel file is
// compiled once per tier, in a namespace of its own, from the same source on top of this header.
// Reductions always use these sixteen lanes and the same final order, so a tier's width never
// shows.
#pragma once

#include <cstdint>
#include <cstring>

#include "engine/tensor.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace dlm::DLM_TIER {

typedef float Vec __attribute__((vector_size(64), aligned(4), may_alias));
typedef int32_t IVec __attribute__((vector_size(64), aligned(4), may_alias));
typedef uint32_t UVec __attribute__((vector_size(64), aligned(4), may_alias));
typedef uint16_t HVec __attribute__((vector_size(32), aligned(2), may_alias));

inline constexpr int64_t kLanes = 16;

inline Vec splat(float x) {
  return Vec{} + x;
}

inline Vec load(const float* p) {
  return *reinterpret_cast<const Vec*>(p);
}
inline void store(float* p, Vec v) {
  *reinterpret_cast<Vec*>(p) = v;
}

inline Vec load(const BF16* p) {
  const HVec half = *reinterpret_cast<const HVec*>(p);
#if defined(__AVX512F__)
  const __m512i wide = _mm512_slli_epi32(_mm512_cvtepu16_epi32((__m256i)half), 16);
  return (Vec)_mm512_castsi512_ps(wide);
#else
  return (Vec)(__builtin_convertvector(half, UVec) << 16);
#endif
}

// Round to nearest, ties to even; NaN stays NaN.
inline void store(BF16* p, Vec v) {
  const UVec bits = (UVec)v;
  const UVec rounded = (bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16;
  const UVec quiet = (bits >> 16) | 0x40U;
  const IVec is_nan = (IVec)((bits & 0x7fffffffU) > 0x7f800000U);
  const UVec chosen = (rounded & ~(UVec)is_nan) | (quiet & (UVec)is_nan);
#if defined(__AVX512F__)
  *reinterpret_cast<HVec*>(p) = (HVec)_mm512_cvtepi32_epi16((__m512i)chosen);
#else
  *reinterpret_cast<HVec*>(p) = __builtin_convertvector(chosen, HVec);
#endif
}

inline float load1(const float* p) {
  return *p;
}
inline float load1(const BF16* p) {
  return to_f32(*p);
}
inline void store1(float* p, float v) {
  *p = v;
}
inline void store1(BF16* p, float v) {
  *p = to_bf16(v);
}

// The first n < 16 elements, the rest zero; and the counterpart.
template <class T>
inline Vec load_tail(const T* p, int64_t n) {
  float lanes[kLanes] = {};
  for (int64_t i = 0; i < n; ++i) lanes[i] = load1(p + i);
  return load(lanes);
}
template <class T>
inline void store_tail(T* p, Vec v, int64_t n) {
  float lanes[kLanes];
  store(lanes, v);
  for (int64_t i = 0; i < n; ++i) store1(p + i, lanes[i]);
}

// a * b + c, fused where the tier has it.
inline Vec fma(Vec a, Vec b, Vec c) {
#if defined(__AVX512F__)
  return (Vec)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__FMA__)
  union Split {
    Vec whole;
    __m256 half[2];
  } x{a}, y{b}, z{c}, r{};
  r.half[0] = _mm256_fmadd_ps(x.half[0], y.half[0], z.half[0]);
  r.half[1] = _mm256_fmadd_ps(x.half[1], y.half[1], z.half[1]);
  return r.whole;
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

// Sum of the lanes as a fixed tree: 8+8, 4+4, 2+2, 1+1.
inline float sum(Vec v) {
  const auto eight = __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7) +
                     __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15);
  const auto four = __builtin_shufflevector(eight, eight, 0, 1, 2, 3) +
                    __builtin_shufflevector(eight, eight, 4, 5, 6, 7);
  return (four[0] + four[2]) + (four[1] + four[3]);
}

inline float max_lane(Vec v) {
  float x[kLanes];
  store(x, v);
  float best = x[0];
  for (int i = 1; i < kLanes; ++i) best = x[i] > best ? x[i] : best;
  return best;
}

// e^x by range reduction to |r| <= ln(2)/2 (Cody and Waite splitting of ln 2) and the degree-6
// polynomial 1 + r + r^2 q(r), q interpolating at Chebyshev points (relative error 2^-26); below 2
// ulp in all. Below -87.3 the result is 0, above 88 it saturates.
inline Vec exp(Vec x) {
  const IVec underflow = (IVec)(x < splat(-87.3f));
  x = min(max(x, splat(-87.3f)), splat(88.0f));
  const Vec shifter = splat(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer
  const Vec shifted = fma(x, splat(1.44269504088896341f), shifter);
  const Vec n = shifted - shifter;
  Vec r = fma(n, splat(-0.693145751953125f), x);
  r = fma(n, splat(-1.42860682030941723e-6f), r);
  Vec p = splat(1.39263261e-3f);
  p = fma(p, r, splat(8.36329255e-3f));
  p = fma(p, r, splat(4.16665524e-2f));
  p = fma(p, r, splat(0.166665763f));
  p = fma(p, r, splat(0.5f));
  p = fma(p, r, splat(1.0f));
  p = fma(p, r, splat(1.0f));
  const IVec exponent = ((IVec)shifted - (IVec)shifter) << 23;
  const IVec scaled = (IVec)p + exponent;
  return (Vec)(scaled & ~underflow);
}

// Loads and stores that pick the whole vector or the tail: `left` elements remain at p.
template <class T>
inline Vec load_some(const T* p, int64_t left) {
  return left >= kLanes ? load(p) : load_tail(p, left);
}
template <class T>
inline void store_some(T* p, Vec v, int64_t left) {
  if (left >= kLanes) {
    store(p, v);
  } else {
    store_tail(p, v, left);
  }
}

}  // namespace dlm::DLM_TIER
