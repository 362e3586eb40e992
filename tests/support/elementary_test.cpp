// Our elementary functions against the C library's, which are within one unit in the last place.

#include "support/elementary.h"

#include <gtest/gtest.h>

#include <cmath>

namespace dlm {
namespace {

TEST(Elementary, SineAndCosineHoldUpToAMillionRadians) {
  for (int64_t i = -1'048'576; i <= 1'048'576; i += 37) {
    const double x = static_cast<double>(i) + static_cast<double>(i % 2'003) / 2'003.0;
    EXPECT_NEAR(exact_sin(x), std::sin(x), 4e-16) << x;
    EXPECT_NEAR(exact_cos(x), std::cos(x), 4e-16) << x;
  }
  EXPECT_EQ(exact_sin(0.0), 0.0);
  EXPECT_EQ(exact_cos(0.0), 1.0);
}

TEST(Elementary, LogarithmAndExponentialKeepFifteenDigits) {
  for (int i = 1; i < 20'000; ++i) {
    const double x = std::ldexp(static_cast<double>(i) / 7.0, i % 60 - 30);
    EXPECT_NEAR(exact_log(x), std::log(x), 1e-15 * (1.0 + std::abs(std::log(x)))) << x;
    const double y = static_cast<double>(i - 10'000) / 100.0;
    EXPECT_NEAR(exact_exp(y) / std::exp(y), 1.0, 1e-15) << y;
  }
  EXPECT_EQ(exact_log(1.0), 0.0);
  EXPECT_EQ(exact_exp(0.0), 1.0);
}

// What inverse frequencies are made of: a theta to a power between -1 and 0.
TEST(Elementary, PowersRoundToTheSameF32AsTheLibrarys) {
  for (const double theta : {1e4, 1e5, 5e5, 1e6, 5e6}) {
    for (int i = 0; i < 128; ++i) {
      const double e = -static_cast<double>(i) / 128.0;
      EXPECT_EQ(static_cast<float>(exact_pow(theta, e)), static_cast<float>(std::pow(theta, e)));
    }
  }
}

}  // namespace
}  // namespace dlm
