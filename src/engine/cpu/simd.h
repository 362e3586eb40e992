// Sixteen float lanes, on every tier: one zmm register, two ymm, or plain code. The kernels
// are compiled once per tier, in a namespace of its own, from the same source on top of this
// header. Reductions always use these sixteen lanes and the same final order, so a tier's width
// never shows.
#pragma once

#include <cstdint>
#include <cstring>

#include "engine/tensor.h"

#if defined(__AVX2__) && !defined(__AVX512F__)
#include "engine/cpu/vec_avx2.h"
#else
#include "engine/cpu/vec_compiler.h"
#endif

namespace dlm::DLM_TIER {

inline constexpr int64_t kLanes = 16;

inline Vec load(const BF16* p) {
  return (Vec)(load_u16(&p->bits) << 16);
}

inline Vec load(const F16* p) {
  return load_f16(&p->bits);
}

// The bits of bf16 numbers: rounded to nearest, ties to even; NaN stays NaN.
inline UVec bf16_bits(Vec v) {
  const UVec bits = (UVec)v;
  const UVec rounded = (bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16;
  const UVec quiet = (bits >> 16) | 0x40U;
  const UVec is_nan = (UVec)((bits & 0x7fffffffU) > 0x7f800000U);
  return (rounded & ~is_nan) | (quiet & is_nan);
}
#if defined(__AVX512F__)
inline __m256i narrowed(Vec v) {
#if defined(__AVX512BF16__)
  // The instruction makes subnormal numbers zero.
  constexpr int kSubnormal = 0x20;
  if (__builtin_expect(_mm512_fpclass_ps_mask((__m512)v, kSubnormal) == 0, 1)) {
    return (__m256i)_mm512_cvtneps_pbh((__m512)v);
  }
#endif
  return _mm512_cvtepi32_epi16((__m512i)bf16_bits(v));
}
inline void store(BF16* p, Vec v) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), narrowed(v));
}
#else
inline void store(BF16* p, Vec v) {
  store_u16(&p->bits, bf16_bits(v));
}
#endif

inline float load1(const float* p) {
  return *p;
}
inline float load1(const BF16* p) {
  return to_f32(*p);
}
inline float load1(const F16* p) {
  return f16_to_f32(p->bits);
}
inline void store1(float* p, float v) {
  *p = v;
}
inline void store1(BF16* p, float v) {
  *p = to_bf16(v);
}

// a * b + c, rounded once on every tier. Without an instruction for it the product, which is exact
// in double, and the sum go to an odd last bit where the sum is inexact, so that rounding it again
// is as good as rounding once (Boldo and Melquiond 2008, "Emulation of FMA and correctly rounded
// sums").
#if defined(__FMA__)
inline Vec fused(Vec a, Vec b, Vec c) {
  return fma(a, b, c);
}
#else
inline float fused1(float a, float b, float c) {
  const double product = static_cast<double>(a) * static_cast<double>(b);
  double sum = product + static_cast<double>(c);
  const double from_c = sum - product;
  const double error = (product - (sum - from_c)) + (static_cast<double>(c) - from_c);
  uint64_t bits;
  std::memcpy(&bits, &sum, sizeof(bits));
  const bool is_inexact = error > 0 || error < 0;
  if (is_inexact && (bits & 1U) == 0) bits += (error > 0) == (sum > 0) ? 1 : ~uint64_t{0};
  std::memcpy(&sum, &bits, sizeof(sum));
  return static_cast<float>(sum);
}
inline Vec fused(Vec a, Vec b, Vec c) {
  Vec out;
  for (int l = 0; l < 16; ++l) out[l] = fused1(a[l], b[l], c[l]);
  return out;
}
#endif

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

// One by one they cost as much as several whole vectors, and most rows of attention have some.
#if defined(__AVX512F__)
inline __mmask16 first_lanes(int64_t n) {
  return static_cast<__mmask16>((1U << n) - 1);
}
inline Vec load_tail(const float* p, int64_t n) {
  return (Vec)_mm512_maskz_loadu_ps(first_lanes(n), p);
}
inline Vec load_tail(const BF16* p, int64_t n) {
  const __m256i bits = _mm256_maskz_loadu_epi16(first_lanes(n), p);
  return (Vec)_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16);
}
inline void store_tail(float* p, Vec v, int64_t n) {
  _mm512_mask_storeu_ps(p, first_lanes(n), (__m512)v);
}
inline void store_tail(BF16* p, Vec v, int64_t n) {
  _mm256_mask_storeu_epi16(p, first_lanes(n), narrowed(v));
}
#elif defined(__AVX2__)
inline __m256i first_lanes(int64_t n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)),
                            _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
inline Vec load_tail(const float* p, int64_t n) {
  return {(F8)_mm256_maskload_ps(p, first_lanes(n)),
          (F8)_mm256_maskload_ps(p + 8, first_lanes(n - 8))};
}
inline void store_tail(float* p, Vec v, int64_t n) {
  _mm256_maskstore_ps(p, first_lanes(n), (__m256)v.lo);
  _mm256_maskstore_ps(p + 8, first_lanes(n - 8), (__m256)v.hi);
}
#endif

// Sum of the lanes as a fixed tree: 8+8, 4+4, 2+2, 1+1.
inline float sum(Vec v) {
  const auto eight = fold(v);
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
// ulp in all. Below -87.3 the result is 0, above 88 it saturates; NaN stays NaN.
inline Vec exp(Vec x) {
#if defined(__AVX512F__)
  const __mmask16 is_some = _mm512_cmp_ps_mask((__m512)x, (__m512)splat(-87.3f), _CMP_NLT_UQ);
#else
  const IVec given = (IVec)x;
  const IVec is_nan = (IVec)((given & 0x7fffffff) > 0x7f800000);
  const IVec underflow = (IVec)(x < splat(-87.3f));
#endif
  x = min(splat(88.0f), max(splat(-87.3f), x));
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
#if defined(__AVX512F__)
  return (Vec)_mm512_maskz_scalef_ps(is_some, (__m512)p, (__m512)n);
#else
  const IVec exponent = ((IVec)shifted - (IVec)shifter) << 23;
  const IVec scaled = (IVec)p + exponent;
  return (Vec)((scaled & ~(underflow | is_nan)) | (given & is_nan));
#endif
}

// tanh(x): x + x^3 q(x^2) for |x| < 0.625, q of degree 5 interpolating at Chebyshev points
// (relative error 2^-30), else 1 - 2 / (e^2|x| + 1) with the sign of x; below 3 ulp in all.
inline Vec tanh(Vec x) {
  const Vec z = x * x;
  Vec q = splat(2.29274493e-3f);
  q = fma(q, z, splat(-8.34394566e-3f));
  q = fma(q, z, splat(2.17689187e-2f));
  q = fma(q, z, splat(-5.39592596e-2f));
  q = fma(q, z, splat(0.133333036f));
  q = fma(q, z, splat(-0.333333332f));
  const Vec near = fma(x * z, q, x);
  const IVec sign = (IVec)((UVec)x & 0x80000000U);
  const Vec size = (Vec)((UVec)x & 0x7fffffffU);
  const Vec far = splat(1.0f) - splat(2.0f) / (exp(size + size) + splat(1.0f));
  const Vec signed_far = (Vec)((IVec)far | sign);
  const IVec is_near = (IVec)(size < splat(0.625f));
  return (Vec)(((IVec)near & is_near) | ((IVec)signed_far & ~is_near));
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
