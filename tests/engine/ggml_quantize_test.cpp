// The fast quantizers against the scalar reference: the same bytes on every tier, for every type,
// with and without importance, for numbers of many kinds and every number of rows and blocks that
// leaves lanes empty.
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "engine/cpu/kernels.h"
#include "engine/random.h"
#include "formats/ggml_blocks.h"
#include "formats/ggml_test_rows.h"

namespace dlm {
namespace {

constexpr GgmlType kTypes[] = {GgmlType::kF32,  GgmlType::kF16,  GgmlType::kBF16, GgmlType::kQ4_0,
                               GgmlType::kQ4_1, GgmlType::kQ5_0, GgmlType::kQ5_1, GgmlType::kQ8_0,
                               GgmlType::kQ4_K, GgmlType::kQ5_K, GgmlType::kQ6_K};

// Those with row kernels of their own.
std::vector<IsaTier> kernel_tiers() {
  std::vector<IsaTier> tiers;
  for (const IsaTier tier : supported_isa_tiers()) {
    if (tier <= IsaTier::kAvx512) tiers.push_back(tier);
  }
  return tiers;
}

class QuantizeRows : public ::testing::Test {
 protected:
  static void expect_reference(const std::string& what, const std::vector<float>& x,
                               int64_t columns, const std::vector<float>& importance) {
    const int64_t rows = static_cast<int64_t>(x.size()) / columns;
    const float* weights = importance.empty() ? nullptr : importance.data();
    for (const GgmlType type : kTypes) {
      if (columns % ggml_traits(type).block_elements != 0) continue;
      const int64_t row_bytes = ggml_row_bytes(type, columns);
      std::vector<std::byte> expected(static_cast<size_t>(rows * row_bytes), std::byte{0x11});
      for (int64_t r = 0; r < rows; ++r) {
        ggml_quantize_row(type, x.data() + r * columns, columns, weights,
                          expected.data() + r * row_bytes);
      }
      for (const IsaTier tier : kernel_tiers()) {
        std::vector<std::byte> got(expected.size() + 8, std::byte{0x77});
        kernels(tier).quantize_rows(type, x.data(), rows, columns, weights, got.data());
        ASSERT_EQ(first_difference(expected, got), expected.size())
            << isa_name(tier) << ", " << ggml_traits(type).name << ", " << what
            << (weights != nullptr ? ", weighted" : "") << ", " << rows << " rows of " << columns;
        for (size_t i = expected.size(); i < got.size(); ++i) ASSERT_EQ(got[i], std::byte{0x77});
      }
    }
  }

  static size_t first_difference(const std::vector<std::byte>& a, const std::vector<std::byte>& b) {
    for (size_t i = 0; i < a.size(); ++i) {
      if (a[i] != b[i]) return i;
    }
    return a.size();
  }
};

std::vector<float> scaled(std::vector<float> x, float by) {
  for (float& v : x) v *= by;
  return x;
}

TEST_F(QuantizeRows, EqualsTheReferenceOnSmoothRowsOfEveryShape) {
  for (const int64_t columns : {32, 64, 96, 256, 512, 576, 768, 1536}) {
    for (const int64_t rows : {1, 2, 3, 7, 15, 16, 17, 33}) {
      const std::vector<float> x =
          smooth_rows(static_cast<uint64_t>(columns * 100 + rows), rows * columns);
      expect_reference("smooth", x, columns, {});
      expect_reference("smooth", x, columns, importance_row(static_cast<uint64_t>(rows), columns));
    }
  }
}

TEST_F(QuantizeRows, EqualsTheReferenceOnThePublishedVectors) {
  expect_reference("vectors", smooth_rows(42, 8 * 1024), 1024, {});
  expect_reference("vectors", smooth_rows(42, 8 * 1024), 1024, importance_row(7, 1024));
  expect_reference("edges", edge_row(), 2048, {});
  expect_reference("edges", edge_row(), 2048, std::vector<float>(2048, 1.0f));
}

TEST_F(QuantizeRows, EqualsTheReferenceAtEverySize) {
  // Up to what a weight could be, down to subnormal numbers whose reciprocals are infinite.
  for (const float by : {1e-44f, 1e-40f, 1e-38f, 1e-30f, 1e-20f, 1e-15f, 3e-15f, 1e-8f, 1e-3f,
                         30.0f, 1e4f, 1e8f, 1e12f}) {
    const std::vector<float> x = scaled(smooth_rows(5, 4 * 512), by);
    expect_reference("times " + std::to_string(by), x, 512, {});
    expect_reference("times " + std::to_string(by), x, 512, importance_row(9, 512));
  }
}

// Numbers that searches trip over: ties, zeros of both signs, blocks of one sign, spikes, ranges
// far from zero, few levels.
TEST_F(QuantizeRows, EqualsTheReferenceOnAwkwardNumbers) {
  const int64_t columns = 768, rows = 9;
  for (uint64_t seed = 0; seed < 40; ++seed) {
    SplitMix64 random(seed);
    std::vector<float> x = smooth_rows(seed + 1000, rows * columns);
    std::vector<float> w = importance_row(seed, columns);
    for (size_t i = 0; i < x.size(); ++i) {
      const uint64_t kind = (i / 16 * 2654435761U + seed) % 12;
      const uint64_t bits = random.next();
      const float sign = (bits & 1) != 0 ? -1.0f : 1.0f;
      if (kind == 0) x[i] = sign * 0.0f;
      if (kind == 1) x[i] = sign * 0.25f;
      if (kind == 2) x[i] = std::fabs(x[i]);
      if (kind == 3) x[i] = -std::fabs(x[i]);
      if (kind == 4) x[i] = bits % 32 == 0 ? 1000.0f * x[i] : 1e-6f * x[i];
      if (kind == 5) x[i] = 100.0f + x[i];
      if (kind == 6) x[i] = -100.0f + 1e-4f * x[i];
      if (kind == 7) x[i] = static_cast<float>(static_cast<int>(bits % 7)) - 3.0f;
      if (kind == 8) x[i] = std::ldexp(x[i], static_cast<int>(bits % 60) - 50);
      if (kind == 9) x[i] = bits % 64 == 0 ? 1.0f : 0.0f;
      if (kind == 10) x[i] = static_cast<float>(i % 32) * 0.5f;
    }
    for (size_t i = 0; i < w.size(); ++i) {
      if (seed % 3 == 0 && i % 5 == 0) w[i] = 0;
      if (seed % 4 == 1) w[i] = std::ldexp(w[i], static_cast<int>(random.next() % 80) - 60);
      if (seed % 7 == 2 && i / 32 % 3 == 0) w[i] = 0;
    }
    expect_reference("awkward, seed " + std::to_string(seed), x, columns, {});
    expect_reference("awkward, seed " + std::to_string(seed), x, columns, w);
  }
}

TEST_F(QuantizeRows, FloatsOfAnyLengthAreConverted) {
  for (const int64_t columns : {1, 5, 15, 17, 72}) {
    expect_reference("floats", scaled(smooth_rows(3, 3 * columns), 70000.0f), columns, {});
    expect_reference("floats", scaled(smooth_rows(4, 3 * columns), 1e-6f), columns, {});
  }
}

TEST_F(QuantizeRows, FindsNumbersThatAreNotFinite) {
  for (const IsaTier tier : kernel_tiers()) {
    for (const int64_t n : {1, 16, 37}) {
      const std::vector<float> x = smooth_rows(1, n);
      EXPECT_TRUE(kernels(tier).all_finite(x.data(), n));
      for (const float bad : {INFINITY, -INFINITY, NAN, -NAN}) {
        for (int64_t at = 0; at < n; ++at) {
          std::vector<float> y = x;
          y[static_cast<size_t>(at)] = bad;
          EXPECT_FALSE(kernels(tier).all_finite(y.data(), n));
        }
      }
    }
  }
}

}  // namespace
}  // namespace dlm
