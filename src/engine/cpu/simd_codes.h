// Sixteen lanes of quantized codes, on every tier: 8-bit integers, and 4-bit codes in the words of
// an NF4 block. Included by the kernel files only, after simd.h.
#pragma once

#include "engine/cpu/simd.h"
#include "engine/nf4.h"

namespace dlm::DLM_TIER {

typedef int8_t BVec __attribute__((vector_size(16), aligned(1), may_alias));

#if defined(__AVX2__) && !defined(__AVX512F__)
union Halves {
  Vec floats;
  UVec words;
  __m256i half[2];
  __m256 float_half[2];
};
#endif

// Sixteen signed bytes as numbers.
inline Vec load_int8(const int8_t* p) {
#if defined(__AVX512F__)
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return (Vec)_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes));
#elif defined(__AVX2__)
  Halves out{};
  for (int i = 0; i < 2; ++i) {
    const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p + 8 * i));
    out.float_half[i] = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes));
  }
  return out.floats;
#else
  Vec out;
  for (int64_t l = 0; l < kLanes; ++l) out[l] = static_cast<float>(p[l]);
  return out;
#endif
}

// The low byte of each lane.
inline void store_bytes(int8_t* p, IVec v) {
#if defined(__AVX512F__)
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8((__m512i)v));
#else
  for (int64_t l = 0; l < kLanes; ++l) p[l] = static_cast<int8_t>(v[l]);
#endif
}

// Sixteen words of an NF4 block, one a lane.
inline UVec load_words(const uint16_t* p) {
#if defined(__AVX512F__)
  return (UVec)_mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
#else
  return __builtin_convertvector(*reinterpret_cast<const HVec*>(p), UVec);
#endif
}
inline void store_words(uint16_t* p, UVec words) {
  *reinterpret_cast<HVec*>(p) = __builtin_convertvector(words, HVec);
}

// store() for numbers that are known to be finite: rounds alike, without the care for NaN, which
// costs half the time of decoding.
inline void store_finite(float* p, Vec v) {
  store(p, v);
}
inline void store_finite(BF16* p, Vec v) {
  const UVec bits = (UVec)v;
  const UVec rounded = (bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16;
#if defined(__AVX512F__)
  *reinterpret_cast<HVec*>(p) = (HVec)_mm512_cvtepi32_epi16((__m512i)rounded);
#else
  *reinterpret_cast<HVec*>(p) = __builtin_convertvector(rounded, HVec);
#endif
}

// The levels that the lowest four bits of each lane stand for.
inline Vec nf4_values(UVec codes) {
#if defined(__AVX512F__)
  return (Vec)_mm512_permutexvar_ps((__m512i)codes, _mm512_load_ps(kNf4Values));
#elif defined(__AVX2__)
  const __m256 low = _mm256_load_ps(kNf4Values);
  const __m256 high = _mm256_load_ps(kNf4Values + 8);
  Halves in{};
  Halves out{};
  in.words = codes;
  for (int i = 0; i < 2; ++i) {
    // The permutation reads three bits; the fourth chooses between both halves of the table.
    const __m256 pick_high = _mm256_castsi256_ps(_mm256_slli_epi32(in.half[i], 28));
    out.float_half[i] = _mm256_blendv_ps(_mm256_permutevar8x32_ps(low, in.half[i]),
                                         _mm256_permutevar8x32_ps(high, in.half[i]), pick_high);
  }
  return out.floats;
#else
  Vec out;
  for (int64_t l = 0; l < kLanes; ++l) out[l] = kNf4Values[codes[l] & 15U];
  return out;
#endif
}

}  // namespace dlm::DLM_TIER
