// Lines of a few tokens as 16-bit codes: how far a code may lie from its number, which numbers are
// exact, and that all tiers write the same bytes. And how rows of weights are dealt out for them.

#include <gtest/gtest.h>

#include <limits>

#include "engine/few_tokens.h"
#include "engine/numbers.h"
#include "engine/ops/linear.h"

namespace dlm {
namespace {

class FewLinesOf : public ::testing::TestWithParam<IsaTier> {
 protected:
  const Kernels& k() const { return kernels(GetParam()); }
};

float largest(const std::vector<float>& x, size_t block) {
  float most = 0;
  for (size_t i = block * 64; i < std::min(x.size(), block * 64 + 64); ++i) {
    most = std::max(most, std::abs(x[i]));
  }
  return most;
}

// Numbers whose blocks differ in size by powers of ten.
std::vector<float> line_of(int64_t n) {
  auto x = numbers(n, 21);
  for (size_t i = 0; i < x.size(); ++i) {
    x[i] *= std::pow(10.0f, static_cast<float>(i / 64 % 7) - 4.0f);
  }
  return x;
}

TEST_P(FewLinesOf, ACodeIsWithinHalfAUnitAndPaddingIsZero) {
  for (const int64_t n : {1, 15, 63, 64, 65, 200, 576, 1024, 1100}) {
    const auto x = line_of(n);
    const FewTokens<float> few(k(), x.data(), 1, n);
    const FewLines& lines = few.lines();
    EXPECT_EQ(lines.ld % kLineBlock, 0);
    for (int64_t i = 0; i < lines.ld; ++i) {
      const float scale = lines.scales_64[i / 64];
      EXPECT_EQ(lines.scales_32[i / 32], scale);
      EXPECT_EQ(lines.scales_16[i / 16], scale);
      const double decoded = static_cast<double>(lines.codes[i]) * static_cast<double>(scale);
      if (i >= n) {
        EXPECT_EQ(lines.codes[i], 0);
        continue;
      }
      const auto at = static_cast<size_t>(i);
      const double most = static_cast<double>(largest(x, at / 64));
      EXPECT_LE(std::abs(decoded - static_cast<double>(x[at])), most * std::ldexp(1.0001, -15))
          << n << " " << i;
    }
    for (int64_t part = 0; part < lines.ld / 32; ++part) {
      double sum = 0;
      for (int64_t i = part * 32; i < part * 32 + 32; ++i) sum += lines.codes[i];
      EXPECT_EQ(static_cast<double>(lines.sums[part]),
                sum * static_cast<double>(lines.scales_32[part]));
    }
  }
}

TEST_P(FewLinesOf, Bf16NumbersNearTheLargestAreExact) {
  const auto x = narrowed(line_of(640));
  const FewTokens<BF16> few(k(), x.data(), 1, 640);
  const auto wide = widened(x);
  int exact = 0;
  for (size_t i = 0; i < wide.size(); ++i) {
    if (std::abs(wide[i]) < largest(wide, i / 64) / 128) continue;
    EXPECT_EQ(static_cast<float>(few.lines().codes[i]) * few.lines().scales_64[i / 64], wide[i]);
    ++exact;
  }
  EXPECT_GT(exact, 600);
}

TEST_P(FewLinesOf, TheLargestNumbersDoNotOverflow) {
  // A block of one number each, up to nearly the largest f32, and just below powers of two.
  std::vector<float> x;
  for (const float number : {1.0f, std::nextafter(2.0f, 1.0f), -std::nextafter(2.0f, 1.0f),
                             65535.9f, 1e-30f, 3.402e38f, -3.402e38f, 1e-38f, 1e-42f}) {
    x.insert(x.end(), 63, 0.0f);
    x.push_back(number);
  }
  const FewTokens<float> few(k(), x.data(), 1, static_cast<int64_t>(x.size()));
  for (size_t i = 63; i < x.size(); i += 64) {
    const double decoded = static_cast<double>(few.lines().codes[i]) *
                           static_cast<double>(few.lines().scales_64[i / 64]);
    const double number = static_cast<double>(x[i]);
    if (std::abs(number) < 1e-30) {
      EXPECT_EQ(decoded, 0.0) << "below 2^-100";
    } else {
      EXPECT_NEAR(decoded, number, std::abs(number) * std::ldexp(1.0, -15));
    }
  }
}

TEST_P(FewLinesOf, ANumberThatIsNotFiniteShows) {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    auto x = numbers(128, 22);
    x[70] = bad;
    const FewTokens<float> few(k(), x.data(), 1, 128);
    EXPECT_FALSE(std::isnan(few.lines().scales_64[0]));
    EXPECT_TRUE(std::isnan(few.lines().scales_64[1]));
    EXPECT_TRUE(std::isnan(few.lines().sums[3]));
  }
}

TEST_P(FewLinesOf, EveryTierWritesTheSameBytes) {
  for (const int64_t n : {1, 65, 576, 1100}) {
    const auto x = line_of(n);
    const FewTokens<float> ours(k(), x.data(), 1, n);
    const FewTokens<float> scalar(kernels(IsaTier::kScalar), x.data(), 1, n);
    const auto same = [](const void* a, const void* b, int64_t bytes) {
      return std::memcmp(a, b, static_cast<size_t>(bytes)) == 0;
    };
    const int64_t ld = ours.lines().ld;
    EXPECT_TRUE(same(ours.lines().codes, scalar.lines().codes, 2 * ld));
    EXPECT_TRUE(same(ours.lines().scales_16, scalar.lines().scales_16, ld / 4));
    EXPECT_TRUE(same(ours.lines().scales_32, scalar.lines().scales_32, ld / 8));
    EXPECT_TRUE(same(ours.lines().scales_64, scalar.lines().scales_64, ld / 16));
    EXPECT_TRUE(same(ours.lines().sums, scalar.lines().sums, ld / 8));
  }
}

INSTANTIATE_TEST_SUITE_P(Tiers, FewLinesOf, ::testing::ValuesIn(supported_isa_tiers()),
                         [](const auto& tier) { return std::string(isa_name(tier.param)); });

// Rows of the fullest worker when tasks are dealt out evenly.
int64_t fullest(const std::vector<int64_t>& outs, int64_t in, int num_workers) {
  const int64_t rows = linear::few_rows(outs, in, num_workers);
  EXPECT_GE(rows, 32);
  EXPECT_LE(rows, linear::kMostFewRows);
  EXPECT_EQ(rows % 8, 0);
  int64_t tasks = 0;
  for (const int64_t out : outs) tasks += (out + rows - 1) / rows;
  return (tasks + num_workers - 1) / num_workers * rows;
}

TEST(FewRows, LetAllWorkersEndTogether) {
  // The layers of SmolLM2-135M.
  EXPECT_EQ(fullest({576, 192, 192}, 576, 2), 480);
  EXPECT_EQ(fullest({576}, 576, 2), 288);
  EXPECT_EQ(fullest({1536, 1536}, 576, 2), 1536);
  EXPECT_EQ(fullest({576}, 1536, 2), 288);
  EXPECT_EQ(fullest({576}, 576, 1), 576);
  // None of many workers goes without where there is enough.
  EXPECT_LE(fullest({576}, 576, 16), 40);
  EXPECT_LE(fullest({2048, 512, 512}, 2048, 16), 200);
  EXPECT_EQ(fullest({8}, 576, 4), linear::few_rows({8}, 576, 4));
  EXPECT_GT(linear::few_rows({4096}, int64_t{1} << 20, 2), 0) << "rows longer than a task";
}

}  // namespace
}  // namespace dlm
