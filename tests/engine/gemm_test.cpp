// Matrix products against f64, and which of them keep their bits when a tile grows or a line moves
// in it. A process has one tier, so each tier runs in a child that re-executes this program with
// DLM_ISA set; the child's standard error says what failed.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>

#include "engine/cpu/gemm.h"
#include "engine/cpu/isa.h"
#include "engine/cpu/packed_gemm.h"
#include "engine/numbers.h"
#include "support/error.h"

namespace dlm {
namespace {

// A matrix in f32 and in the product's type.
struct Matrix {
  std::vector<float> exact;  // what the product sees
  std::vector<BF16> narrow;
  const void* data(DType dtype) const {
    return dtype == DType::kBF16 ? static_cast<const void*>(narrow.data()) : exact.data();
  }
  Matrix(int64_t count, uint64_t seed, DType dtype) : exact(numbers(count, seed)) {
    narrow = narrowed(exact);
    if (dtype == DType::kBF16) exact = widened(narrow);
  }
};

double element(const Matrix& x, int64_t row, int64_t col, int64_t ld, bool trans) {
  return static_cast<double>(x.exact[static_cast<size_t>(trans ? col * ld + row : row * ld + col)]);
}

// Products of numbers below 1 summed k times in f32 in any order: k roundings of at most 2^-24 k /
// 2; bf16 output adds 2^-9 of the result.
bool product_is_exact_enough(const GemmShape& s) {
  const Matrix a((s.trans_a ? s.k : s.m) * s.lda, 1, s.input);
  const Matrix b((s.trans_b ? s.n : s.k) * s.ldb, 2, s.input);
  const bool narrow_out = s.output == DType::kBF16;
  const auto before = numbers(s.m * s.ldc, 3);
  std::vector<float> c = before;
  std::vector<BF16> c16(c.size());
  gemm(s, a.data(s.input), b.data(s.input), narrow_out ? static_cast<void*>(c16.data()) : c.data());
  if (narrow_out) c = widened(c16);
  const double k = static_cast<double>(s.k);
  for (int64_t m = 0; m < s.m; ++m) {
    for (int64_t n = 0; n < s.n; ++n) {
      const auto at = static_cast<size_t>(m * s.ldc + n);
      double exact = s.accumulate ? static_cast<double>(before[at]) : 0;
      for (int64_t i = 0; i < s.k; ++i) {
        exact += element(a, m, i, s.lda, s.trans_a) * element(b, i, n, s.ldb, s.trans_b);
      }
      const double bound = k * k * std::ldexp(1.0, -25) + std::ldexp(1.0, -23) +
                           (narrow_out ? std::ldexp(std::abs(exact), -8) : 0.0);
      if (std::abs(static_cast<double>(c[at]) - exact) > bound) {
        std::fprintf(
            stderr, "m %ld n %ld k %ld trans %d %d accumulate %d: at %ld,%ld %g is not %g\n", s.m,
            s.n, s.k, s.trans_a, s.trans_b, s.accumulate, m, n, static_cast<double>(c[at]), exact);
        return false;
      }
    }
    for (int64_t n = s.n; n < s.ldc && !narrow_out; ++n) {
      const auto at = static_cast<size_t>(m * s.ldc + n);
      if (c[at] != before[at]) {
        std::fprintf(stderr, "wrote beyond the columns of C\n");
        return false;
      }
    }
  }
  return true;
}

bool all_products_are_exact_enough(DType dtype) {
  constexpr int64_t kSizes[][3] = {{1, 1, 1},    {3, 5, 7},     {16, 16, 16}, {17, 33, 40},
                                   {64, 96, 31}, {128, 48, 64}, {5, 130, 96}};
  bool good = true;
  for (const auto& [m, n, k] : kSizes) {
    for (int bits = 0; bits < 16; ++bits) {
      GemmShape s;
      s.m = m;
      s.n = n;
      s.k = k;
      s.trans_a = (bits & 1) != 0;
      s.trans_b = (bits & 2) != 0;
      s.accumulate = (bits & 4) != 0;
      const int64_t gap = (bits & 8) != 0 ? 3 : 0;
      s.lda = (s.trans_a ? m : k) + gap;
      s.ldb = (s.trans_b ? k : n) + gap;
      s.ldc = n + gap;
      s.input = dtype;
      good = product_is_exact_enough(s) && good;
      s.output = dtype;
      if (!s.accumulate) good = product_is_exact_enough(s) && good;
    }
  }
  return good;
}

// A of 128 lines times B, of which products take some lines.
class LineProducts {
 public:
  static constexpr int64_t kLines = 128;
  LineProducts(DType dtype, int64_t n, int64_t k, bool trans_b)
      : a_(kLines * k, 4, dtype), b_(n * k, 5, dtype) {
    shape_.n = shape_.ldc = n;
    shape_.k = shape_.lda = k;
    shape_.ldb = trans_b ? k : n;
    shape_.trans_b = trans_b;
    shape_.input = dtype;
  }
  std::vector<float> lines(int64_t first, int64_t count) {
    shape_.m = count;
    std::vector<float> c(static_cast<size_t>(count * shape_.n));
    const auto* a = static_cast<const std::byte*>(a_.data(shape_.input));
    const int64_t offset = first * shape_.k * static_cast<int64_t>(dtype_size(shape_.input));
    gemm(shape_, a + offset, b_.data(shape_.input), c.data());
    return c;
  }

 private:
  Matrix a_, b_;
  GemmShape shape_;
};

// Whether every line has the same bits in tiles of `least` to 128 lines, wherever in the tile it
// lies. The inner sizes reach beyond what oneDNN sums in one go.
bool lines_keep_their_bits(DType dtype, int64_t least) {
  for (const int64_t k : {96, 576, 1280, 1536, 4864}) {
    for (const bool trans_b : {true, false}) {
      const int64_t n = 576;
      LineProducts products(dtype, n, k, trans_b);
      const std::vector<float> whole = products.lines(0, LineProducts::kLines);
      for (const int64_t count : {1, 2, 7, 31, 32, 64, 96}) {
        if (count < least) continue;
        for (int64_t first = 0; first + count <= LineProducts::kLines; first += 32) {
          const std::vector<float> part = products.lines(first, count);
          if (std::memcmp(part.data(), whole.data() + first * n, part.size() * 4) != 0) {
            std::fprintf(stderr, "%s, k %ld, trans_b %d: bits of %ld lines from %ld differ\n",
                         dtype_name(dtype), k, trans_b, count, first);
            return false;
          }
        }
      }
    }
  }
  return true;
}

// By the three lowest bits: B stored [n, k], adding to C, lines with a gap between them.
GemmShape weight_product(int64_t m, int64_t n, int64_t k, int bits) {
  GemmShape s;
  s.m = m;
  s.n = n;
  s.k = k;
  s.trans_b = (bits & 1) != 0;
  s.accumulate = (bits & 2) != 0;
  const int64_t gap = (bits & 4) != 0 ? 3 : 0;
  s.lda = k + gap;
  s.ldb = (s.trans_b ? k : n) + gap;
  s.ldc = n;
  return s;
}

// Whether a B of bf16 beside an A of f32 gives the bits of the same B in f32.
bool bf16_weights_are_widened() {
  constexpr int64_t kSizes[][3] = {{1, 1, 1}, {3, 5, 7}, {17, 33, 40}, {33, 300, 530}};
  for (const auto& [m, n, k] : kSizes) {
    for (int bits = 0; bits < 8; ++bits) {
      GemmShape s = weight_product(m, n, k, bits);
      const Matrix a(m * s.lda, 1, DType::kF32);
      const Matrix b((s.trans_b ? n : k) * s.ldb, 2, DType::kBF16);
      std::vector<float> wide = numbers(m * n, 3);
      std::vector<float> narrow = wide;
      gemm(s, a.exact.data(), b.exact.data(), wide.data());
      s.b_is_bf16 = true;
      gemm(s, a.exact.data(), b.narrow.data(), narrow.data());
      if (std::memcmp(wide.data(), narrow.data(), wide.size() * sizeof(float)) != 0) {
        std::fprintf(stderr, "m %ld n %ld k %ld trans_b %d: other bits\n", m, n, k, s.trans_b);
        return false;
      }
    }
  }
  return true;
}

// Whether products with columns of B that were packed piece by piece have the bits of those with B
// as it lies. b_type beside an A of f32 may be bf16.
bool packed_weights_keep_their_bits(DType input, DType b_type) {
  // The last two are summed in more than one pass.
  constexpr int64_t kSizes[][3] = {{1, 1, 1},     {3, 5, 7},      {17, 33, 40},
                                   {50, 130, 96}, {33, 200, 530}, {70, 40, 2100}};
  for (const auto& [m, n, k] : kSizes) {
    for (int bits = 0; bits < 8; ++bits) {
      GemmShape s = weight_product(m, n, k, bits);
      s.input = input;
      s.b_is_bf16 = b_type != input;
      const Matrix a(m * s.lda, 1, input);
      const Matrix b((s.trans_b ? n : k) * s.ldb, 2, b_type);
      std::vector<float> plain = numbers(m * n, 3);
      std::vector<float> packed = plain;
      gemm(s, a.data(input), b.data(b_type), plain.data());
      const size_t panel = packed_panel_bytes(input, k);
      const auto panels = static_cast<size_t>((n + kPackedCols - 1) / kPackedCols);
      const auto memory = allocate_aligned(panels * panel);
      std::memset(memory.get(), 0xff, panels * panel);  // what is not packed is not a number
      const auto at = [&](int64_t col) {
        return memory.get() + static_cast<size_t>(col / kPackedCols) * panel;
      };
      for (int64_t col = 0; col < n; col += 2 * kPackedCols) {
        GemmShape piece = s;
        piece.n = std::min(2 * kPackedCols, n - col);
        const auto* from = static_cast<const std::byte*>(b.data(b_type));
        const int64_t offset = (s.trans_b ? col * s.ldb : col);
        gemm_pack(piece, from + static_cast<size_t>(offset) * dtype_size(b_type), at(col));
      }
      for (int64_t col = 0; col < n; col += 3 * kPackedCols) {
        GemmShape piece = s;
        piece.n = std::min(3 * kPackedCols, n - col);
        piece.b_is_packed = true;
        gemm(piece, a.data(input), at(col), packed.data() + col);
      }
      if (std::memcmp(plain.data(), packed.data(), plain.size() * sizeof(float)) != 0) {
        std::fprintf(stderr, "m %ld n %ld k %ld trans_b %d: other bits\n", m, n, k, s.trans_b);
        return false;
      }
    }
  }
  return true;
}

// Whether what a product knows of a triangle changes no bit that counts.
bool triangles_keep_their_bits(Triangle triangle, bool trans_a, bool accumulate, int64_t diagonal) {
  constexpr int64_t kSizes[][3] = {{5, 7, 3}, {32, 64, 40}, {128, 300, 96}, {96, 40, 600}};
  for (const auto& [m, n, k] : kSizes) {
    GemmShape s;
    s.m = m;
    s.n = s.ldb = s.ldc = n;
    s.k = k;
    s.lda = trans_a ? m : k;
    s.trans_a = trans_a;
    s.accumulate = accumulate;
    std::vector<float> a = numbers(m * k, 1);
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t x = 0; x < k; ++x) {
        const bool is_zero = (triangle == Triangle::kLowerLeft && x > i + diagonal) ||
                             (triangle == Triangle::kUpperLeft && i > x + diagonal);
        if (is_zero) a[static_cast<size_t>(trans_a ? x * m + i : i * k + x)] = 0;
      }
    }
    const std::vector<float> b = numbers(k * n, 2);
    std::vector<float> whole = numbers(m * n, 3);
    std::vector<float> part = whole;
    gemm(s, a.data(), b.data(), whole.data());
    s.triangle = triangle;
    s.diagonal = diagonal;
    gemm(s, a.data(), b.data(), part.data());
    for (int64_t i = 0; i < m; ++i) {
      const int64_t cols = triangle == Triangle::kOutput ? std::min(n, i + diagonal + 1) : n;
      if (std::memcmp(whole.data() + i * n, part.data() + i * n,
                      static_cast<size_t>(cols) * sizeof(float)) != 0) {
        std::fprintf(stderr, "m %ld n %ld k %ld triangle %d diagonal %ld: line %ld differs\n", m, n,
                     k, static_cast<int>(triangle), diagonal, i);
        return false;
      }
    }
  }
  return true;
}

bool all_triangles_keep_their_bits() {
  bool good = true;
  for (const Triangle triangle : {Triangle::kOutput, Triangle::kLowerLeft, Triangle::kUpperLeft}) {
    for (const int64_t diagonal : {0, 1, 32, 97, 1000}) {
      for (int bits = 0; bits < 4; ++bits) {
        good =
            triangles_keep_their_bits(triangle, (bits & 1) != 0, (bits & 2) != 0, diagonal) && good;
      }
    }
  }
  return good;
}

class GemmDeathTest : public ::testing::TestWithParam<IsaTier> {
 protected:
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
  // In the child: takes on the tier, then leaves with 0 when `body` returns true.
  static void in_tier(IsaTier tier, const std::function<bool()>& body) {
    ::setenv("DLM_ISA", isa_name(tier), 1);
    use_one_openmp_thread();
    bool good = false;
    try {
      good = isa_tier() == tier && body();
    } catch (const Error& e) {
      std::fprintf(stderr, "%s\n", e.what());
    }
    std::exit(good ? 0 : 1);
  }
};

TEST_P(GemmDeathTest, F32ProductsMatchF64ForAllLayouts) {
  EXPECT_EXIT(in_tier(GetParam(), [] { return all_products_are_exact_enough(DType::kF32); }),
              ::testing::ExitedWithCode(0), "");
}

TEST_P(GemmDeathTest, Bf16ProductsMatchF64ForAllLayouts) {
  if (!has_bf16_products(GetParam())) GTEST_SKIP() << "skipped: no bf16 products on this tier";
  EXPECT_EXIT(in_tier(GetParam(), [] { return all_products_are_exact_enough(DType::kBF16); }),
              ::testing::ExitedWithCode(0), "");
}

TEST_P(GemmDeathTest, F32LinesKeepTheirBitsInEveryTile) {
  EXPECT_EXIT(in_tier(GetParam(), [] { return lines_keep_their_bits(DType::kF32, 1); }),
              ::testing::ExitedWithCode(0), "");
}

// On two tiers oneDNN has another path for a single line; the engine never multiplies fewer
// than 32.
TEST_P(GemmDeathTest, Bf16LinesKeepTheirBitsInEveryTile) {
  if (!has_bf16_products(GetParam())) GTEST_SKIP() << "skipped: no bf16 products on this tier";
  const int64_t least = GetParam() == IsaTier::kAvx512Bf16 ? 1 : 2;
  EXPECT_EXIT(in_tier(GetParam(), [&] { return lines_keep_their_bits(DType::kBF16, least); }),
              ::testing::ExitedWithCode(0), "");
}

TEST_P(GemmDeathTest, TrianglesChangeNoBitThatCounts) {
  EXPECT_EXIT(in_tier(GetParam(), all_triangles_keep_their_bits), ::testing::ExitedWithCode(0), "");
}

TEST_P(GemmDeathTest, Bf16WeightsBesideF32GiveTheBitsOfWidenedOnes) {
  if (GetParam() > IsaTier::kAvx2) GTEST_SKIP() << "skipped: not our own products on this tier";
  EXPECT_EXIT(in_tier(GetParam(), [] { return gemm_widens_bf16() && bf16_weights_are_widened(); }),
              ::testing::ExitedWithCode(0), "");
}

TEST_P(GemmDeathTest, PackedWeightsGiveTheBitsOfThoseThatLie) {
  const bool bf16 = GetParam() == IsaTier::kAmx;
  if (!bf16 && GetParam() > IsaTier::kAvx2) {
    GTEST_SKIP() << "skipped: not our own products on this tier";
  }
  const auto body = [&] {
    if (bf16) return packed_weights_keep_their_bits(DType::kBF16, DType::kBF16);
    return packed_weights_keep_their_bits(DType::kF32, DType::kF32) &&
           packed_weights_keep_their_bits(DType::kF32, DType::kBF16);
  };
  EXPECT_EXIT(in_tier(GetParam(), body), ::testing::ExitedWithCode(0), "");
}

std::string tier_of(const ::testing::TestParamInfo<IsaTier>& info) {
  return isa_name(info.param);
}
INSTANTIATE_TEST_SUITE_P(Tiers, GemmDeathTest, ::testing::ValuesIn(supported_isa_tiers()), tier_of);

TEST(IsaDeathTest, UnknownTiersAreRefusedByName) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto refuse = [] {
    ::setenv("DLM_ISA", "sse9", 1);
    try {
      isa_tier();
    } catch (const Error& e) {
      std::fprintf(stderr, "%s", e.what());
      std::exit(e.kind() == ErrorKind::kUsage ? 0 : 1);
    }
    std::exit(2);
  };
  EXPECT_EXIT(refuse(), ::testing::ExitedWithCode(0), "^DLM_ISA is \"sse9\"$");
}

TEST(Isa, TiersAreNamedInRisingOrder) {
  const std::vector<IsaTier> tiers = supported_isa_tiers();
  EXPECT_EQ(tiers.front(), IsaTier::kScalar);
  EXPECT_EQ(tiers.back(), best_isa_tier());
  EXPECT_TRUE(std::is_sorted(tiers.begin(), tiers.end()));
  EXPECT_STREQ(isa_name(IsaTier::kAvx512Bf16), "avx512_bf16");
}

// The packed product may sum in another order than the plain one; both are near f64.
TEST(PackedMatrix, MultipliesLikeThePlainProduct) {
  const DType dtype = has_bf16_products(isa_tier()) ? DType::kBF16 : DType::kF32;
  for (const bool trans_b : {true, false}) {
    const int64_t m = 64, n = 80, k = 96;
    const Matrix a(m * k, 6, dtype);
    const Matrix b(n * k, 7, dtype);
    PackedShape shape;
    shape.m = m;
    shape.n = n;
    shape.k = k;
    shape.ldb = trans_b ? k : n;
    shape.trans_b = trans_b;
    shape.dtype = dtype;
    PackedMatrix packed(shape, b.data(dtype), 2);
    EXPECT_GE(packed.packed_bytes(), static_cast<size_t>(n * k) * dtype_size(dtype));
    std::vector<float> c(static_cast<size_t>(m * n));
    std::vector<BF16> c16(c.size());
    packed.multiply(a.data(dtype),
                    dtype == DType::kBF16 ? static_cast<void*>(c16.data()) : c.data(), 1);
    if (dtype == DType::kBF16) c = widened(c16);
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        double exact = 0;
        for (int64_t x = 0; x < k; ++x) {
          exact += element(a, i, x, k, false) * element(b, x, j, shape.ldb, trans_b);
        }
        EXPECT_NEAR(c[static_cast<size_t>(i * n + j)], exact, 1e-4 + std::abs(exact) / 256);
      }
    }
  }
}

}  // namespace
}  // namespace dlm
