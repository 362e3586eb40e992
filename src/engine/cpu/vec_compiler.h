// Sixteen lanes as the compiler's own vectors: one AVX-512 register, or plain code.
#pragma once

#include <cmath>
#include <cstdint>

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

#include "engine/tensor.h"

namespace dlm::DLM_TIER {

typedef float Vec __attribute__((vector_size(64), aligned(4), may_alias));
typedef int32_t IVec __attribute__((vector_size(64), aligned(4), may_alias));
typedef uint32_t UVec __attribute__((vector_size(64), aligned(4), may_alias));
typedef uint16_t HVec __attribute__((vector_size(32), aligned(2), may_alias));
// Thirty-two words: the codes of a part of a quantized block.
typedef int16_t SVec __attribute__((vector_size(64), aligned(2), may_alias));

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

// Lanes 0 to 7 plus lanes 8 to 15.
inline auto fold(Vec v) {
  return __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7) +
         __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15);
}

// Sixteen signed bytes as numbers.
inline Vec load_i8(const int8_t* p) {
#if defined(__AVX512F__)
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return (Vec)_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes));
#else
  Vec out;
  for (int l = 0; l < 16; ++l) out[l] = static_cast<float>(p[l]);
  return out;
#endif
}

// table[code & 15] of each lane, from a table of sixteen aligned numbers.
inline Vec look_up_16(UVec codes, const float* table) {
#if defined(__AVX512F__)
  return (Vec)_mm512_permutexvar_ps((__m512i)codes, _mm512_load_ps(table));
#else
  Vec out;
  for (int l = 0; l < 16; ++l) out[l] = table[codes[l] & 15U];
  return out;
#endif
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

inline Vec to_float(IVec v) {
  return __builtin_convertvector(v, Vec);
}
// Lanes 0 to 7 of the first, 8 to 15 of the second number.
inline Vec splat_halves(float low, float high) {
#if defined(__AVX512F__)
  return (Vec)_mm512_mask_broadcastss_ps(_mm512_set1_ps(low), 0xff00, _mm_set_ss(high));
#else
  return Vec{low,  low,  low,  low,  low,  low,  low,  low,
             high, high, high, high, high, high, high, high};
#endif
}
inline Vec load_halves(const float* low, const float* high) {
#if defined(__AVX512F__)
  return (Vec)_mm512_insertf32x8(_mm512_castps256_ps512(_mm256_loadu_ps(low)),
                                 _mm256_loadu_ps(high), 1);
#else
  Vec out;
  for (int l = 0; l < 8; ++l) {
    out[l] = low[l];
    out[8 + l] = high[l];
  }
  return out;
#endif
}

// Sixteen numbers of IEEE half precision.
inline Vec load_f16(const uint16_t* p) {
#if defined(__AVX512F__)
  return (Vec)_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
#else
  Vec out;
  for (int l = 0; l < 16; ++l) out[l] = f16_to_f32(p[l]);
  return out;
#endif
}

// Thirty-two bytes as words.
inline SVec widen_i8(const uint8_t* p) {
#if defined(__AVX512F__)
  return (SVec)_mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
#else
  SVec out;
  for (int l = 0; l < 32; ++l) out[l] = static_cast<int8_t>(p[l]);
  return out;
#endif
}
inline SVec widen_u8(const uint8_t* p) {
#if defined(__AVX512F__)
  return (SVec)_mm512_cvtepu8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
#else
  SVec out;
  for (int l = 0; l < 32; ++l) out[l] = p[l];
  return out;
#endif
}
// The low halves of sixteen bytes, then their high halves.
inline SVec split_nibbles(const uint8_t* p) {
#if defined(__AVX512F__)
  const __m256i twice =
      _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  const __m512i shifts = _mm512_inserti64x4(_mm512_setzero_si512(), _mm256_set1_epi16(4), 1);
  return (SVec)_mm512_and_si512(_mm512_srlv_epi16(_mm512_cvtepu8_epi16(twice), shifts),
                                _mm512_set1_epi16(15));
#else
  SVec out;
  for (int l = 0; l < 16; ++l) {
    out[l] = p[l] & 15;
    out[16 + l] = p[l] >> 4;
  }
  return out;
#endif
}
// v plus `number` in the lanes whose bit is set.
inline SVec add_where(SVec v, uint32_t bits, int16_t number) {
#if defined(__AVX512F__)
  return (SVec)_mm512_mask_add_epi16((__m512i)v, bits, (__m512i)v, _mm512_set1_epi16(number));
#else
  for (int l = 0; l < 32; ++l) {
    if ((bits >> l) & 1U) v[l] = static_cast<int16_t>(v[l] + number);
  }
  return v;
#endif
}
// Lane l: words 2l and 2l + 1 times those of x, added.
inline IVec dot_pairs(SVec v, const int16_t* x) {
#if defined(__AVX512F__)
  return (IVec)_mm512_madd_epi16((__m512i)v, _mm512_loadu_si512(x));
#else
  IVec out;
  for (int l = 0; l < 16; ++l) out[l] = v[2 * l] * x[2 * l] + v[2 * l + 1] * x[2 * l + 1];
  return out;
#endif
}
// Words 0 to 15, or 16 to 31, as numbers.
inline Vec low_words(SVec v) {
#if defined(__AVX512F__)
  return (Vec)_mm512_cvtepi32_ps(_mm512_cvtepi16_epi32(_mm512_castsi512_si256((__m512i)v)));
#else
  Vec out;
  for (int l = 0; l < 16; ++l) out[l] = static_cast<float>(v[l]);
  return out;
#endif
}
inline Vec high_words(SVec v) {
#if defined(__AVX512F__)
  return (Vec)_mm512_cvtepi32_ps(_mm512_cvtepi16_epi32(_mm512_extracti64x4_epi64((__m512i)v, 1)));
#else
  Vec out;
  for (int l = 0; l < 16; ++l) out[l] = static_cast<float>(v[16 + l]);
  return out;
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
