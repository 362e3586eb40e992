// Rows of GGUF blocks: decoded to the bits of the scalar definition, and multiplied by a few
// tokens, against f64, alike on every tier.

#include <gtest/gtest.h>

#include <algorithm>

#include "engine/arena.h"
#include "engine/few_tokens.h"
#include "engine/numbers.h"
#include "formats/ggml_blocks.h"

namespace dlm {
namespace {

constexpr GgmlType kBlockTypes[] = {GgmlType::kQ4_0, GgmlType::kQ4_1, GgmlType::kQ5_0,
                                    GgmlType::kQ5_1, GgmlType::kQ8_0, GgmlType::kQ4_K,
                                    GgmlType::kQ5_K, GgmlType::kQ6_K};
constexpr GgmlType kFloatTypes[] = {GgmlType::kF32, GgmlType::kF16, GgmlType::kBF16};

// Where the f16 scales of a block lie.
std::vector<int64_t> halves_of(GgmlType type) {
  switch (type) {
    case GgmlType::kQ4_0:
    case GgmlType::kQ5_0:
    case GgmlType::kQ8_0:
      return {0};
    case GgmlType::kQ6_K:
      return {208};
    default:
      return {0, 2};
  }
}

// Rows of any bits at all, but for the scales, which are numbers of both signs down to the
// smallest.
std::vector<std::byte> any_blocks(GgmlType type, int64_t rows, int64_t cols, uint64_t seed) {
  const GgmlTypeTraits& traits = ggml_traits(type);
  const auto total = static_cast<size_t>(rows * ggml_row_bytes(type, cols));
  std::vector<std::byte> out(total);
  for (size_t i = 0; i < total; ++i) {
    out[i] = static_cast<std::byte>(random_key({seed, i}) & 0xff);
  }
  for (size_t at = 0; at < total; at += static_cast<size_t>(traits.block_bytes)) {
    for (const int64_t half : halves_of(type)) {
      const uint64_t random = random_key({seed, at, static_cast<uint64_t>(half)});
      // Exponents 0 (smaller than normal numbers) to 15.
      const auto bits = static_cast<uint16_t>((random & 0x83ff) | (random >> 20 & 0xf) << 10);
      std::memcpy(out.data() + at + half, &bits, 2);
    }
  }
  return out;
}

// Rows of floats of a type.
std::vector<std::byte> any_floats(GgmlType type, int64_t rows, int64_t cols, uint64_t seed) {
  const auto x = numbers(rows * cols, seed);
  std::vector<std::byte> out(static_cast<size_t>(rows * ggml_row_bytes(type, cols)));
  if (type == GgmlType::kF32) std::memcpy(out.data(), x.data(), out.size());
  if (type == GgmlType::kBF16) std::memcpy(out.data(), narrowed(x).data(), out.size());
  if (type == GgmlType::kF16) {
    for (size_t i = 0; i < x.size(); ++i) {
      const auto bits = static_cast<uint16_t>(random_key({seed, i}) & 0xbbff);  // below 2
      std::memcpy(out.data() + 2 * i, &bits, 2);
    }
  }
  return out;
}

std::shared_ptr<const QuantizedMatrix> matrix_of(GgmlType type, int64_t rows, int64_t cols,
                                                 std::vector<std::byte> blocks) {
  const auto owner = std::make_shared<std::vector<std::byte>>(std::move(blocks));
  return QuantizedMatrix::from_blocks(type, rows, cols, owner->data(), owner);
}

std::vector<float> multiply(const Kernels& kernels, const QuantizedMatrix& matrix,
                            const std::vector<float>& x, int64_t tokens, int64_t first,
                            int64_t count) {
  const FewTokens<float> lines(kernels, x.data(), tokens, matrix.cols());
  std::vector<float> y(static_cast<size_t>(tokens * count), 99.0f);
  matrix.multiply(kernels, first, count, lines.lines(), y.data(), count);
  return y;
}

class BlocksOf : public ::testing::TestWithParam<IsaTier> {
 protected:
  const Kernels& k() const { return kernels(GetParam()); }
  // Rows of 1 to 17 blocks: fewer and more than are decoded together.
  template <class Body>
  void for_all(const Body& body) {
    for (const GgmlType type : kBlockTypes) {
      const int64_t block = ggml_traits(type).block_elements;
      for (const int64_t blocks : {1, 2, 5, 16, 17}) {
        const int64_t cols = blocks * block;
        SCOPED_TRACE(std::string(ggml_traits(type).name) + " " + std::to_string(cols));
        body(type, cols, any_blocks(type, kRows, cols, 30 + static_cast<uint64_t>(blocks)));
      }
    }
    for (const GgmlType type : kFloatTypes) {
      for (const int64_t cols : {1, 15, 16, 33, 200, 1100}) {
        SCOPED_TRACE(std::string(ggml_traits(type).name) + " " + std::to_string(cols));
        body(type, cols, any_floats(type, kRows, cols, 40));
      }
    }
  }
  static constexpr int64_t kRows = 7;
};

TEST_P(BlocksOf, DecodesToTheBitsOfTheDefinition) {
  for_all([&](GgmlType type, int64_t cols, std::vector<std::byte> blocks) {
    std::vector<float> exact(static_cast<size_t>(kRows * cols));
    for (int64_t r = 0; r < kRows; ++r) {
      ggml_dequantize_row(type, blocks.data() + r * ggml_row_bytes(type, cols), cols,
                          exact.data() + r * cols);
    }
    const auto matrix = matrix_of(type, kRows, cols, std::move(blocks));
    std::vector<float> ours(exact.size());
    matrix->dequantize(k(), 0, kRows, ours.data());
    EXPECT_TRUE(same_bytes(ours, exact));
    std::vector<BF16> half(exact.size());
    matrix->dequantize(k(), 0, kRows, half.data());
    EXPECT_TRUE(same_bytes(half, narrowed(exact))) << "bf16 is f32 rounded once";
    std::vector<float> middle(static_cast<size_t>(2 * cols));
    matrix->dequantize(k(), 3, 2, middle.data());
    EXPECT_EQ(std::memcmp(middle.data(), exact.data() + 3 * cols, middle.size() * 4), 0);
  });
}

// A product's error: each code of x is within 2^-15 of its block's largest number (which is below
// 1), and a lane adds up to cols / 16 + 6 rounded terms, each below the sum of |w| |x|. A type with
// minimums is bounded by the magnitudes of its two parts, which is what the factor 33 allows for:
// codes go up to 31.
TEST_P(BlocksOf, MultipliesRowsByTokens) {
  for_all([&](GgmlType type, int64_t cols, std::vector<std::byte> blocks) {
    const auto matrix = matrix_of(type, kRows, cols, std::move(blocks));
    std::vector<float> w(static_cast<size_t>(kRows * cols));
    matrix->dequantize(k(), 0, kRows, w.data());
    for (int64_t tokens = 1; tokens <= kFewTokens; ++tokens) {
      const auto x = numbers(tokens * cols, 8);
      const auto y = multiply(k(), *matrix, x, tokens, 0, kRows);
      for (int64_t m = 0; m < tokens; ++m) {
        for (int64_t j = 0; j < kRows; ++j) {
          double exact = 0;
          double magnitudes = 0;
          float largest = 0;
          for (int64_t c = 0; c < cols; ++c) {
            const double wx = static_cast<double>(w[static_cast<size_t>(j * cols + c)]) *
                              static_cast<double>(x[static_cast<size_t>(m * cols + c)]);
            exact += wx;
            magnitudes += std::abs(wx);
            largest = std::max(largest, std::abs(w[static_cast<size_t>(j * cols + c)]));
          }
          const double roundings = static_cast<double>(cols) / 16 + 8;
          const double sum_of_weights = static_cast<double>(largest) * static_cast<double>(cols);
          double bound = roundings * magnitudes * std::ldexp(33.0, -24);
          if (is_block_type(type)) bound += sum_of_weights * std::ldexp(1.0, -15);
          EXPECT_NEAR(y[static_cast<size_t>(m * kRows + j)], exact, bound) << tokens << " " << j;
        }
      }
    }
  });
}

TEST_P(BlocksOf, AResultDependsOnItsRowAndTokenOnly) {
  for_all([&](GgmlType type, int64_t cols, std::vector<std::byte> blocks) {
    const auto matrix = matrix_of(type, kRows, cols, std::move(blocks));
    const auto x = numbers(kFewTokens * cols, 9);
    const auto all = multiply(k(), *matrix, x, kFewTokens, 0, kRows);
    for (const int64_t first : {0, 1, 3}) {
      for (const int64_t count : {1, 3, 4}) {
        for (int64_t m = 0; m < kFewTokens; ++m) {
          const std::vector<float> one(x.begin() + m * cols, x.begin() + (m + 1) * cols);
          const auto some = multiply(k(), *matrix, one, 1, first, count);
          EXPECT_EQ(std::memcmp(some.data(), all.data() + m * kRows + first, some.size() * 4), 0);
        }
      }
    }
  });
}

TEST_P(BlocksOf, CodesAreMultipliedAlikeOnEveryTier) {
  const Kernels& scalar = kernels(IsaTier::kScalar);
  for_all([&](GgmlType type, int64_t cols, std::vector<std::byte> blocks) {
    if (!is_block_type(type)) return;
    const auto matrix = matrix_of(type, kRows, cols, std::move(blocks));
    const auto x = numbers(kFewTokens * cols, 10);
    EXPECT_TRUE(same_bytes(multiply(k(), *matrix, x, kFewTokens, 0, kRows),
                           multiply(scalar, *matrix, x, kFewTokens, 0, kRows)));
  });
}

TEST_P(BlocksOf, Int8IsMultipliedAlikeOnEveryTier) {
  const Kernels& scalar = kernels(IsaTier::kScalar);
  ThreadPool pool(1);
  Arena arena;
  for (const int64_t cols : {1, 64, 200, 576, 1100}) {
    Tensor w = Tensor::zeros({kRows, cols}, DType::kF32);
    const auto values = numbers(kRows * cols, 11);
    std::copy(values.begin(), values.end(), w.mutable_f32());
    const auto matrix = QuantizedMatrix::quantize(w, QuantFormat::kInt8, "w", k(), pool, arena);
    const auto x = numbers(kFewTokens * cols, 12);
    EXPECT_TRUE(same_bytes(multiply(k(), *matrix, x, kFewTokens, 0, kRows),
                           multiply(scalar, *matrix, x, kFewTokens, 0, kRows)));
  }
}

// Codes of -128 and 127, numbers of 15 bits: the largest sums that there are.
TEST_P(BlocksOf, TheLargestCodesDoNotOverflow) {
  for (const int code : {0x80, 0x7f}) {
    std::vector<std::byte> block(34, static_cast<std::byte>(code));
    block[0] = std::byte{0x00};
    block[1] = std::byte{0x3c};  // 1 in f16
    const auto matrix = matrix_of(GgmlType::kQ8_0, 1, 32, std::move(block));
    const std::vector<float> x(32, 32767.0f);
    const auto y = multiply(k(), *matrix, x, 1, 0, 1);
    EXPECT_EQ(y[0], 32.0f * 32767.0f * static_cast<float>(static_cast<int8_t>(code)));
  }
}

INSTANTIATE_TEST_SUITE_P(Tiers, BlocksOf, ::testing::ValuesIn(supported_isa_tiers()),
                         [](const auto& tier) { return std::string(isa_name(tier.param)); });

}  // namespace
}  // namespace dlm
