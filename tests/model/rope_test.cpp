// Each rule for long contexts against its formula, written out in f64. Frequencies are rounded to
// f32, so they agree to 2^-24; a table's cosines and sines to 1e-6 at small angles.

#include "model/rope.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

namespace dlm {
namespace {

constexpr int64_t kHead = 16;

double plain(double theta, int64_t i, int64_t dim = kHead) {
  return std::pow(theta, -2.0 * static_cast<double>(i) / static_cast<double>(dim));
}

void expect_frequencies(const RopeConfig& config, int64_t length,
                        const std::vector<double>& expected) {
  const std::vector<double> ours = config.frequencies(kHead, length);
  ASSERT_EQ(ours.size(), expected.size());
  for (size_t i = 0; i < ours.size(); ++i) {
    EXPECT_NEAR(ours[i] / expected[i], 1.0, 0x1p-23) << config.type << " " << i;
  }
}

TEST(Rope, DefaultFallsGeometrically) {
  std::vector<double> expected;
  for (int64_t i = 0; i < 8; ++i) expected.push_back(plain(10000.0, i));
  expect_frequencies(RopeConfig{}, 100, expected);
}

TEST(Rope, LinearDividesEveryFrequency) {
  RopeConfig c;
  c.type = "linear";
  c.factor = 4.0;
  std::vector<double> expected;
  for (int64_t i = 0; i < 8; ++i) expected.push_back(plain(10000.0, i) / 4.0);
  expect_frequencies(c, 100, expected);
}

TEST(Rope, DynamicRaisesThetaBeyondTheOriginalContextOnly) {
  RopeConfig c;
  c.type = "dynamic";
  c.factor = 2.0;
  c.original_max_positions = 64;
  std::vector<double> within;
  std::vector<double> beyond;
  // theta (factor length / context - (factor - 1))^(dim / (dim - 2))
  const double theta = 10000.0 * std::pow(2.0 * 96.0 / 64.0 - 1.0, 16.0 / 14.0);
  for (int64_t i = 0; i < 8; ++i) {
    within.push_back(plain(10000.0, i));
    beyond.push_back(plain(theta, i));
  }
  expect_frequencies(c, 64, within);
  expect_frequencies(c, 96, beyond);
  EXPECT_EQ(c.variant(1), c.variant(64));
  EXPECT_NE(c.variant(65), c.variant(64));
  EXPECT_NE(c.variant(65), c.variant(66));
}

TEST(Rope, YarnKeepsFastWavesAndInterpolatesSlowOnes) {
  RopeConfig c;
  c.type = "yarn";
  c.factor = 4.0;
  c.original_max_positions = 2048;
  // Dimension with r turns in the context: 16 ln(2048 / (2 pi r)) / (2 ln 10000).
  const auto dimension = [](double turns) {
    return 16.0 * std::log(2048.0 / (turns * 2.0 * std::numbers::pi)) / (2.0 * std::log(10000.0));
  };
  const double low = std::floor(dimension(32.0));
  const double high = std::ceil(dimension(1.0));
  std::vector<double> expected;
  for (int64_t i = 0; i < 8; ++i) {
    const double ramp = std::min(1.0, std::max(0.0, (static_cast<double>(i) - low) / (high - low)));
    expected.push_back(plain(10000.0, i) * ((1.0 - ramp) + ramp / 4.0));
  }
  EXPECT_EQ(expected[0], 1.0);
  EXPECT_EQ(expected[7], plain(10000.0, 7) / 4.0);
  expect_frequencies(c, 100, expected);
}

TEST(Rope, Llama3SlowsLongWavesByBands) {
  RopeConfig c;
  c.type = "llama3";
  c.factor = 8.0;
  c.low_freq_factor = 1.0;
  c.high_freq_factor = 4.0;
  c.original_max_positions = 64;
  std::vector<double> expected;
  for (int64_t i = 0; i < 8; ++i) {
    const double f = plain(10000.0, i);
    const double wavelength = 2.0 * std::numbers::pi / f;
    if (wavelength < 64.0 / 4.0) {
      expected.push_back(f);
    } else if (wavelength > 64.0) {
      expected.push_back(f / 8.0);
    } else {
      const double smooth = (64.0 / wavelength - 1.0) / 3.0;
      expected.push_back((1.0 - smooth) * f / 8.0 + smooth * f);
    }
  }
  expect_frequencies(c, 100, expected);
}

TEST(Rope, LongropeTakesTheListOfTheLength) {
  RopeConfig c;
  c.type = "longrope";
  c.original_max_positions = 32;
  std::vector<double> short_list;
  std::vector<double> long_list;
  for (int64_t i = 0; i < 8; ++i) {
    c.short_factors.push_back(1.0 + 0.1 * static_cast<double>(i));
    c.long_factors.push_back(2.0 + static_cast<double>(i));
    short_list.push_back(plain(10000.0, i) / c.short_factors.back());
    long_list.push_back(plain(10000.0, i) / c.long_factors.back());
  }
  expect_frequencies(c, 32, short_list);
  expect_frequencies(c, 33, long_list);
  EXPECT_NE(c.variant(32), c.variant(33));
}

TEST(Rope, PartialRotationHasFewerPairs) {
  RopeConfig c;
  c.partial_rotary_factor = 0.75;
  EXPECT_EQ(c.rot(kHead), 12);
  std::vector<double> expected;
  for (int64_t i = 0; i < 6; ++i) expected.push_back(plain(10000.0, i, 12));
  expect_frequencies(c, 100, expected);
}

TEST(Rope, TablesHoldCosinesAndSinesTimesTheAttentionFactor) {
  RopeConfig c;
  c.attention_factor = 1.25;
  const RopeTables tables(c, kHead, 50);
  const auto table = tables.table(50);
  ASSERT_EQ(table->cos.size(), 50U * 8U);
  for (size_t p = 0; p < 50; ++p) {
    for (size_t i = 0; i < 8; ++i) {
      const double angle = static_cast<double>(p) * plain(10000.0, static_cast<int64_t>(i));
      // A frequency is off by 2^-24 at most, an angle of up to 50 by 3e-6.
      EXPECT_NEAR(table->cos[p * 8 + i], 1.25 * std::cos(angle), 4e-6);
      EXPECT_NEAR(table->sin[p * 8 + i], 1.25 * std::sin(angle), 4e-6);
    }
  }
  EXPECT_EQ(tables.table(3), table) << "one table serves all lengths";
}

}  // namespace
}  // namespace dlm
