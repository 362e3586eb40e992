// Sixteen lanes of quantized codes, on every tier: 8-bit integers, and 4-bit codes in the words of
// an NF4 block. Included by the kernel files only, after simd.h.
#pragma once

#include "engine/cpu/simd.h"
#include "engine/nf4.h"

namespace dlm::DLM_TIER {

// The low byte of each lane.
inline void store_bytes(int8_t* p, IVec v) {
#if defined(__AVX512F__)
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8((__m512i)v));
#elif defined(__AVX2__)
  const __m256i low = _mm256_set1_epi32(0xff);
  const __m256i words = _mm256_packus_epi32(_mm256_and_si256((__m256i)v.lo, low),
                                            _mm256_and_si256((__m256i)v.hi, low));
  const __m256i ordered = _mm256_permute4x64_epi64(words, 0xd8);
  const __m128i bytes =
      _mm_packus_epi16(_mm256_castsi256_si128(ordered), _mm256_extracti128_si256(ordered, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), bytes);
#else
  for (int64_t l = 0; l < kLanes; ++l) p[l] = static_cast<int8_t>(v[l]);
#endif
}

// store() for numbers that are known to be finite: rounds alike, without the care for NaN, which
// costs half the time of decoding.
inline void store_finite(float* p, Vec v) {
  store(p, v);
}
inline void store_finite(BF16* p, Vec v) {
  const UVec bits = (UVec)v;
  store_u16(&p->bits, (bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16);
}

// The levels that the lowest four bits of each lane stand for.
inline Vec nf4_values(UVec codes) {
  return look_up_16(codes, kNf4Values);
}

}  // namespace dlm::DLM_TIER
