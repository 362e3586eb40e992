// The row kernels of every tier that this processor has, against f64. In f32 the bounds are stated
// in units of the last place; in bf16 a kernel must give exactly the rounded f32 result, since it
// computes in f32. Lengths 1 to 40 reach every tail of the sixteen lanes.

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>

#include "engine/cpu/kernels.h"
#include "engine/numbers.h"

namespace dlm {
namespace {

constexpr int64_t kLengths = 40;

class RowKernelsOf : public ::testing::TestWithParam<IsaTier> {
 protected:
  const Kernels& k() const { return kernels(GetParam()); }

  // Runs body<float>() and body<BF16>(), which get inputs in their type and return f32 outputs; the
  // bf16 outputs must be the rounded f32 ones of the same (rounded) inputs.
  template <class Body>
  static void expect_bf16_rounds(Body body, const std::vector<float>& x) {
    const std::vector<float> rounded = widened(narrowed(x));
    const std::vector<BF16> expected = narrowed(body(rounded));
    EXPECT_TRUE(same_bytes(expected, body(narrowed(rounded)))) << "length " << x.size();
  }
};

double silu(double x) {
  return x / (1.0 + std::exp(-x));
}

TEST_P(RowKernelsOf, ExponentialIsWithinTwoUlp) {
  // softmax_backward() gives p = exp(scale * s - lse).
  std::vector<float> x;
  for (double v = -87.0; v < 88.0; v += 0.00137) x.push_back(static_cast<float>(v));
  const auto n = static_cast<int64_t>(x.size());
  std::vector<float> dp(x.size()), p(x.size()), ds(x.size());
  k().f32.softmax_backward(x.data(), dp.data(), n, n, 1.0f, 0.0f, 0.0f, p.data(), ds.data());
  double worst = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    worst = std::max(worst, ulps(p[i], std::exp(static_cast<double>(x[i]))));
  }
  EXPECT_LT(worst, 2.0);
}

TEST_P(RowKernelsOf, ExponentialOfVeryNegativeNumbersIsZeroAndOfLargeOnesFinite) {
  const std::vector<float> x{-87.5f, -1000.0f, -INFINITY, 0.0f, 88.0f, 1000.0f};
  std::vector<float> dp(6), p(6), ds(6);
  k().f32.softmax_backward(x.data(), dp.data(), 6, 6, 1.0f, 0.0f, 0.0f, p.data(), ds.data());
  EXPECT_EQ(p[0], 0.0f);
  EXPECT_EQ(p[1], 0.0f);
  EXPECT_EQ(p[2], 0.0f);
  EXPECT_EQ(p[3], 1.0f);
  EXPECT_LT(ulps(p[4], std::exp(88.0)), 2.0);
  EXPECT_EQ(p[5], p[4]);
}

// Damaged weights must show: what is computed from NaN is NaN.
TEST_P(RowKernelsOf, NanStaysNan) {
  for (int64_t n = 1; n <= kLengths; ++n) {
    for (const int64_t at : {int64_t{0}, n / 2, n - 1}) {
      const auto size = static_cast<size_t>(n);
      auto x = numbers(n, 3);
      x[static_cast<size_t>(at)] = NAN;
      std::vector<float> scores = x, p(size), y(size);
      k().f32.softmax(scores.data(), n, n, 1.0f, p.data());
      EXPECT_TRUE(std::all_of(p.begin(), p.end(), [](float v) { return std::isnan(v); })) << n;
      std::vector<float> logits = x, d(size);
      EXPECT_TRUE(std::isnan(k().f32.cross_entropy(logits.data(), n, 0, 1.0f, d.data()))) << n;
      EXPECT_TRUE(std::isnan(d[0])) << n;
      const std::vector<float> ones(size, 1.0f);
      for (const auto activation : {k().f32.silu_mul, k().f32.gelu_mul}) {
        activation(x.data(), ones.data(), n, y.data());
        for (int64_t i = 0; i < n; ++i) {
          EXPECT_EQ(std::isnan(y[static_cast<size_t>(i)]), i == at) << n;
        }
      }
    }
  }
}

// n squares in 16 lanes: each lane rounds n/16 times, then four levels, sqrt and division: 8 ulp;
// two more products: 10.
TEST_P(RowKernelsOf, RmsnormScalesToUnitMeanSquare) {
  for (int64_t n = 1; n <= kLengths; ++n) {
    const auto x = numbers(n, 1, 3.0);
    const auto w = numbers(n, 2);
    std::vector<float> y(x.size());
    const float rstd = k().f32.rmsnorm(x.data(), w.data(), 1e-5f, n, y.data());
    double squares = 0;
    for (const float v : x) squares += static_cast<double>(v) * static_cast<double>(v);
    const double eps = static_cast<double>(1e-5f);
    const double exact = 1.0 / std::sqrt(squares / static_cast<double>(n) + eps);
    EXPECT_LT(ulps(rstd, exact), 8.0) << n;
    for (size_t i = 0; i < x.size(); ++i) {
      EXPECT_LT(ulps(y[i], static_cast<double>(x[i]) * exact * static_cast<double>(w[i])), 10.0);
    }
  }
}

TEST_P(RowKernelsOf, RmsnormInBf16IsTheRoundedResult) {
  for (int64_t n = 1; n <= kLengths; ++n) {
    const auto x = numbers(n, 1, 3.0);
    const auto w = numbers(n, 2);
    std::vector<float> wide(x.size());
    std::vector<BF16> narrow(x.size());
    const float a = k().f32.rmsnorm(x.data(), w.data(), 1e-5f, n, wide.data());
    const float b = k().bf16.rmsnorm(x.data(), w.data(), 1e-5f, n, narrow.data());
    EXPECT_EQ(a, b);
    EXPECT_TRUE(same_bytes(narrowed(wide), narrow)) << n;
  }
}

// Central differences of sum(dy * rmsnorm(x)) in f64: error below 1e-8 of their own, 1e-5 for f32.
TEST_P(RowKernelsOf, RmsnormBackwardMatchesFiniteDifferences) {
  for (const int64_t n : {int64_t{1}, int64_t{7}, int64_t{16}, int64_t{33}, int64_t{40}}) {
    const auto x = numbers(n, 3, 2.0);
    const auto w = numbers(n, 4);
    const auto dy = numbers(n, 5);
    const auto before = numbers(n, 6);
    const auto loss = [&](const std::vector<double>& at) {
      double squares = 0;
      for (const double v : at) squares += v * v;
      const double rstd = 1.0 / std::sqrt(squares / static_cast<double>(n) + 1e-5);
      double sum = 0;
      for (size_t i = 0; i < at.size(); ++i) {
        sum += static_cast<double>(dy[i]) * at[i] * rstd * static_cast<double>(w[i]);
      }
      return sum;
    };
    std::vector<float> y(x.size());
    std::vector<float> dx = before;
    const float rstd = k().f32.rmsnorm(x.data(), w.data(), 1e-5f, n, y.data());
    k().f32.rmsnorm_backward(dy.data(), x.data(), w.data(), rstd, n, dx.data());
    std::vector<double> at(x.begin(), x.end());
    for (size_t i = 0; i < x.size(); ++i) {
      const double middle = at[i];
      at[i] = middle + 1e-5;
      const double up = loss(at);
      at[i] = middle - 1e-5;
      const double down = loss(at);
      at[i] = middle;
      const double added = static_cast<double>(dx[i]) - static_cast<double>(before[i]);
      EXPECT_NEAR(added, (up - down) / 2e-5, 1e-5) << n << " " << i;
    }
  }
}

TEST_P(RowKernelsOf, NormWeightGradientSumsOverRows) {
  for (int64_t cols = 1; cols <= kLengths; ++cols) {
    const int64_t rows = 5;
    const int64_t ld = cols + 3;
    const auto dy = numbers(rows * ld, 7);
    const auto x = numbers(rows * ld, 8);
    const auto rstd = numbers(rows, 9);
    std::vector<float> dw(static_cast<size_t>(cols), 0.5f);
    k().f32.norm_weight_grad(dy.data(), x.data(), rstd.data(), rows, ld, cols, dw.data());
    for (int64_t c = 0; c < cols; ++c) {
      double exact = 0.5;
      for (int64_t t = 0; t < rows; ++t) {
        const auto at = static_cast<size_t>(t * ld + c);
        exact += static_cast<double>(dy[at]) * static_cast<double>(x[at]) *
                 static_cast<double>(rstd[static_cast<size_t>(t)]);
      }
      EXPECT_NEAR(dw[static_cast<size_t>(c)], exact, 1e-6);
    }
  }
}

// Two products and a sum of numbers below 1: 1.5 roundings of 2^-24 each, 1e-7.
TEST_P(RowKernelsOf, RopeRotatesTheFirstElementsOfEachHead) {
  for (int64_t half = 1; half <= 24; ++half) {
    const int64_t head_dim = 2 * half + 2;
    const int64_t heads = 3;
    const auto x = numbers(heads * head_dim, 10);
    std::vector<float> cos, sin;
    for (int64_t i = 0; i < half; ++i) {
      cos.push_back(static_cast<float>(std::cos(0.3 * static_cast<double>(i + 1))));
      sin.push_back(static_cast<float>(std::sin(0.3 * static_cast<double>(i + 1))));
    }
    std::vector<float> y = x;
    k().f32.rope(y.data(), heads, head_dim, 2 * half, cos.data(), sin.data(), 1.0f);
    for (int64_t h = 0; h < heads; ++h) {
      for (int64_t i = 0; i < half; ++i) {
        const auto lo = static_cast<size_t>(h * head_dim + i);
        const auto hi = lo + static_cast<size_t>(half);
        const double c = static_cast<double>(cos[static_cast<size_t>(i)]);
        const double s = static_cast<double>(sin[static_cast<size_t>(i)]);
        const double a = static_cast<double>(x[lo]);
        const double b = static_cast<double>(x[hi]);
        EXPECT_NEAR(y[lo], a * c - b * s, 2e-7);
        EXPECT_NEAR(y[hi], b * c + a * s, 2e-7);
      }
      for (int64_t i = 2 * half; i < head_dim; ++i) {
        const auto at = static_cast<size_t>(h * head_dim + i);
        EXPECT_EQ(y[at], x[at]) << "beyond the rotated part";
      }
    }
    k().f32.rope(y.data(), heads, head_dim, 2 * half, cos.data(), sin.data(), -1.0f);
    for (size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(y[i], x[i], 4e-7);
    expect_bf16_rounds(
        [&]<class T>(std::vector<T> v) {
          k().rows<T>().rope(v.data(), heads, head_dim, 2 * half, cos.data(), sin.data(), 1.0f);
          return v;
        },
        x);
  }
}

// exp 2 ulp, sum and quotient half each, two products: below 5.
TEST_P(RowKernelsOf, SiluMulIsWithinFiveUlp) {
  for (int64_t n = 1; n <= kLengths; ++n) {
    const auto g = numbers(n, 11, 20.0);
    const auto u = numbers(n, 12, 3.0);
    std::vector<float> a(g.size());
    k().f32.silu_mul(g.data(), u.data(), n, a.data());
    for (size_t i = 0; i < g.size(); ++i) {
      EXPECT_LT(ulps(a[i], silu(static_cast<double>(g[i])) * static_cast<double>(u[i])), 5.0);
    }
    expect_bf16_rounds(
        [&]<class T>(const std::vector<T>& v) {
          const std::vector<T> up = as_type<T>(widened(narrowed(u)));
          std::vector<T> out(v.size());
          k().rows<T>().silu_mul(v.data(), up.data(), n, out.data());
          return out;
        },
        g);
  }
}

// The slope s + x s (1 - s) cancels where it crosses zero, so the bound is absolute: 2^-21 of |da
// u|.
TEST_P(RowKernelsOf, SiluMulBackwardMatchesTheDerivative) {
  for (int64_t n = 1; n <= kLengths; ++n) {
    const auto g = numbers(n, 13, 10.0);
    const auto u = numbers(n, 14);
    const auto da = numbers(n, 15);
    std::vector<float> dg(g.size()), du(g.size());
    k().f32.silu_mul_backward(da.data(), g.data(), u.data(), n, dg.data(), du.data());
    for (size_t i = 0; i < g.size(); ++i) {
      const double x = static_cast<double>(g[i]);
      const double s = 1.0 / (1.0 + std::exp(-x));
      const double slope = s + x * s * (1.0 - s);
      const double d = static_cast<double>(da[i]);
      EXPECT_NEAR(dg[i], d * static_cast<double>(u[i]) * slope, 5e-7);
      EXPECT_NEAR(du[i], d * silu(x), 5e-7 * (1 + std::abs(x)));
    }
  }
}

// Arguments reach 12, so their own rounding moves exp by up to 12 * 2^-23; 16 ulp covers both.
TEST_P(RowKernelsOf, SoftmaxNormalisesAndPadsWithZeros) {
  for (int64_t n = 1; n <= kLengths; ++n) {
    const auto s = numbers(n, 16, 24.0);
    const int64_t padded = n + 5;
    std::vector<float> scores = s;
    scores.resize(static_cast<size_t>(padded), 99.0f);
    std::vector<float> p(static_cast<size_t>(padded + 1), 7.0f);
    const float lse = k().f32.softmax(scores.data(), n, padded, 0.25f, p.data());
    double z = 0;
    for (const float v : s) z += std::exp(0.25 * static_cast<double>(v));
    EXPECT_NEAR(lse, std::log(z), 2e-6);
    double total = 0;
    for (int64_t i = 0; i < n; ++i) {
      const auto at = static_cast<size_t>(i);
      EXPECT_LT(ulps(p[at], std::exp(0.25 * static_cast<double>(s[at])) / z), 16.0);
      total += static_cast<double>(p[at]);
    }
    EXPECT_NEAR(total, 1.0, 1e-6);
    for (int64_t i = n; i < padded; ++i) EXPECT_EQ(p[static_cast<size_t>(i)], 0.0f);
    EXPECT_EQ(p.back(), 7.0f) << "wrote beyond the padding";
  }
}

TEST_P(RowKernelsOf, SoftmaxInBf16IsTheRoundedResult) {
  for (int64_t n = 1; n <= kLengths; ++n) {
    auto first = numbers(n, 17, 8.0);
    auto second = first;
    std::vector<float> wide(first.size());
    std::vector<BF16> narrow(first.size());
    EXPECT_EQ(k().f32.softmax(first.data(), n, n, 0.5f, wide.data()),
              k().bf16.softmax(second.data(), n, n, 0.5f, narrow.data()));
    EXPECT_TRUE(same_bytes(narrowed(wide), narrow));
  }
}

TEST_P(RowKernelsOf, SoftmaxStaysFiniteForHugeScores) {
  std::vector<float> s{1e30f, -1e30f, 1e30f};
  std::vector<float> p(3);
  k().f32.softmax(s.data(), 3, 3, 1.0f, p.data());
  EXPECT_EQ(p, (std::vector<float>{0.5f, 0.0f, 0.5f}));
}

// The saved log-sum-exp lies near 8, so its rounding and that of the argument move exp by 1e-6
// each.
TEST_P(RowKernelsOf, SoftmaxBackwardUndoesTheForwardPass) {
  for (int64_t n = 1; n <= kLengths; ++n) {
    const int64_t padded = n + 3;
    const auto s = numbers(padded, 18, 8.0);
    const auto dp = numbers(padded, 19);
    std::vector<float> copy = s, p(static_cast<size_t>(padded)), again(p), ds(p);
    const float lse = k().f32.softmax(copy.data(), n, padded, 0.5f, p.data());
    const float delta = 0.125f;
    k().f32.softmax_backward(s.data(), dp.data(), n, padded, 0.5f, lse, delta, again.data(),
                             ds.data());
    for (int64_t i = 0; i < padded; ++i) {
      const auto at = static_cast<size_t>(i);
      EXPECT_NEAR(again[at], p[at], 2e-6 * static_cast<double>(p[at]));
      const double exact = static_cast<double>(p[at]) * (static_cast<double>(dp[at]) - 0.125) * 0.5;
      EXPECT_NEAR(ds[at], i < n ? exact : 0.0, 1e-6);
    }
  }
}

// tanh below 3 ulp, quotient and product half each, the argument's rounding below one more.
TEST_P(RowKernelsOf, SoftcapFollowsTanh) {
  for (int64_t n = 1; n <= kLengths; ++n) {
    for (const double size : {0.01, 1.0, 40.0, 3000.0}) {
      const auto s = numbers(n, 24, size);
      auto capped = s;
      k().softcap(capped.data(), n, 0.5f, 4.0f);
      for (size_t i = 0; i < s.size(); ++i) {
        const double exact = 4.0 * std::tanh(static_cast<double>(s[i]) * 0.125);
        EXPECT_LT(ulps(capped[i], exact), 6.0) << s[i];
      }
    }
  }
}

TEST_P(RowKernelsOf, CappedSoftmaxBackwardFollowsTheChainRule) {
  for (int64_t n = 1; n <= kLengths; ++n) {
    const int64_t padded = n + 3;
    const auto s = numbers(padded, 25, 8.0);
    const auto dp = numbers(padded, 26);
    std::vector<float> p(static_cast<size_t>(padded)), ds(p);
    k().f32.softmax_backward_capped(s.data(), dp.data(), n, padded, 0.5f, 3.0f, 1.25f, 0.125f,
                                    p.data(), ds.data());
    for (int64_t i = 0; i < padded; ++i) {
      const auto at = static_cast<size_t>(i);
      const double t = std::tanh(static_cast<double>(s[at]) * 0.5 / 3.0);
      const double prob = std::exp(3.0 * t - 1.25);
      EXPECT_NEAR(p[at], i < n ? prob : 0.0, 2e-6 * prob);
      const double exact = prob * (static_cast<double>(dp[at]) - 0.125) * 0.5 * (1 - t * t);
      EXPECT_NEAR(ds[at], i < n ? exact : 0.0, 4e-6);
    }
  }
}

TEST_P(RowKernelsOf, CrossEntropyGivesLossAndGradient) {
  for (int64_t n = 1; n <= kLengths; ++n) {
    const auto logits = numbers(n, 20, 10.0);
    const int64_t label = (n * 7) % n;
    const int64_t other = n / 2;
    for (const int64_t l : {label, other, n - 1}) {
      double z = 0;
      for (const float v : logits) z += std::exp(static_cast<double>(v));
      const auto at = static_cast<size_t>(l);
      const double exact = std::log(z) - static_cast<double>(logits[at]);
      std::vector<float> copy = logits, d(copy.size());
      EXPECT_NEAR(k().f32.cross_entropy(copy.data(), n, l, 0.5f, d.data()), exact, 4e-6);
      for (size_t i = 0; i < d.size(); ++i) {
        const double p = std::exp(static_cast<double>(logits[i])) / z;
        EXPECT_NEAR(d[i], 0.5 * (p - (i == at ? 1.0 : 0.0)), 1e-6);
      }
      std::vector<float> without = logits;
      EXPECT_NEAR(k().f32.cross_entropy(without.data(), n, l, 1.0f, nullptr), exact, 4e-6);
    }
  }
}

TEST_P(RowKernelsOf, DotAndSumsStayWithinTheirRoundings) {
  for (int64_t n = 1; n <= kLengths; ++n) {
    const auto a = numbers(n, 21);
    const auto b = numbers(n, 22);
    double exact = 0, size = 0, squares = 0;
    for (size_t i = 0; i < a.size(); ++i) {
      const double product = static_cast<double>(a[i]) * static_cast<double>(b[i]);
      exact += product;
      size += std::abs(product);
      squares += static_cast<double>(a[i]) * static_cast<double>(a[i]);
    }
    const double bound = (static_cast<double>(n) / 16 + 5) * std::ldexp(1.0, -24);
    EXPECT_NEAR(k().f32.dot(a.data(), b.data(), n), exact, bound * size);
    EXPECT_NEAR(k().sum_of_squares(a.data(), n), squares, bound * squares);
    std::vector<float> sum = b, scaled = b;
    k().add(a.data(), n, sum.data());
    k().axpy(0.5f, a.data(), n, scaled.data());
    for (size_t i = 0; i < a.size(); ++i) {
      EXPECT_EQ(sum[i], b[i] + a[i]);
      EXPECT_NEAR(scaled[i], b[i] + 0.5f * a[i], 1e-7);
    }
  }
}

TEST_P(RowKernelsOf, SumOfSquaresHoldsForLongVectors) {
  const auto x = numbers(100003, 23);
  double exact = 0;
  for (const float v : x) exact += static_cast<double>(v) * static_cast<double>(v);
  EXPECT_NEAR(k().sum_of_squares(x.data(), 100003), exact, 1e-5 * exact);
}

// Numbers of every kind, whatever the instructions of the tier do with some of them.
TEST_P(RowKernelsOf, NarrowingRoundsToNearestEven) {
  std::vector<float> x;
  for (uint32_t high = 0; high < 0x10000; ++high) {
    for (const uint32_t low : {0x0U, 0x1U, 0x7fffU, 0x8000U, 0x8001U, 0xffffU}) {
      x.push_back(std::bit_cast<float>(high << 16 | low));
    }
  }
  x.resize(x.size() - 1);  // so that some are left over
  const auto n = static_cast<int64_t>(x.size());
  std::vector<BF16> narrow(x.size());
  k().bf16.from_f32(x.data(), n, narrow.data());
  EXPECT_TRUE(same_bytes(narrow, narrowed(x)));
  std::vector<float> wide(x.size()), sum(x.size(), 1.0f);
  k().bf16.to_f32(narrow.data(), n, wide.data());
  EXPECT_TRUE(same_bytes(wide, widened(narrow)));
  k().bf16.add_to_f32(narrow.data(), n, sum.data());
  for (size_t i = 0; i < x.size(); ++i) {
    ASSERT_EQ(std::isnan(wide[i]), std::isnan(x[i]));
    ASSERT_TRUE(std::isnan(x[i]) || sum[i] == 1.0f + wide[i]) << x[i];
  }
}

// lr and betas are f32 in the kernel; three steps of f64 on the same numbers, 1e-6 of the weight.
TEST_P(RowKernelsOf, AdamWFollowsItsFormula) {
  for (int64_t n = 1; n <= kLengths; ++n) {
    std::vector<float> w = numbers(n, 25), m(w.size()), v(w.size());
    std::vector<double> exact_w(w.begin(), w.end()), exact_m(w.size()), exact_v(w.size());
    for (int step = 1; step <= 3; ++step) {
      const auto g = numbers(n, 26 + static_cast<uint64_t>(step));
      const double b1 = static_cast<double>(0.9f), b2 = static_cast<double>(0.999f);
      const auto bias1 = static_cast<float>(1.0 - std::pow(b1, step));
      const auto bias2 = static_cast<float>(1.0 - std::pow(b2, step));
      k().adamw(w.data(), g.data(), m.data(), v.data(), n, 0.01f, 0.9f, 0.999f, 1e-8f, 0.1f, bias1,
                bias2, 0.5f);
      for (size_t i = 0; i < w.size(); ++i) {
        const double grad = 0.5 * static_cast<double>(g[i]);
        exact_m[i] = b1 * exact_m[i] + (1 - b1) * grad;
        exact_v[i] = b2 * exact_v[i] + (1 - b2) * grad * grad;
        const double update = exact_m[i] / (1 - std::pow(b1, step)) /
                              (std::sqrt(exact_v[i] / (1 - std::pow(b2, step))) + 1e-8);
        exact_w[i] = exact_w[i] * (1 - 0.01 * 0.1) - 0.01 * update;
        EXPECT_NEAR(w[i], exact_w[i], 2e-6) << "step " << step;
      }
    }
  }
}

std::string tier_of(const ::testing::TestParamInfo<IsaTier>& info) {
  return isa_name(info.param);
}
INSTANTIATE_TEST_SUITE_P(Tiers, RowKernelsOf, ::testing::ValuesIn(supported_isa_tiers()), tier_of);

}  // namespace
}  // namespace dlm
