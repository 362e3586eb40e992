#include "formats/ggml_scale_search.h"

#include <algorithm>
#include <cmath>

namespace dlm::ggml {

namespace {

// Sums of weight * x * code and weight * code^2 of one symmetric grid.
struct Fit {
  float xl = 0;
  float ll = 0;
};

Fit fit_symmetric(int n, int levels, const float* x, const float* weights, float inverse) {
  Fit fit;
  for (int i = 0; i < n; ++i) {
    const float l = static_cast<float>(clamp_int(nearest_int(inverse * x[i]), -levels, levels - 1));
    const float w = weights != nullptr ? weights[i] : x[i] * x[i];
    fit.xl += w * x[i] * l;
    fit.ll += w * l * l;
  }
  return fit;
}

}  // namespace

float search_symmetric(int n, int levels, const float* x, const float* weights, uint8_t* codes) {
  float largest = 0;  // with its sign; the first of equals
  float magnitude = 0;
  for (int i = 0; i < n; ++i) {
    if (std::fabs(x[i]) > magnitude) {
      magnitude = std::fabs(x[i]);
      largest = x[i];
    }
  }
  if (magnitude < kAllZero) {
    for (int i = 0; i < n; ++i) codes[i] = 0;
    return 0;
  }
  float inverse = -static_cast<float>(levels) / largest;
  Fit fit = fit_symmetric(n, levels, x, weights, inverse);
  float scale = fit.ll != 0 ? fit.xl / fit.ll : 0.0f;
  float best = scale * fit.xl;
  float best_inverse = inverse;
  for (int step = -9; step <= 9; ++step) {
    if (step == 0) continue;
    inverse = -(static_cast<float>(levels) + 0.1f * static_cast<float>(step)) / largest;
    fit = fit_symmetric(n, levels, x, weights, inverse);
    if (fit.ll > 0 && fit.xl * fit.xl > best * fit.ll) {
      best_inverse = inverse;
      scale = fit.xl / fit.ll;
      best = scale * fit.xl;
    }
  }
  for (int i = 0; i < n; ++i) {
    const int l = clamp_int(nearest_int(best_inverse * x[i]), -levels, levels - 1);
    codes[i] = static_cast<uint8_t>(l + levels);
  }
  return scale;
}

ScaleAndMinimum search_affine(int n, int most, const float* x, const float* weights,
                              const GridSearch& search, uint8_t* codes) {
  float low = x[0], high = x[0];
  float sum_w = weights[0], sum_x = weights[0] * x[0];
  for (int i = 1; i < n; ++i) {
    if (x[i] < low) low = x[i];
    if (x[i] > high) high = x[i];
    sum_w += weights[i];
    sum_x += weights[i] * x[i];
  }
  if (low > 0) low = 0;
  if (search.constant_is_zero_width ? high <= low : high == low) {
    for (int i = 0; i < n; ++i) codes[i] = 0;
    return {0, -low};
  }
  float inverse = static_cast<float>(most) / (high - low);
  float scale = 1 / inverse;
  float best = 0;
  float best_inverse = inverse, best_low = low;
  for (int i = 0; i < n; ++i) {
    const int l = clamp_int(nearest_int(inverse * (x[i] - low)), 0, most);
    const float e = scale * static_cast<float>(l) + low - x[i];
    best += weights[i] * (e * e);
  }
  for (int step = 0; step <= search.num_steps; ++step) {
    inverse = (search.first + search.step * static_cast<float>(step) + static_cast<float>(most)) /
              (high - low);
    const float start = low;
    float sum_l = 0, sum_l2 = 0, sum_xl = 0;
    for (int i = 0; i < n; ++i) {
      const float l = static_cast<float>(clamp_int(nearest_int(inverse * (x[i] - low)), 0, most));
      const float wl = weights[i] * l;
      sum_l += wl;
      sum_l2 += wl * l;
      sum_xl += wl * x[i];
    }
    const float determinant = sum_w * sum_l2 - sum_l * sum_l;
    if (!(determinant > 0)) continue;
    float this_scale = (sum_w * sum_xl - sum_x * sum_l) / determinant;
    float this_low = (sum_l2 * sum_x - sum_l * sum_xl) / determinant;
    if (this_low > 0) {
      this_low = 0;
      this_scale = sum_xl / sum_l2;
    }
    float error = 0;
    for (int i = 0; i < n; ++i) {
      const int l = clamp_int(nearest_int(inverse * (x[i] - low)), 0, most);
      const float e = this_scale * static_cast<float>(l) + this_low - x[i];
      error += weights[i] * (e * e);
    }
    if (error < best) {
      best = error;
      scale = this_scale;
      low = this_low;
      best_inverse = inverse;
      best_low = start;
    }
  }
  for (int i = 0; i < n; ++i) {
    codes[i] =
        static_cast<uint8_t>(clamp_int(nearest_int(best_inverse * (x[i] - best_low)), 0, most));
  }
  return {scale, -low};
}

float search_positive(int n, int most, const float* x, const float* weights, uint8_t* codes) {
  float largest = 0;
  for (int i = 0; i < n; ++i) largest = x[i] > largest ? x[i] : largest;
  if (largest < kAllZero) {
    for (int i = 0; i < n; ++i) codes[i] = 0;
    return 0;
  }
  // Codes are bytes from the start: a number below zero wraps, as the format's own tools have it.
  float inverse = static_cast<float>(most) / largest;
  const float first_scale = 1 / inverse;
  float best = 0;
  for (int i = 0; i < n; ++i) {
    const uint8_t l = static_cast<uint8_t>(nearest_int(inverse * x[i]));
    const float e = x[i] - first_scale * static_cast<float>(l);
    best += weights[i] * e * e;
  }
  for (int step = -4; step <= 4; ++step) {
    if (step == 0) continue;
    const float other = (0.1f * static_cast<float>(step) + static_cast<float>(most)) / largest;
    const float scale = 1 / other;
    float error = 0;
    for (int i = 0; i < n; ++i) {
      const int l = std::min(most, nearest_int(other * x[i]));
      const float e = x[i] - scale * static_cast<float>(l);
      error += weights[i] * e * e;
    }
    if (error < best) {
      best = error;
      inverse = other;
    }
  }
  float sum_xl = 0, sum_l2 = 0;
  for (int i = 0; i < n; ++i) {
    const int l = std::min(most, nearest_int(inverse * x[i]));
    codes[i] = static_cast<uint8_t>(l);
    sum_xl += weights[i] * x[i] * static_cast<float>(l);
    sum_l2 += weights[i] * static_cast<float>(l) * static_cast<float>(l);
  }
  // Coordinate descent: one code at a time, as long as one changes.
  for (int pass = 0; pass < 5; ++pass) {
    bool has_changed = false;
    for (int i = 0; i < n; ++i) {
      const float w = weights[i];
      const float code = static_cast<float>(codes[i]);
      float xl = sum_xl - w * x[i] * code;
      float l2 = sum_l2 - w * code * code;
      if (!(xl > 0 && l2 > 0)) continue;
      const int next = std::min(most, nearest_int(x[i] * l2 / xl));
      if (next == codes[i]) continue;
      xl += w * x[i] * static_cast<float>(next);
      l2 += w * static_cast<float>(next) * static_cast<float>(next);
      if (xl * xl * sum_l2 > sum_xl * sum_xl * l2) {
        codes[i] = static_cast<uint8_t>(next);
        sum_xl = xl;
        sum_l2 = l2;
        has_changed = true;
      }
    }
    if (!has_changed) break;
  }
  return sum_l2 > 0 ? sum_xl / sum_l2 : 0.0f;
}

}  // namespace dlm::ggml
