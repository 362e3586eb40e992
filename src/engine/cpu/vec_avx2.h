// Sixteen lanes as two AVX2 registers. GCC lowers 64-byte vectors to single elements on AVX2, ten
// times slower than this pair; everywhere else they are compiler vectors (simd.h).
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace dlm::DLM_TIER {

typedef float F8 __attribute__((vector_size(32), aligned(4), may_alias));
typedef int32_t I8 __attribute__((vector_size(32), aligned(4), may_alias));
typedef uint32_t U8 __attribute__((vector_size(32), aligned(4), may_alias));

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
  friend Pair operator<<(Pair a, int count) { return {a.lo << count, a.hi << count}; }
  friend Pair operator>>(Pair a, int count) { return {a.lo >> count, a.hi >> count}; }
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
