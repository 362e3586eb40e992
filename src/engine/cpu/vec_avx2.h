// Sixteen lanes as two AVX2 registers. GCC lowers 64-byte vectors to single elements on AVX2, ten
// times slower than this pair; everywhere else they are compiler vectors (simd.h).
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace dlm::DLM_TIER {

typedef float F8 __attribute__((vector_size(32), aligned(4), may_alias));
typedef int32_t I8 __attribute__((vector_size(32), aligned(4), may_alias));
typedef uint32_t U8 __attribute__((vector_size(32), aligned(4), may_alias));
typedef int16_t W16 __attribute__((vector_size(32), aligned(2), may_alias));

template <class F, class E>
struct Pair {
  F lo, hi;

  Pair() = default;
  Pair(F l, F h) : lo(l), hi(h) {}
  // The same bits as another element type.
  template <class G, class D>
  explicit Pair(const Pair<G, D>& other) : lo((F)other.lo), hi((F)other.hi) {}

  E operator[](int64_t lane) const { return lane < 8 ? lo[lane] : hi[lane - 8]; }
  void set(int64_t lane, E value) {
    if (lane < 8) {
      lo[lane] = value;
    } else {
      hi[lane - 8] = value;
    }
  }

  friend Pair operator-(Pair a) { return {-a.lo, -a.hi}; }
  friend Pair operator~(Pair a) { return {~a.lo, ~a.hi}; }
  friend Pair operator+(Pair a, Pair b) { return {a.lo + b.lo, a.hi + b.hi}; }
  friend Pair operator-(Pair a, Pair b) { return {a.lo - b.lo, a.hi - b.hi}; }
  friend Pair operator*(Pair a, Pair b) { return {a.lo * b.lo, a.hi * b.hi}; }
  friend Pair operator/(Pair a, Pair b) { return {a.lo / b.lo, a.hi / b.hi}; }
  friend Pair operator&(Pair a, Pair b) { return {a.lo & b.lo, a.hi & b.hi}; }
  friend Pair operator|(Pair a, Pair b) { return {a.lo | b.lo, a.hi | b.hi}; }
  friend Pair operator^(Pair a, Pair b) { return {a.lo ^ b.lo, a.hi ^ b.hi}; }
  friend Pair operator+(Pair a, E b) { return {a.lo + b, a.hi + b}; }
  friend Pair operator*(Pair a, E b) { return {a.lo * b, a.hi * b}; }
  friend Pair operator&(Pair a, E b) { return {a.lo & b, a.hi & b}; }
  friend Pair operator|(Pair a, E b) { return {a.lo | b, a.hi | b}; }
  friend Pair operator<<(Pair a, int count) {
    return {a.lo << static_cast<E>(count), a.hi << static_cast<E>(count)};
  }
  friend Pair operator>>(Pair a, int count) {
    return {a.lo >> static_cast<E>(count), a.hi >> static_cast<E>(count)};
  }
  // All ones where true.
  friend Pair<I8, int32_t> operator<(Pair a, Pair b) { return {a.lo < b.lo, a.hi < b.hi}; }
  friend Pair<I8, int32_t> operator>(Pair a, Pair b) { return {a.lo > b.lo, a.hi > b.hi}; }
  friend Pair<I8, int32_t> operator>(Pair a, E b) { return {a.lo > b, a.hi > b}; }
  friend Pair<I8, int32_t> operator>=(Pair a, E b) { return {a.lo >= b, a.hi >= b}; }
  Pair& operator+=(Pair b) { return *this = *this + b; }
  Pair& operator-=(Pair b) { return *this = *this - b; }
  Pair& operator|=(Pair b) { return *this = *this | b; }
  Pair& operator*=(E b) { return *this = *this * b; }
  Pair& operator^=(Pair b) { return *this = *this ^ b; }
  Pair& operator^=(E b) { return *this = {lo ^ b, hi ^ b}; }
};

using Vec = Pair<F8, float>;
using IVec = Pair<I8, int32_t>;
using UVec = Pair<U8, uint32_t>;
// Thirty-two words: the codes of a part of a quantized block.
using SVec = Pair<W16, int16_t>;

inline void set_lane(UVec& v, int64_t lane, uint32_t value) {
  v.set(lane, value);
}

inline Vec splat(float x) {
  const F8 all = (F8)_mm256_set1_ps(x);
  return {all, all};
}
inline Vec load(const float* p) {
  return {(F8)_mm256_loadu_ps(p), (F8)_mm256_loadu_ps(p + 8)};
}
inline void store(float* p, Vec v) {
  _mm256_storeu_ps(p, (__m256)v.lo);
  _mm256_storeu_ps(p + 8, (__m256)v.hi);
}
// Lanes 0 to 7.
inline void store_lower(float* p, Vec v) {
  _mm256_storeu_ps(p, (__m256)v.lo);
}
// Lanes 0 to 7 plus lanes 8 to 15.
inline F8 fold(Vec v) {
  return v.lo + v.hi;
}
// Sixteen signed bytes as numbers.
inline Vec load_i8(const int8_t* p) {
  const auto eight = [](const int8_t* at) {
    const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(at));
    return (F8)_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes));
  };
  return {eight(p), eight(p + 8)};
}
// table[code & 15] of each lane, from a table of sixteen aligned numbers.
inline Vec look_up_16(UVec codes, const float* table) {
  const __m256 low = _mm256_load_ps(table);
  const __m256 high = _mm256_load_ps(table + 8);
  const auto eight = [&](U8 code) {
    // The permutation reads three bits; the fourth chooses between both halves of the table.
    const __m256i index = (__m256i)code;
    const __m256 pick_high = _mm256_castsi256_ps(_mm256_slli_epi32(index, 28));
    return (F8)_mm256_blendv_ps(_mm256_permutevar8x32_ps(low, index),
                                _mm256_permutevar8x32_ps(high, index), pick_high);
  };
  return {eight(codes.lo), eight(codes.hi)};
}
// Sixteen 16-bit numbers, widened and narrowed.
inline UVec load_u16(const uint16_t* p) {
  const __m128i* at = reinterpret_cast<const __m128i*>(p);
  return {(U8)_mm256_cvtepu16_epi32(_mm_loadu_si128(at)),
          (U8)_mm256_cvtepu16_epi32(_mm_loadu_si128(at + 1))};
}
inline void store_u16(uint16_t* p, UVec v) {
  const __m256i packed = _mm256_packus_epi32((__m256i)v.lo, (__m256i)v.hi);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm256_permute4x64_epi64(packed, 0xd8));
}
inline Vec to_float(IVec v) {
  return {(F8)_mm256_cvtepi32_ps((__m256i)v.lo), (F8)_mm256_cvtepi32_ps((__m256i)v.hi)};
}
// Lanes 0 to 7 of the first, 8 to 15 of the second number.
inline Vec splat_halves(float low, float high) {
  return {(F8)_mm256_set1_ps(low), (F8)_mm256_set1_ps(high)};
}
inline Vec load_halves(const float* low, const float* high) {
  return {(F8)_mm256_loadu_ps(low), (F8)_mm256_loadu_ps(high)};
}

// Sixteen numbers of IEEE half precision.
inline Vec load_f16(const uint16_t* p) {
  const __m128i* at = reinterpret_cast<const __m128i*>(p);
  return {(F8)_mm256_cvtph_ps(_mm_loadu_si128(at)), (F8)_mm256_cvtph_ps(_mm_loadu_si128(at + 1))};
}

// Thirty-two bytes as words.
inline SVec widen_i8(const uint8_t* p) {
  const __m128i* at = reinterpret_cast<const __m128i*>(p);
  return {(W16)_mm256_cvtepi8_epi16(_mm_loadu_si128(at)),
          (W16)_mm256_cvtepi8_epi16(_mm_loadu_si128(at + 1))};
}
inline SVec widen_u8(const uint8_t* p) {
  const __m128i* at = reinterpret_cast<const __m128i*>(p);
  return {(W16)_mm256_cvtepu8_epi16(_mm_loadu_si128(at)),
          (W16)_mm256_cvtepu8_epi16(_mm_loadu_si128(at + 1))};
}
// The low halves of sixteen bytes, then their high halves.
inline SVec split_nibbles(const uint8_t* p) {
  const __m256i words = _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  return {(W16)_mm256_and_si256(words, _mm256_set1_epi16(15)), (W16)_mm256_srli_epi16(words, 4)};
}
// v plus `number` in the lanes whose bit is set.
inline SVec add_where(SVec v, uint32_t bits, int16_t number) {
  const __m256i one_each = _mm256_setr_epi16(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048,
                                             4096, 8192, 16384, static_cast<int16_t>(0x8000));
  const auto half = [&](W16 words, uint32_t some) {
    const __m256i picked =
        _mm256_and_si256(_mm256_set1_epi16(static_cast<int16_t>(some)), one_each);
    const __m256i is_set = _mm256_cmpeq_epi16(picked, one_each);
    return (W16)_mm256_add_epi16((__m256i)words,
                                 _mm256_and_si256(is_set, _mm256_set1_epi16(number)));
  };
  return {half(v.lo, bits & 0xffffU), half(v.hi, bits >> 16)};
}
// Lane l: words 2l and 2l + 1 times those of x, added.
inline IVec dot_pairs(SVec v, const int16_t* x) {
  const __m256i* at = reinterpret_cast<const __m256i*>(x);
  return {(I8)_mm256_madd_epi16((__m256i)v.lo, _mm256_loadu_si256(at)),
          (I8)_mm256_madd_epi16((__m256i)v.hi, _mm256_loadu_si256(at + 1))};
}
// Words 0 to 15, or 16 to 31, as numbers.
inline Vec sixteen_words(W16 v) {
  const auto eight = [](__m128i words) {
    return (F8)_mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(words));
  };
  return {eight(_mm256_castsi256_si128((__m256i)v)),
          eight(_mm256_extracti128_si256((__m256i)v, 1))};
}
inline Vec low_words(SVec v) {
  return sixteen_words(v.lo);
}
inline Vec high_words(SVec v) {
  return sixteen_words(v.hi);
}

inline Vec fma(Vec a, Vec b, Vec c) {
  return {(F8)_mm256_fmadd_ps((__m256)a.lo, (__m256)b.lo, (__m256)c.lo),
          (F8)_mm256_fmadd_ps((__m256)a.hi, (__m256)b.hi, (__m256)c.hi)};
}
inline Vec max(Vec a, Vec b) {
  return {(F8)_mm256_max_ps((__m256)a.lo, (__m256)b.lo),
          (F8)_mm256_max_ps((__m256)a.hi, (__m256)b.hi)};
}
inline Vec min(Vec a, Vec b) {
  return {(F8)_mm256_min_ps((__m256)a.lo, (__m256)b.lo),
          (F8)_mm256_min_ps((__m256)a.hi, (__m256)b.hi)};
}
inline Vec sqrt(Vec x) {
  return {(F8)_mm256_sqrt_ps((__m256)x.lo), (F8)_mm256_sqrt_ps((__m256)x.hi)};
}

}  // namespace dlm::DLM_TIER
