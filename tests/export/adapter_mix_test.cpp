// Weighted sums of adapters against the sum of their own products, worked out in double; and the
// cut to a smaller rank against what is known of it.
#include <gtest/gtest.h>

#include <cmath>

#include "engine/random.h"
#include "export/adapter_folder.h"
#include "support/error.h"
#include "temporary_folder.h"

namespace dlm {
namespace {

ModelConfig small_config() {
  ModelConfig c;
  c.model_type = "llama";
  c.hidden_size = 16;
  c.intermediate_size = 24;
  c.num_layers = 2;
  c.num_heads = 2;
  c.num_kv_heads = 1;
  c.head_dim = 8;
  c.vocab_size = 32;
  c.max_positions = 64;
  c.rms_norm_eps = 1e-5;
  return c;
}

constexpr const char* kLayer = "model.layers.1.mlp.down_proj";

class AdapterMix : public ::testing::Test {
 protected:
  // An adapter with B that is not zero.
  fs::path write_adapter(const std::string& name, LoraOptions options, uint64_t seed) {
    const auto shapes = Decoder::shapes(config_, DType::kF32);
    const auto adapter = LoraAdapter::create(*shapes, options, seed);
    for (const auto& [module, lora] : adapter->layers()) {
      float* b = lora->bt.value.mutable_f32();
      for (int64_t i = 0; i < lora->bt.value.numel(); ++i) {
        b[i] = static_cast<float>(
            uniform(random_key({seed, lora->key, static_cast<uint64_t>(i), 9})) - 0.5);
      }
    }
    make_folders(folder_ / name);
    adapter->save(folder_ / name);
    return folder_ / name;
  }

  // scale B A of one layer, [out, in].
  std::vector<double> product(const fs::path& folder, const std::string& module) {
    const AdapterOnShapes loaded = load_adapter(config_, folder);
    const Lora* lora = loaded.adapter->find(module);
    if (lora == nullptr) return {};
    const int64_t in = lora->a.value.dim(1);
    const int64_t out = lora->bt.value.dim(1);
    std::vector<double> sum(static_cast<size_t>(out * in));
    for (int64_t r = 0; r < lora->rank; ++r) {
      for (int64_t o = 0; o < out; ++o) {
        for (int64_t i = 0; i < in; ++i) {
          sum[static_cast<size_t>(o * in + i)] +=
              static_cast<double>(lora->scale) *
              static_cast<double>(lora->bt.value.f32()[r * out + o]) *
              static_cast<double>(lora->a.value.f32()[r * in + i]);
        }
      }
    }
    return sum;
  }

  static double distance(const std::vector<double>& a, const std::vector<double>& b) {
    double sum = 0;
    for (size_t i = 0; i < a.size(); ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
    return std::sqrt(sum);
  }

  ModelConfig config_ = small_config();
  TemporaryFolder folder_;
};

LoraOptions of_rank(int64_t rank) {
  LoraOptions o;
  o.rank = rank;
  o.alpha = 16;
  return o;
}

TEST_F(AdapterMix, IsTheExactSumOfAdaptersOfAnyKind) {
  LoraOptions rslora = of_rank(3);
  rslora.use_rslora = true;
  rslora.target_modules = {"down_proj"};
  LoraOptions patterns = of_rank(2);
  patterns.rank_pattern = {{"down_proj", 4}};
  patterns.alpha_pattern = {{"q_proj", 5.0}};
  const fs::path a = write_adapter("a", rslora, 1);
  const fs::path b = write_adapter("b", patterns, 2);
  const MixReport report = write_mixed_adapter(config_, {{a, "a", 0.7}, {b, "b", 1.5}},
                                               MixMethod::kConcatenate, "base", folder_ / "mix");
  EXPECT_EQ(report.rank, 7);
  EXPECT_EQ(report.relative_error, 0);
  std::vector<double> expected = product(a, kLayer);
  const std::vector<double> second = product(b, kLayer);
  for (size_t i = 0; i < expected.size(); ++i) expected[i] = 0.7 * expected[i] + 1.5 * second[i];
  const std::vector<double> mixed = product(folder_ / "mix", kLayer);
  ASSERT_EQ(mixed.size(), expected.size());
  // The factors are rounded once to f32.
  EXPECT_LT(distance(mixed, expected),
            1e-6 * distance(expected, std::vector<double>(expected.size())));
  // A layer that one of them leaves out.
  std::vector<double> q = product(b, "model.layers.0.self_attn.q_proj");
  for (double& x : q) x *= 1.5;
  EXPECT_LT(distance(product(folder_ / "mix", "model.layers.0.self_attn.q_proj"), q), 1e-5);
}

TEST_F(AdapterMix, CutsNothingWhereTheRankSuffices) {
  const fs::path a = write_adapter("a", of_rank(4), 1);
  const MixReport report = write_mixed_adapter(config_, {{a, "a", 0.25}, {a, "again", 0.75}},
                                               MixMethod::kSvd, "base", folder_ / "mix");
  EXPECT_EQ(report.rank, 4);
  EXPECT_LT(report.relative_error, 1e-7);
  const std::vector<double> expected = product(a, kLayer);
  EXPECT_LT(distance(product(folder_ / "mix", kLayer), expected),
            1e-6 * distance(expected, std::vector<double>(expected.size())));
}

TEST_F(AdapterMix, TellsTheErrorOfItsCut) {
  const fs::path a = write_adapter("a", of_rank(4), 1);
  const fs::path b = write_adapter("b", of_rank(4), 2);
  write_mixed_adapter(config_, {{a, "a", 1}, {b, "b", 1}}, MixMethod::kConcatenate, "base",
                      folder_ / "exact");
  const MixReport report = write_mixed_adapter(config_, {{a, "a", 1}, {b, "b", 1}}, MixMethod::kSvd,
                                               "base", folder_ / "cut");
  double cut = 0;
  double whole = 0;
  double largest = 0;
  const auto shapes = Decoder::shapes(config_, DType::kF32);
  for (const auto& [module, weight] : shapes->linear_layers()) {
    const std::vector<double> exact = product(folder_ / "exact", module);
    const double lost = distance(product(folder_ / "cut", module), exact);
    const double all = distance(exact, std::vector<double>(exact.size()));
    cut += lost * lost;
    whole += all * all;
    largest = std::max(largest, lost / all);
  }
  EXPECT_GT(report.relative_error, 0.05);
  EXPECT_NEAR(report.relative_error, std::sqrt(cut / whole), 1e-5);
  EXPECT_NEAR(report.largest_error, largest, 1e-5);
}

// By Eckart and Young no matrix of rank 1 is nearer than the largest singular value's.
TEST(CutToRank, KeepsTheLargestSingularValues) {
  // B A = diag(3, 2, 1) in turned bases of the plane's axes.
  std::vector<float> b = {3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0};
  std::vector<float> a = {0, 1, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0};
  const auto [cut, whole] = cut_to_rank(b, a, 4, 4, 3, 2);
  EXPECT_NEAR(whole, 14, 1e-9);
  EXPECT_NEAR(cut, 1, 1e-9);
  const float expected[4][4] = {{0, 3, 0, 0}, {0, 0, 2, 0}, {0, 0, 0, 0}, {0, 0, 0, 0}};
  for (size_t o = 0; o < 4; ++o) {
    for (size_t i = 0; i < 4; ++i) {
      EXPECT_NEAR(b[o * 2] * a[i] + b[o * 2 + 1] * a[4 + i], expected[o][i], 1e-6);
    }
  }
}

TEST_F(AdapterMix, RefusesWhatIsNoSum) {
  LoraOptions dora = of_rank(2);
  dora.use_dora = true;
  // Magnitudes need weights: a decoder with some.
  const auto decoder = Decoder::random(config_, DType::kF32, 3);
  make_folders(folder_ / "dora");
  LoraAdapter::create(*decoder, dora, 1)->save(folder_ / "dora");
  try {
    write_mixed_adapter(config_, {{folder_ / "dora", "tone", 1}}, MixMethod::kConcatenate, "base",
                        folder_ / "mix");
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.message(), "adapter \"tone\" is a DoRA, which is no sum of low-rank products");
  }
}

}  // namespace
}  // namespace dlm
