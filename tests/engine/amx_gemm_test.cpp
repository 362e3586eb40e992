// AMX products against f64: what they add to plain ones, which gemm_test.cpp has.

#include "engine/cpu/amx_gemm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "engine/cpu/isa.h"
#include "engine/numbers.h"

namespace dlm {
namespace {

class AmxGemm : public ::testing::Test {
 protected:
  void SetUp() override {
    if (isa_tier() != IsaTier::kAmx) GTEST_SKIP() << "skipped: no AMX on this tier";
  }
};

double at(const std::vector<float>& x, int64_t i) {
  return static_cast<double>(x[static_cast<size_t>(i)]);
}

// The numbers on a boundary of 64 bytes, as activations lie.
Tensor aligned(const std::vector<BF16>& numbers) {
  Tensor copy = Tensor::zeros({static_cast<int64_t>(numbers.size())}, DType::kBF16);
  std::memcpy(copy.mutable_data(), numbers.data(), numbers.size() * sizeof(BF16));
  return copy;
}

// The product's sum is f32 over k; halves of factors keep 16 bits of them: 2^-16 of a term of rank.
TEST_F(AmxGemm, AddsWhatComesBeforeAndAfterTheSumAndALowRankTerm) {
  struct Case {
    int64_t m, n, k, rank;
    bool trans_b, narrow, adds, adds_after;
  };
  for (const Case& c : {Case{64, 96, 64, 8, true, false, true, false},
                        {33, 50, 40, 8, true, true, false, true},
                        {16, 32, 2100, 3, false, true, true, true},
                        {48, 64, 96, 64, false, false, true, true},
                        {100, 40, 1500, 16, true, true, false, false},
                        {64, 96, 1024, 20, true, true, true, false},
                        {96, 70, 800, 33, false, false, false, true},
                        {7, 5, 32, 1, true, false, true, true}}) {
    const auto a = narrowed(numbers(c.m * c.k, 1));
    const auto b = narrowed(numbers(c.n * c.k, 2));
    const auto wide_a = widened(a);
    const auto wide_b = widened(b);
    const auto u = numbers(c.m * c.rank, 3);
    const auto v = numbers(c.rank * c.n, 4);
    const auto addend = numbers(c.m * c.n, 5);
    const auto plus = numbers(c.m * c.n, 11);
    const Tensor lines = aligned(a);
    AmxProduct p;
    p.shape.m = c.m;
    p.shape.n = p.shape.ldc = c.n;
    p.shape.k = p.shape.lda = c.k;
    p.shape.trans_b = c.trans_b;
    p.shape.ldb = c.trans_b ? c.k : c.n;
    p.shape.output = c.narrow ? DType::kBF16 : DType::kF32;
    p.a = lines.bf16();
    p.b = b.data();
    p.low_rank = {u.data(), c.rank, v.data(), c.n, c.rank};
    if (c.adds) {
      p.addend = addend.data();
      p.ld_addend = c.n;
    }
    if (c.adds_after) {
      p.plus = plus.data();
      p.ld_plus = c.n;
    }
    std::vector<float> sums(static_cast<size_t>(c.m * c.n));
    std::vector<BF16> rounded(sums.size());
    p.c = c.narrow ? static_cast<void*>(rounded.data()) : sums.data();
    amx_product(p);
    if (c.narrow) sums = widened(rounded);
    const auto k = static_cast<double>(c.k + 4 * c.rank);
    for (int64_t i = 0; i < c.m; ++i) {
      for (int64_t j = 0; j < c.n; ++j) {
        double exact = c.adds ? at(addend, i * c.n + j) : 0;
        if (c.adds_after) exact += at(plus, i * c.n + j);
        double size = 0;
        for (int64_t x = 0; x < c.k; ++x) {
          exact += at(wide_a, i * c.k + x) * at(wide_b, c.trans_b ? j * c.k + x : x * c.n + j);
        }
        for (int64_t r = 0; r < c.rank; ++r) {
          const double term = at(u, i * c.rank + r) * at(v, r * c.n + j);
          exact += term;
          size += std::abs(term);
        }
        const double bound = k * k * std::ldexp(1.0, -25) + size * std::ldexp(1.0, -16) +
                             (c.narrow ? std::ldexp(std::abs(exact), -8) : 0.0) + 1e-30;
        EXPECT_NEAR(at(sums, i * c.n + j), exact, bound) << c.m << " " << c.k << " " << c.rank;
      }
    }
  }
}

TEST_F(AmxGemm, GivesTheSameBitsWhereverTheyGoAndLinesLie) {
  constexpr int64_t kSize = 96;
  constexpr int64_t kDepth = 800;
  const auto a = narrowed(numbers(kSize * kDepth + 1, 12));
  const auto b = narrowed(numbers(kSize * kDepth, 13));
  const auto c_of = [&](const BF16* lines, bool past_caches) {
    Tensor c = Tensor::zeros({kSize, kSize}, DType::kBF16);
    AmxProduct p;
    p.shape.m = p.shape.n = p.shape.ldc = kSize;
    p.shape.k = p.shape.lda = p.shape.ldb = kDepth;
    p.shape.trans_b = true;
    p.shape.output = DType::kBF16;
    p.a = lines;
    p.b = b.data();
    p.c = c.mutable_data();
    p.past_caches = past_caches;
    amx_product(p);
    return std::vector<BF16>(c.bf16(), c.bf16() + kSize * kSize);
  };
  const Tensor on_boundary = aligned({a.begin() + 1, a.end()});
  const Tensor beside = aligned(a);
  const std::vector<BF16> expected = c_of(on_boundary.bf16(), false);
  EXPECT_TRUE(same_bytes(expected, c_of(on_boundary.bf16(), true)));
  EXPECT_TRUE(same_bytes(expected, c_of(beside.bf16() + 1, false)));
}

TEST_F(AmxGemm, ProjectsOnAFactorOfLowRank) {
  for (const int64_t rank : {1, 2, 8, 20}) {
    const int64_t lines = 37;
    const int64_t cols = 96;
    const auto x = narrowed(numbers(lines * (cols + 5), 6));
    const auto wide = widened(x);
    const auto factor = numbers(rank * cols, 7);
    std::vector<float> to(static_cast<size_t>(lines * rank), NAN);
    amx_rank_project(x.data(), lines, cols + 5, cols, factor.data(), rank, 2.0f, to.data());
    for (int64_t i = 0; i < lines; ++i) {
      for (int64_t r = 0; r < rank; ++r) {
        double exact = 0;
        double size = 0;
        for (int64_t k = 0; k < cols; ++k) {
          const double term = 2 * at(wide, i * (cols + 5) + k) * at(factor, r * cols + k);
          exact += term;
          size += std::abs(term);
        }
        EXPECT_NEAR(at(to, i * rank + r), exact, size * std::ldexp(1.0, -15));
      }
    }
  }
}

TEST_F(AmxGemm, SumsOuterProductsOnTopOfWhatIsThere) {
  for (const int64_t lines : {1, 31, 70, 1300}) {
    const int64_t rank = 8;
    const int64_t cols = 80;
    const auto x = narrowed(numbers(lines * cols, 8));
    const auto wide = widened(x);
    const auto u = numbers(lines * rank, 9);
    auto to = numbers(rank * (cols + 3), 10);
    const auto before = to;
    amx_rank_outer(x.data(), lines, cols, cols, u.data(), rank, to.data(), cols + 3);
    for (int64_t r = 0; r < rank; ++r) {
      for (int64_t k = 0; k < cols; ++k) {
        double exact = at(before, r * (cols + 3) + k);
        double size = std::abs(exact);
        for (int64_t i = 0; i < lines; ++i) {
          const double term = at(u, i * rank + r) * at(wide, i * cols + k);
          exact += term;
          size += std::abs(term);
        }
        EXPECT_NEAR(at(to, r * (cols + 3) + k), exact, size * std::ldexp(1.0, -14));
      }
      EXPECT_EQ(to[static_cast<size_t>(r * (cols + 3) + cols)],
                before[static_cast<size_t>(r * (cols + 3) + cols)]);
    }
  }
}

}  // namespace
}  // namespace dlm
