#include "support/elementary.h"

#include <cmath>
#include <cstdint>

namespace dlm {

namespace {

// x = quadrant * pi/2 + rest with |rest| <= pi/4. pi/2 is three numbers of 33 bits (Cody and Waite
// 1980), so that the products with quadrants up to 2^20 are exact.
struct Reduced {
  int64_t quadrant;
  double rest;
};

Reduced reduce(double x) {
  constexpr double kTwoOverPi = 0.63661977236758134308;
  constexpr double kHigh = 1.57079632673412561417e+00;
  constexpr double kMiddle = 6.07710050630396597660e-11;
  constexpr double kLow = 2.02226624879595063154e-21;
  const double n = std::floor(x * kTwoOverPi + 0.5);
  return {static_cast<int64_t>(n), ((x - n * kHigh) - n * kMiddle) - n * kLow};
}

// Taylor series: on |r| <= pi/4 the first term left out is below 1e-18.
double sin_series(double r) {
  const double square = r * r;
  double sum = 0;
  for (int k = 17; k >= 3; k -= 2) sum = -(1.0 + sum) * square / static_cast<double>(k * (k - 1));
  return r + r * sum;
}

double cos_series(double r) {
  const double square = r * r;
  double sum = 0;
  for (int k = 18; k >= 2; k -= 2) sum = -(1.0 + sum) * square / static_cast<double>(k * (k - 1));
  return 1.0 + sum;
}

}  // namespace

double exact_sin(double x) {
  const Reduced r = reduce(x);
  switch (r.quadrant & 3) {
    case 0:
      return sin_series(r.rest);
    case 1:
      return cos_series(r.rest);
    case 2:
      return -sin_series(r.rest);
    default:
      return -cos_series(r.rest);
  }
}

double exact_cos(double x) {
  const Reduced r = reduce(x);
  switch (r.quadrant & 3) {
    case 0:
      return cos_series(r.rest);
    case 1:
      return -sin_series(r.rest);
    case 2:
      return -cos_series(r.rest);
    default:
      return sin_series(r.rest);
  }
}

// ln 2 as 32 bits and the rest: products of the first with an exponent are exact.
constexpr double kLn2High = 6.93147180369123816490e-01;
constexpr double kLn2Low = 1.90821492927058770002e-10;

// x = m * 2^e with m in [sqrt(1/2), sqrt(2)); ln m = 2 artanh((m - 1) / (m + 1)).
double exact_log(double x) {
  int exponent = 0;
  double m = std::frexp(x, &exponent);  // exact
  if (m < 0.70710678118654752) {
    m *= 2.0;
    --exponent;
  }
  const double s = (m - 1.0) / (m + 1.0);
  const double square = s * s;
  double series = 0;
  for (int k = 23; k >= 3; k -= 2) series = (series + 1.0 / static_cast<double>(k)) * square;
  const auto e = static_cast<double>(exponent);
  return e * kLn2High + (2.0 * s + (2.0 * s * series + e * kLn2Low));
}

double exact_exp(double x) {
  const double n = std::floor(x * 1.44269504088896340736 + 0.5);
  const double r = (x - n * kLn2High) - n * kLn2Low;
  double sum = 0;
  for (int k = 16; k >= 1; --k) sum = (sum + 1.0) * r / static_cast<double>(k);
  return std::ldexp(1.0 + sum, static_cast<int>(n));  // exact
}

double exact_pow(double base, double exponent) {
  return exact_exp(exponent * exact_log(base));
}

}  // namespace dlm
