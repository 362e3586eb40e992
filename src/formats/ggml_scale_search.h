// The searches for scales that the quantizers of ggml_blocks.h share. Every sum runs from the first
// element to the last in f32, and integers become f32 before they are multiplied: the bytes of the
// format depend on it.
#pragma once

#include <bit>
#include <cstdint>

namespace dlm::ggml {

// Below this magnitude a group of numbers counts as all zero.
inline constexpr float kAllZero = 1e-15f;

// The nearest integer, ties to even, of |v| <= 4194303: adding 1.5 * 2^23 leaves it in the low bits
// of the sum. Other v give some integer, the same everywhere.
inline int nearest_int(float v) {
  const float shifted = v + 12582912.0f;
  return static_cast<int>(std::bit_cast<uint32_t>(shifted) & 0x007fffffU) - 0x00400000;
}

inline int clamp_int(int v, int low, int high) {
  return v < low ? low : v > high ? high : v;
}

// The scale for which scale * (code - levels) is nearest to x [n] in weighted squared error, among
// 19 grids around the one whose edge is the largest magnitude. Codes are 0 to 2 * levels - 1.
// `weights`, f32 [n], may be null: the squares of x then. All zero: codes and scale are 0.
float search_symmetric(int n, int levels, const float* x, const float* weights, uint8_t* codes);

struct GridSearch {
  float first, step;            // the grid's size is most + first + step * i,
  int num_steps;                // i from 0 to num_steps
  bool constant_is_zero_width;  // whether largest < smallest counts as constant too
};
inline constexpr GridSearch kGridQ4_K = {-1.0f, 0.1f, 20, false};
inline constexpr GridSearch kGridQ5_K = {-0.5f, 0.1f, 15, false};
inline constexpr GridSearch kGridWeighted = {-0.9f, 0.05f, 36, true};

struct ScaleAndMinimum {
  float scale;
  float minimum;  // x is near scale * code - minimum; never negative
};

// Least squares of x [n] over scale, minimum and codes 0 to `most`, refined grid by grid: each grid
// starts at the best minimum so far.
ScaleAndMinimum search_affine(int n, int most, const float* x, const float* weights,
                              const GridSearch& search, uint8_t* codes);

// The scale for which scale * code is nearest to x [n] >= 0; n is at most 8, codes are 0 to `most`.
float search_positive(int n, int most, const float* x, const float* weights, uint8_t* codes);

}  // namespace dlm::ggml
