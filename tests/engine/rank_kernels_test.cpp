// The low-rank kernels and dropout of every tier: against f64, and that a result never depends on
// its neighbours in the call (how many rows, which columns).

#include <gtest/gtest.h>

#include <algorithm>

#include "engine/cpu/kernels.h"
#include "engine/numbers.h"

namespace dlm {
namespace {

class RankKernelsOf : public ::testing::TestWithParam<IsaTier> {
 protected:
  const Kernels& k() const { return kernels(GetParam()); }
};

double at(const std::vector<float>& x, int64_t i) {
  return static_cast<double>(x[static_cast<size_t>(i)]);
}

// Sums of n products below 1: each of the n / 16 + 5 roundings moves the result by at most 2^-24 n.
double bound(int64_t n) {
  return (static_cast<double>(n) / 16 + 5) * static_cast<double>(n) * std::ldexp(1.0, -24);
}

TEST_P(RankKernelsOf, ProjectMultipliesRowsByVectors) {
  for (int64_t dim = 1; dim <= 40; ++dim) {
    for (const int64_t rank : {1, 2, 3, 4, 7, 8, 11, 16}) {
      const int64_t rows = 1 + dim % 9;
      const int64_t ldx = dim + 2;
      const int64_t ldp = dim + 1;
      const auto x = numbers(rows * ldx, 1);
      const auto p = numbers(rank * ldp, 2);
      std::vector<float> out(static_cast<size_t>(rows * rank), 9.0f);
      k().f32.rank_project(x.data(), rows, ldx, dim, p.data(), ldp, rank, 0.5f, out.data());
      for (int64_t m = 0; m < rows; ++m) {
        for (int64_t j = 0; j < rank; ++j) {
          double exact = 0;
          for (int64_t c = 0; c < dim; ++c) exact += at(x, m * ldx + c) * at(p, j * ldp + c);
          EXPECT_NEAR(at(out, m * rank + j), 0.5 * exact, bound(dim)) << dim << " " << rank;
        }
      }
    }
  }
}

TEST_P(RankKernelsOf, ProjectionOfARowDoesNotDependOnTheOtherRows) {
  const int64_t dim = 37;
  const int64_t rank = 13;
  const int64_t rows = 11;
  const auto p = numbers(rank * dim, 3);
  const auto check_type = [&]<class T>(const std::vector<T>& x) {
    std::vector<float> all(static_cast<size_t>(rows * rank));
    k().rows<T>().rank_project(x.data(), rows, dim, dim, p.data(), dim, rank, 1.0f, all.data());
    for (int64_t first = 0; first < rows; ++first) {
      for (int64_t count = 1; first + count <= rows; ++count) {
        std::vector<float> some(static_cast<size_t>(count * rank));
        k().rows<T>().rank_project(x.data() + first * dim, count, dim, dim, p.data(), dim, rank,
                                   1.0f, some.data());
        EXPECT_EQ(std::memcmp(some.data(), all.data() + first * rank, some.size() * 4), 0)
            << first << " " << count;
      }
    }
  };
  check_type(numbers(rows * dim, 4));
  check_type(narrowed(numbers(rows * dim, 4)));
}

TEST_P(RankKernelsOf, OuterAddsUpOverRows) {
  for (int64_t dim = 1; dim <= 40; ++dim) {
    for (const int64_t rank : {1, 3, 4, 8, 13}) {
      const int64_t rows = 1 + dim % 7;
      const int64_t ldx = dim + 1;
      const int64_t ldo = dim + 3;
      const auto x = numbers(rows * ldx, 5);
      const auto c = numbers(rows * rank, 6);
      std::vector<float> out(static_cast<size_t>(rank * ldo), 0.25f);
      k().f32.rank_outer(x.data(), rows, ldx, dim, c.data(), rank, out.data(), ldo);
      for (int64_t j = 0; j < rank; ++j) {
        for (int64_t col = 0; col < ldo; ++col) {
          double exact = 0.25;
          for (int64_t t = 0; t < rows && col < dim; ++t) {
            exact += at(c, t * rank + j) * at(x, t * ldx + col);
          }
          EXPECT_NEAR(at(out, j * ldo + col), exact, 1e-6) << dim << " " << rank;
        }
      }
    }
  }
}

TEST_P(RankKernelsOf, OuterOfAColumnDoesNotDependOnTheOtherColumns) {
  const int64_t dim = 45;
  const int64_t rank = 9;
  const int64_t rows = 6;
  const auto x = numbers(rows * dim, 7);
  const auto c = numbers(rows * rank, 8);
  std::vector<float> all(static_cast<size_t>(rank * dim));
  k().f32.rank_outer(x.data(), rows, dim, dim, c.data(), rank, all.data(), dim);
  for (int64_t first = 0; first < dim; first += 5) {
    const int64_t cols = std::min<int64_t>(13, dim - first);
    std::vector<float> some(static_cast<size_t>(rank * cols));
    k().f32.rank_outer(x.data() + first, rows, dim, cols, c.data(), rank, some.data(), cols);
    for (int64_t j = 0; j < rank; ++j) {
      EXPECT_EQ(std::memcmp(some.data() + j * cols, all.data() + j * dim + first,
                            static_cast<size_t>(cols) * 4),
                0);
    }
  }
}

TEST_P(RankKernelsOf, ExpandAddsTheLowRankProduct) {
  for (int64_t dim = 1; dim <= 40; ++dim) {
    for (const int64_t rank : {1, 3, 4, 5, 8, 12, 17}) {
      const int64_t rows = 3;
      const int64_t ld = dim + 2;
      const auto before = numbers(rows * ld, 9);
      const auto c = numbers(rows * rank, 10);
      const auto p = numbers(rank * dim, 11);
      std::vector<float> acc = before;
      k().rank_expand(acc.data(), rows, ld, dim, c.data(), p.data(), dim, rank);
      for (int64_t m = 0; m < rows; ++m) {
        for (int64_t col = 0; col < ld; ++col) {
          double exact = at(before, m * ld + col);
          for (int64_t j = 0; j < rank && col < dim; ++j) {
            exact += at(c, m * rank + j) * at(p, j * dim + col);
          }
          EXPECT_NEAR(at(acc, m * ld + col), exact, bound(rank) + 1e-7);
        }
      }
    }
  }
}

TEST_P(RankKernelsOf, DropoutKeepsTheStatedShareAndScalesIt) {
  constexpr int64_t kCount = 100000;
  const std::vector<float> ones(static_cast<size_t>(kCount), 1.0f);
  for (const float p : {0.05f, 0.1f, 0.5f, 0.9f}) {
    std::vector<float> y(ones.size());
    k().f32.dropout(ones.data(), kCount, 12345, 0, p, y.data());
    int64_t kept = 0;
    for (const float v : y) {
      if (v == 0.0f) continue;
      ++kept;
      ASSERT_EQ(v, 1.0f / (1.0f - p));
    }
    const double q = 1.0 - static_cast<double>(p);
    const double deviation = std::sqrt(kCount * q * (1 - q));
    EXPECT_NEAR(static_cast<double>(kept), kCount * q, 4 * deviation) << p;
  }
}

TEST_P(RankKernelsOf, DropoutOfZeroKeepsEverything) {
  const auto x = numbers(33, 12);
  std::vector<float> y(x.size());
  k().f32.dropout(x.data(), 33, 1, 0, 0.0f, y.data());
  EXPECT_EQ(x, y);
}

// Agreement of masks at p = 0.5 between neighbours is that of coin throws, within 4 deviations.
TEST_P(RankKernelsOf, MasksOfNeighbouringColumnsAndKeysAreUnrelated) {
  constexpr int64_t kCount = 65536;
  const std::vector<float> ones(static_cast<size_t>(kCount + 1), 1.0f);
  const auto mask = [&](uint64_t key) {
    std::vector<float> y(ones.size());
    k().f32.dropout(ones.data(), kCount + 1, key, 0, 0.5f, y.data());
    return y;
  };
  // Keys are hashes of (token, layer), as the linear layers make them.
  const auto a = mask(random_key({1000, 1}));
  for (const uint64_t key :
       {random_key({1001, 1}), random_key({1000, 2}), random_key({1000, 1, 0})}) {
    const auto b = mask(key);
    int64_t equal = 0;
    for (size_t i = 0; i < kCount; ++i) equal += a[i] == b[i] ? 1 : 0;
    EXPECT_NEAR(static_cast<double>(equal), kCount / 2, 4 * 128) << key;
  }
  int64_t equal = 0;
  for (size_t i = 0; i < kCount; ++i) equal += a[i] == a[i + 1] ? 1 : 0;
  EXPECT_NEAR(static_cast<double>(equal), kCount / 2, 4 * 128) << "columns";
}

TEST_P(RankKernelsOf, DropoutOfASliceIsTheSliceOfTheWhole) {
  const auto x = numbers(100, 13);
  std::vector<float> whole(x.size());
  k().f32.dropout(x.data(), 100, 77, 0, 0.3f, whole.data());
  for (int64_t first = 0; first < 60; ++first) {
    const int64_t n = 1 + first % 40;
    std::vector<float> part(static_cast<size_t>(n));
    k().f32.dropout(x.data() + first, n, 77, first, 0.3f, part.data());
    EXPECT_EQ(std::memcmp(part.data(), whole.data() + first, part.size() * 4), 0) << first;
  }
}

TEST_P(RankKernelsOf, MaskIsTheSameOnEveryTierAndInBothTypes) {
  const std::vector<float> ones(70, 1.0f);
  std::vector<float> here(70), scalar(70);
  std::vector<BF16> narrow(70);
  k().f32.dropout(ones.data(), 70, 4242, 3, 0.5f, here.data());
  kernels(IsaTier::kScalar).f32.dropout(ones.data(), 70, 4242, 3, 0.5f, scalar.data());
  k().bf16.dropout(narrowed(ones).data(), 70, 4242, 3, 0.5f, narrow.data());
  EXPECT_EQ(here, scalar);
  EXPECT_EQ(here, widened(narrow));
}

TEST_P(RankKernelsOf, ExpandThroughDropoutUsesTheSameMask) {
  for (int64_t dim = 1; dim <= 40; ++dim) {
    const int64_t rank = 5;
    const auto c = numbers(rank, 14);
    const auto p = numbers(rank * dim, 15);
    const auto before = numbers(dim, 16);
    const std::vector<float> ones(static_cast<size_t>(dim), 1.0f);
    std::vector<float> mask(ones.size()), acc = before;
    k().f32.dropout(ones.data(), dim, 99, 6, 0.25f, mask.data());
    k().rank_expand_dropout(acc.data(), dim, c.data(), p.data(), dim, rank, 99, 6, 0.25f);
    for (int64_t i = 0; i < dim; ++i) {
      double sum = 0;
      for (int64_t j = 0; j < rank; ++j) sum += at(c, j) * at(p, j * dim + i);
      EXPECT_NEAR(at(acc, i), at(before, i) + at(mask, i) * sum, 2e-6);
    }
  }
}

TEST_P(RankKernelsOf, RowScaleBackwardAddsDotsAndScalesInPlace) {
  const auto check_type = [&]<class T>(const T*) {
    for (int64_t cols = 1; cols <= 40; ++cols) {
      const int64_t rows = 1 + cols % 7;
      const int64_t ld = cols + 3;
      auto dy = as_type<T>(numbers(rows * ld, 21));
      const auto before = as_f32(dy);
      const auto u = as_type<T>(numbers(rows * ld, 22));
      const auto scale = numbers(cols, 23);
      std::vector<float> dots(static_cast<size_t>(cols), 0.5f);
      k().rows<T>().row_scale_backward(dy.data(), u.data(), scale.data(), rows, ld, cols,
                                       dots.data());
      const auto after = as_f32(dy);
      for (int64_t c = 0; c < cols; ++c) {
        double exact = 0.5;
        for (int64_t t = 0; t < rows; ++t) exact += at(before, t * ld + c) * at(as_f32(u), t * ld + c);
        EXPECT_NEAR(at(dots, c), exact, bound(16 * rows)) << cols;
      }
      for (int64_t i = 0; i < rows * ld; ++i) {
        const int64_t c = i % ld;
        const float product = before[static_cast<size_t>(i)] *
                              (c < cols ? scale[static_cast<size_t>(c)] : 1.0f);
        const auto expected = as_f32(as_type<T>({product}));
        EXPECT_EQ(after[static_cast<size_t>(i)], expected[0]) << cols << " " << i;
      }
    }
  };
  check_type(static_cast<const float*>(nullptr));
  check_type(static_cast<const BF16*>(nullptr));
}

TEST_P(RankKernelsOf, MultiplyIsElementwise) {
  for (int64_t n = 0; n <= 40; ++n) {
    const auto x = numbers(n, 24);
    auto y = numbers(n + 1, 25);
    const auto before = y;
    k().multiply(x.data(), n, y.data());
    for (int64_t i = 0; i < n; ++i) {
      const auto c = static_cast<size_t>(i);
      EXPECT_EQ(y[c], x[c] * before[c]);
    }
    EXPECT_EQ(y.back(), before.back());
  }
}

// Both have fused multiply-adds and the same sixteen lanes.
TEST(RankKernels, Avx2AndAvx512GiveTheSameBits) {
  if (best_isa_tier() < IsaTier::kAvx512) GTEST_SKIP() << "skipped: no AVX-512 here";
  const Kernels& a = kernels(IsaTier::kAvx2);
  const Kernels& b = kernels(IsaTier::kAvx512);
  const int64_t n = 87;
  const auto x = numbers(n, 17, 4.0);
  const auto w = numbers(n, 18);
  const auto run = [&](const Kernels& kernels) {
    std::vector<float> all(static_cast<size_t>(6 * n + 40));
    float* out = all.data();
    out[6 * n] = kernels.f32.rmsnorm(x.data(), w.data(), 1e-5f, n, out);
    kernels.f32.silu_mul(x.data(), w.data(), n, out + n);
    std::vector<float> scores = x;
    out[6 * n + 1] = kernels.f32.softmax(scores.data(), n, n, 0.7f, out + 2 * n);
    out[6 * n + 2] = kernels.f32.dot(x.data(), w.data(), n);
    kernels.f32.rank_project(x.data(), 3, n / 3, n / 3, w.data(), n / 3, 3, 1.0f, out + 6 * n + 3);
    kernels.rank_expand(out + 3 * n, 1, n, n / 3, x.data(), w.data(), n / 3, 3);
    kernels.adamw(out + 4 * n, x.data(), out + 5 * n, scores.data(), n, 0.1f, 0.9f, 0.99f, 1e-8f,
                  0.1f, 0.1f, 0.01f, 1.0f);
    return all;
  };
  EXPECT_TRUE(same_bytes(run(a), run(b)));
}

std::string tier_of(const ::testing::TestParamInfo<IsaTier>& info) {
  return isa_name(info.param);
}
INSTANTIATE_TEST_SUITE_P(Tiers, RankKernelsOf, ::testing::ValuesIn(supported_isa_tiers()), tier_of);

}  // namespace
}  // namespace dlm
