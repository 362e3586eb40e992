// Products of a few tokens with rows of a weight, in every form a weight is held in: against f64,
// and that neither the other rows nor the other tokens of a call show in a result.

#include <gtest/gtest.h>

#include <algorithm>

#include "engine/arena.h"
#include "engine/few_tokens.h"
#include "engine/numbers.h"

namespace dlm {
namespace {

enum class Form { kF32, kBF16, kInt8, kNF4 };

class GemvOf : public ::testing::TestWithParam<IsaTier> {
 protected:
  const Kernels& k() const { return kernels(GetParam()); }

  // The weight in one form, and what it stands for.
  Parameter weight_of(Form form, int64_t rows, int64_t cols, std::vector<float>& exact) {
    Parameter p;
    p.name = "w";
    exact = numbers(rows * cols, 7);
    p.value = Tensor::zeros({rows, cols}, DType::kF32);
    std::copy(exact.begin(), exact.end(), p.value.mutable_f32());
    if (form == Form::kBF16) {
      p.value = p.value.cast(DType::kBF16);
      exact = widened(narrowed(exact));
    }
    if (form == Form::kInt8 || form == Form::kNF4) {
      p.quantize(p.value, form == Form::kInt8 ? QuantFormat::kInt8 : QuantFormat::kNF4, k(), pool_,
                 arena_);
      p.quantized->dequantize(k(), 0, rows, exact.data());
    }
    return p;
  }
  std::vector<float> multiply(const Parameter& p, const std::vector<float>& x, int64_t tokens,
                              int64_t first, int64_t count) {
    const int64_t cols = p.value.dim(1);
    std::vector<float> y(static_cast<size_t>(tokens * count), 99.0f);
    if (p.value.dtype() == DType::kBF16) {
      const auto half = narrowed(x);
      FewTokens<BF16>(k(), half.data(), tokens, cols)
          .multiply(k(), p, first, count, y.data(), count);
    } else {
      FewTokens<float>(k(), x.data(), tokens, cols).multiply(k(), p, first, count, y.data(), count);
    }
    return y;
  }

  ThreadPool pool_{1};
  Arena arena_;
};

constexpr Form kForms[] = {Form::kF32, Form::kBF16, Form::kInt8, Form::kNF4};

// Sums of n products below 1 in 16 lanes: n / 16 + 6 roundings of at most 2^-24 n each; quantized
// blocks add two roundings for the scale. int8 multiplies codes of x: each is within 2^-15 of its
// block's largest number, which is below 1.
TEST_P(GemvOf, MultipliesRowsByTokens) {
  for (const Form form : kForms) {
    for (const int64_t cols : {1, 15, 16, 17, 63, 64, 65, 130, 192, 576}) {
      const int64_t rows = 7;
      std::vector<float> w;
      const Parameter p = weight_of(form, rows, cols, w);
      for (int64_t tokens = 1; tokens <= kFewTokens; ++tokens) {
        auto x = numbers(tokens * cols, 8);
        if (form == Form::kBF16) x = widened(narrowed(x));
        const auto y = multiply(p, x, tokens, 0, rows);
        double bound =
            (static_cast<double>(cols) / 16 + 8) * static_cast<double>(cols) * std::ldexp(1.0, -24);
        if (form == Form::kInt8) bound += static_cast<double>(cols) * std::ldexp(1.0, -15);
        for (int64_t m = 0; m < tokens; ++m) {
          for (int64_t j = 0; j < rows; ++j) {
            double exact = 0;
            for (int64_t c = 0; c < cols; ++c) {
              exact += static_cast<double>(w[static_cast<size_t>(j * cols + c)]) *
                       static_cast<double>(x[static_cast<size_t>(m * cols + c)]);
            }
            EXPECT_NEAR(y[static_cast<size_t>(m * rows + j)], exact, bound)
                << static_cast<int>(form) << " " << cols << " " << tokens;
          }
        }
      }
    }
  }
}

TEST_P(GemvOf, AResultDependsOnItsRowAndTokenOnly) {
  const int64_t rows = 37;  // more than the 16 rows whose NF4 scales are decoded together
  const int64_t cols = 200;
  const auto x = numbers(kFewTokens * cols, 9);
  for (const Form form : kForms) {
    std::vector<float> w;
    const Parameter p = weight_of(form, rows, cols, w);
    const auto all = multiply(p, x, kFewTokens, 0, rows);
    for (const int64_t first : {0, 1, 5, 16, 33}) {
      for (const int64_t count : {1, 3, 4}) {
        for (int64_t m = 0; m < kFewTokens; ++m) {
          const std::vector<float> one(x.begin() + m * cols, x.begin() + (m + 1) * cols);
          const auto some = multiply(p, one, 1, first, count);
          EXPECT_EQ(std::memcmp(some.data(), all.data() + m * rows + first,
                                static_cast<size_t>(count) * 4),
                    0)
              << static_cast<int>(form) << " " << first << " " << count << " " << m;
        }
      }
    }
  }
}

TEST_P(GemvOf, ScalesAreDecodedAlikeOnEveryTier) {
  std::vector<int8_t> codes;
  for (int i = -127; i <= 127; ++i) codes.push_back(static_cast<int8_t>(i));
  for (const int64_t n : {1, 15, 16, 17, 255}) {
    std::vector<float> ours(static_cast<size_t>(n) + 1, 7.0f);
    auto scalar = ours;
    k().decode_scales(codes.data(), n, 0.3f, 0.003f, ours.data());
    kernels(IsaTier::kScalar).decode_scales(codes.data(), n, 0.3f, 0.003f, scalar.data());
    EXPECT_TRUE(same_bytes(ours, scalar));
    EXPECT_EQ(ours.back(), 7.0f);
    EXPECT_EQ(ours[0], 0.0f) << "0.3 - 127 * 0.003 is below zero";
  }
}

TEST_P(GemvOf, SumsWordsExactly) {
  std::vector<uint64_t> words;
  uint64_t exact = 0;
  for (uint64_t i = 0; i < 96; ++i) {
    words.push_back(random_key({i}));
    exact += words.back();
  }
  EXPECT_EQ(k().sum_words(words.data(), 96), exact);
}

INSTANTIATE_TEST_SUITE_P(Tiers, GemvOf, ::testing::ValuesIn(supported_isa_tiers()),
                         [](const auto& tier) { return std::string(isa_name(tier.param)); });

}  // namespace
}  // namespace dlm
