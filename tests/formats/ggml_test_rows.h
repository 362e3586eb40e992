// The inputs of the published quantizer vectors: numbers that any program can make, exactly.
#pragma once

#include <cstdint>
#include <vector>

namespace dlm {

// Steele, Lea and Flood 2014: Fast splittable pseudorandom number generators.
class SplitMix64 {
 public:
  explicit SplitMix64(uint64_t state) : state_(state) {}
  uint64_t next() {
    uint64_t z = state_ += 0x9E3779B97F4A7C15U;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9U;
    z = (z ^ z >> 27) * 0x94D049BB133111EBU;
    return z ^ z >> 31;
  }

 private:
  uint64_t state_;
};

// Sums of four uniform numbers, within (-1, 1).
inline std::vector<float> smooth_rows(uint64_t seed, int64_t count) {
  SplitMix64 random(seed);
  std::vector<float> x(static_cast<size_t>(count));
  for (float& value : x) {
    const uint64_t bits = random.next();
    const int64_t sum = static_cast<int64_t>((bits & 0xffff) + (bits >> 16 & 0xffff) +
                                             (bits >> 32 & 0xffff) + (bits >> 48));
    value = static_cast<float>(sum - 131070) * 0x1p-17f;
  }
  return x;
}

// Uniform in (0, 1].
inline std::vector<float> importance_row(uint64_t seed, int64_t count) {
  SplitMix64 random(seed);
  std::vector<float> w(static_cast<size_t>(count));
  for (float& value : w) value = static_cast<float>(1 + (random.next() >> 40)) * 0x1p-24f;
  return w;
}

// Eight super-blocks: zeros, ones, minus ones, one spike, two ramps, tiny numbers, alternating
// signs.
inline std::vector<float> edge_row() {
  std::vector<float> x(2048);
  for (int i = 0; i < 256; ++i) {
    x[256 + i] = 1;
    x[512 + i] = -1;
    x[768 + i] = i == 0 ? 1000.0f : 0.0f;
    x[1024 + i] = static_cast<float>(i) / 256;
    x[1280 + i] = -(static_cast<float>(i) / 256);
    x[1536 + i] = static_cast<float>(i - 128) * 1e-20f;
    x[1792 + i] = i % 2 == 0 ? 0.5f : -0.5f;
  }
  return x;
}

}  // namespace dlm
