// Quantized matrices against the definition in f64: which code and scale each weight gets, how far
// a decoded weight may lie from the original, and that all tiers and any number of threads give the
// same bytes.
#include "engine/quantized.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "engine/arena.h"
#include "engine/nf4.h"
#include "engine/numbers.h"
#include "support/error.h"

namespace dlm {
namespace {

Tensor matrix_of(const std::vector<float>& x, int64_t rows, int64_t cols) {
  Tensor t = Tensor::zeros({rows, cols}, DType::kF32);
  std::copy(x.begin(), x.end(), t.mutable_f32());
  return t;
}

// Roughly what trained weights look like: sums of uniform numbers, rows of different sizes.
std::vector<float> weights(int64_t rows, int64_t cols, uint64_t seed) {
  const auto a = numbers(rows * cols, seed);
  const auto b = numbers(rows * cols, seed + 1000);
  const auto c = numbers(rows * cols, seed + 2000);
  std::vector<float> out;
  for (int64_t i = 0; i < rows * cols; ++i) {
    const auto at = static_cast<size_t>(i);
    const float size = 0.02f * static_cast<float>(1 + i / cols % 5);
    out.push_back((a[at] + b[at] + c[at]) * size);
  }
  return out;
}

class QuantizedOf : public ::testing::TestWithParam<IsaTier> {
 protected:
  std::vector<float> decoded(const Tensor& t, QuantFormat format) {
    const auto q = QuantizedMatrix::quantize(t, format, "w", k(), pool_, arena_);
    std::vector<float> out(static_cast<size_t>(t.numel()));
    q->dequantize(k(), 0, t.dim(0), out.data());
    return out;
  }
  const Kernels& k() const { return kernels(GetParam()); }
  ThreadPool pool_{2};
  Arena arena_;
};

double at(const std::vector<float>& x, int64_t i) {
  return static_cast<double>(x[static_cast<size_t>(i)]);
}

double absmax_of(const std::vector<float>& x, int64_t row, int64_t cols, int64_t block) {
  double most = 0;
  for (int64_t c = block * 64; c < std::min(cols, block * 64 + 64); ++c) {
    most = std::max(most, std::abs(at(x, row * cols + c)));
  }
  return most;
}

constexpr int64_t kWidths[] = {1, 15, 16, 63, 64, 65, 100, 128, 200, 576};

// Half a step of absmax / 127, and the roundings of scale and product.
TEST_P(QuantizedOf, Int8IsWithinHalfAStep) {
  for (const int64_t cols : kWidths) {
    const int64_t rows = 5;
    const auto x = weights(rows, cols, 1);
    const auto y = decoded(matrix_of(x, rows, cols), QuantFormat::kInt8);
    for (int64_t i = 0; i < rows * cols; ++i) {
      const double step = absmax_of(x, i / cols, cols, i % cols / 64) / 127;
      EXPECT_LE(std::abs(at(y, i) - at(x, i)), step * (0.5 + 1e-4)) << cols << " " << i;
      const double code = at(y, i) / step;
      EXPECT_NEAR(code, std::round(code), 1e-4);
    }
  }
}

// The levels of the paper, written out again.
constexpr double kLevels[16] = {-1.0,
                                -0.6961928009986877,
                                -0.5250730514526367,
                                -0.39491748809814453,
                                -0.28444138169288635,
                                -0.18477343022823334,
                                -0.09105003625154495,
                                0.0,
                                0.07958029955625534,
                                0.16093020141124725,
                                0.24611230194568634,
                                0.33791524171829224,
                                0.44070982933044434,
                                0.5626170039176941,
                                0.7229568362236023,
                                1.0};

TEST_P(QuantizedOf, Nf4TakesTheNearestLevelOfTheDecodedScale) {
  for (const int64_t cols : kWidths) {
    const int64_t rows = 40;  // 576 columns: 360 blocks, two groups of scales
    const auto x = weights(rows, cols, 2);
    const auto y = decoded(matrix_of(x, rows, cols), QuantFormat::kNF4);
    const int64_t blocks = (cols + 63) / 64;
    // The second quantization by its definition.
    std::vector<double> scales;
    for (int64_t b = 0; b < rows * blocks; ++b) {
      scales.push_back(absmax_of(x, b / blocks, cols, b % blocks));
    }
    std::vector<double> stored;
    for (int64_t first = 0; first < rows * blocks; first += 256) {
      const int64_t count = std::min<int64_t>(256, rows * blocks - first);
      double mean = 0;
      for (int64_t i = 0; i < count; ++i) mean += scales[static_cast<size_t>(first + i)];
      mean /= static_cast<double>(count);
      double farthest = 0;
      for (int64_t i = 0; i < count; ++i) {
        farthest = std::max(farthest, std::abs(scales[static_cast<size_t>(first + i)] - mean));
      }
      for (int64_t i = 0; i < count; ++i) {
        const double step = farthest / 127;
        const double a = scales[static_cast<size_t>(first + i)];
        stored.push_back(step > 0 ? mean + step * std::round((a - mean) / step) : mean);
      }
    }
    for (int64_t i = 0; i < rows * cols; ++i) {
      const auto block = static_cast<size_t>(i / cols * blocks + i % cols / 64);
      const double a = scales[block];
      double level = 0;
      double distance = 10;
      for (const double candidate : kLevels) {
        if (std::abs(at(x, i) / a - candidate) < distance) {
          distance = std::abs(at(x, i) / a - candidate);
          level = candidate;
        }
      }
      // f32 moves a scale by some units of 2^-24, and by one step where it lies between two codes.
      EXPECT_NEAR(at(y, i), level * stored[block], std::abs(level) * (a * 1e-5 + a / 127 * 1e-3))
          << cols << " " << i;
    }
  }
}

TEST_P(QuantizedOf, ZerosStayZerosAndTailsDoNotLeak) {
  for (const QuantFormat format : {QuantFormat::kInt8, QuantFormat::kNF4}) {
    std::vector<float> x(3 * 70, 0.0f);
    EXPECT_EQ(decoded(matrix_of(x, 3, 70), format), x);
    x[69] = 2.0f;
    const auto y = decoded(matrix_of(x, 3, 70), format);
    EXPECT_EQ(std::count(y.begin(), y.end(), 0.0f), 3 * 70 - 1);
    EXPECT_NEAR(y[69], 2.0f, 1e-2);
  }
}

TEST_P(QuantizedOf, EveryTierThreadCountAndStoredTypeGivesTheSameBytes) {
  const int64_t rows = 70;
  const int64_t cols = 200;
  const auto x = widened(narrowed(weights(rows, cols, 3)));  // exact in bf16 and f32
  const Tensor f32 = matrix_of(x, rows, cols);
  const Tensor bf16 = f32.cast(DType::kBF16);
  for (const QuantFormat format : {QuantFormat::kInt8, QuantFormat::kNF4}) {
    const auto ours = decoded(f32, format);
    EXPECT_TRUE(same_bytes(ours, decoded(bf16, format)));
    ThreadPool one(1);
    const Kernels& scalar = kernels(IsaTier::kScalar);
    const auto q = QuantizedMatrix::quantize(f32, format, "w", scalar, one, arena_);
    std::vector<float> theirs(ours.size());
    q->dequantize(scalar, 0, rows, theirs.data());
    EXPECT_TRUE(same_bytes(ours, theirs));
    std::vector<BF16> half(ours.size());
    q->dequantize(k(), 0, rows, half.data());
    EXPECT_TRUE(same_bytes(half, narrowed(ours))) << "bf16 is f32 rounded once";
  }
}

TEST_P(QuantizedOf, HoldsTheStatedNumberOfBits) {
  const Tensor t = matrix_of(weights(128, 576, 4), 128, 576);
  const auto bits = [&](QuantFormat format) {
    const auto q = QuantizedMatrix::quantize(t, format, "w", k(), pool_, arena_);
    return static_cast<double>(q->size_bytes()) * 8 / static_cast<double>(t.numel());
  };
  EXPECT_DOUBLE_EQ(bits(QuantFormat::kInt8), 8.5);
  EXPECT_NEAR(bits(QuantFormat::kNF4), 4.13, 0.01);
}

TEST_P(QuantizedOf, MeanErrorOfNormalWeightsIsThatOfTheDefinition) {
  // Normal weights in blocks of 64, exact scales: the root mean square error is 0.0919 of the
  // deviation for NF4 and 0.00595 for int8, from 512,000 samples in f64 outside this program.
  const int64_t rows = 64;
  const int64_t cols = 1024;
  std::vector<float> x;
  for (int64_t i = 0; i < rows * cols; ++i) {
    x.push_back(static_cast<float>(normal(random_key({9, static_cast<uint64_t>(i)}))));
  }
  const auto error = [&](QuantFormat format) {
    const auto y = decoded(matrix_of(x, rows, cols), format);
    double squares = 0;
    for (int64_t i = 0; i < rows * cols; ++i) squares += std::pow(at(x, i) - at(y, i), 2);
    return std::sqrt(squares / static_cast<double>(rows * cols));
  };
  EXPECT_NEAR(error(QuantFormat::kNF4), 0.0919, 0.001);
  EXPECT_NEAR(error(QuantFormat::kInt8), 0.00595, 0.0001);
}

TEST_P(QuantizedOf, RefusesWhatIsNoNumber) {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
        -std::numeric_limits<float>::infinity()}) {
    for (const QuantFormat format : {QuantFormat::kInt8, QuantFormat::kNF4}) {
      auto x = weights(4, 70, 5);
      x[2 * 70 + 66] = bad;
      try {
        decoded(matrix_of(x, 4, 70), format);
        FAIL() << "not refused";
      } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::kBase);
        EXPECT_EQ(error.message(), "tensor \"w\" holds a number that is not finite, in row 2");
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Tiers, QuantizedOf, ::testing::ValuesIn(supported_isa_tiers()),
                         [](const auto& tier) { return std::string(isa_name(tier.param)); });

}  // namespace
}  // namespace dlm
