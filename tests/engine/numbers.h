// Test numbers that are the same everywhere, and distances in units of the last place.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "engine/random.h"
#include "engine/tensor.h"

namespace dlm {

// Uniform in (-scale, scale); other seeds give other numbers.
inline std::vector<float> numbers(int64_t count, uint64_t seed, double scale = 1.0) {
  std::vector<float> out;
  for (int64_t i = 0; i < count; ++i) {
    const double u = uniform(random_key({seed, static_cast<uint64_t>(i)}));
    out.push_back(static_cast<float>((2.0 * u - 1.0) * scale));
  }
  return out;
}

inline std::vector<BF16> narrowed(const std::vector<float>& x) {
  std::vector<BF16> out;
  for (const float v : x) out.push_back(to_bf16(v));
  return out;
}
inline std::vector<float> widened(const std::vector<BF16>& x) {
  std::vector<float> out;
  for (const BF16 v : x) out.push_back(to_f32(v));
  return out;
}

// `x` in the type T, and T back in f32.
template <class T>
std::vector<T> as_type(const std::vector<float>& x);
template <>
inline std::vector<float> as_type<float>(const std::vector<float>& x) {
  return x;
}
template <>
inline std::vector<BF16> as_type<BF16>(const std::vector<float>& x) {
  return narrowed(x);
}
inline std::vector<float> as_f32(const std::vector<float>& x) {
  return x;
}
inline std::vector<float> as_f32(const std::vector<BF16>& x) {
  return widened(x);
}

// Distance of an f32 from the exact value, in f32 units of the last place at that value.
inline double ulps(float got, double exact) {
  if (std::isnan(got) || std::isnan(exact)) return std::isnan(got) && std::isnan(exact) ? 0 : 1e30;
  const int exponent = exact == 0 ? -126 : std::max(std::ilogb(exact), -126);
  return std::abs(static_cast<double>(got) - exact) / std::ldexp(1.0, exponent - 23);
}

template <class T>
bool same_bytes(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

}  // namespace dlm
