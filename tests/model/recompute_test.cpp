// Recomputation and skipped frozen layers change memory and time, never a gradient.
#include "engine/recompute.h"

#include <gtest/gtest.h>

#include "engine/cpu/isa.h"
#include "model/tiny_decoder.h"

namespace dlm {
namespace {

class RecomputeTest : public ::testing::TestWithParam<DType> {
 protected:
  void SetUp() override {
    if (GetParam() == DType::kBF16 && !has_bf16_products(isa_tier())) {
      GTEST_SKIP() << "skipped: no bf16 products on tier " << isa_name(isa_tier());
    }
    config_.num_layers = 4;
    config_.intermediate_size = 160;  // small values are kept whatever is computed again
    for (const int64_t length : {33, 5, 64}) rows_.push_back(tiny_row(rows_.size(), length, 40));
    batch_ = tiny_batch(rows_);
    decoder_ = Decoder::random(config_, GetParam(), 3);
  }

  // An adapter whose second factors are not zero, ready to train.
  std::unique_ptr<LoraAdapter> adapter(const std::vector<std::string>& targets = {}) {
    LoraOptions options;
    options.dropout = 0.1;
    options.target_modules = targets;
    auto out = LoraAdapter::create(*decoder_, options, 5);
    uint64_t seed = 0;
    for (const auto& [name, lora] : out->layers()) {
      for (int64_t i = 0; i < lora->bt.value.numel(); ++i) {
        lora->bt.value.mutable_f32()[i] = static_cast<float>(0.1 * normal(++seed));
      }
    }
    out->set_trainable();
    return out;
  }

  ModelConfig config_ = tiny_config(true);
  std::vector<TinyRow> rows_;
  Batch batch_;
  std::unique_ptr<Decoder> decoder_;
  Device device_{2};
};

TEST_P(RecomputeTest, GradientsKeepTheirBytesAndMemoryFalls) {
  std::vector<float> reference;
  int64_t before = 0;
  for (const Recompute recompute : {Recompute::kNothing, Recompute::kCheap, Recompute::kLayers}) {
    const auto lora = adapter();
    const auto graph = build_graph(*decoder_, lora.get(), GraphUse::kTraining, 256, recompute);
    const int64_t bytes = graph->graph.arena_bytes_per_token();
    Exec exec(graph->graph, device_);
    exec.dropout_on = true;
    // Twice: the second pass starts from what the first left in memory.
    for (int pass = 0; pass < 2; ++pass) {
      exec.forward(batch_);
      exec.backward();
    }
    const std::vector<float> gradients = gradients_of(lora->parameters());
    if (recompute == Recompute::kNothing) {
      reference = gradients;
    } else {
      EXPECT_LT(bytes, before);
      EXPECT_EQ(std::memcmp(gradients.data(), reference.data(), reference.size() * 4), 0)
          << recompute_name(recompute);
    }
    before = bytes;
  }
}

TEST_P(RecomputeTest, GradientsKeepTheirBytesInEveryFamily) {
  for (const std::string_view family : family_names()) {
    decoder_ = Decoder::random(tiny_family_config(std::string(family)), GetParam(), 3);
    std::vector<float> reference;
    for (const Recompute recompute : {Recompute::kNothing, Recompute::kCheap, Recompute::kLayers}) {
      const auto lora = adapter();
      const auto graph = build_graph(*decoder_, lora.get(), GraphUse::kTraining, 256, recompute);
      Exec exec(graph->graph, device_);
      exec.dropout_on = true;
      for (int pass = 0; pass < 2; ++pass) {
        exec.forward(batch_);
        exec.backward();
      }
      const std::vector<float> gradients = gradients_of(lora->parameters());
      if (reference.empty()) reference = gradients;
      EXPECT_EQ(std::memcmp(gradients.data(), reference.data(), reference.size() * 4), 0)
          << family << ", " << recompute_name(recompute);
    }
  }
}

// Keeps the lines of one batch.
class OneBatch : public FrozenLines {
 public:
  explicit OneBatch(int64_t hidden) : hidden_(hidden) {}
  bool load(const Batch& batch, float* lines) override {
    if (kept_.empty()) return false;
    ++loads_;
    std::memcpy(lines, kept_.data(), static_cast<size_t>(batch.num_tokens() * hidden_) * 4);
    return true;
  }
  void store(const Batch& batch, const float* lines) override {
    kept_.assign(lines, lines + batch.num_tokens() * hidden_);
  }
  int loads() const { return loads_; }

 private:
  int64_t hidden_;
  int loads_ = 0;
  std::vector<float> kept_;
};

TEST_P(RecomputeTest, LayersBelowTheLowestAdapterAreSkippedWithTheSameBytes) {
  const std::vector<std::string> targets{"model.layers.2.mlp.gate_proj",
                                         "model.layers.3.self_attn.q_proj"};
  std::vector<float> reference;
  for (const bool keeps : {false, true}) {
    const auto lora = adapter(targets);
    const auto graph = build_graph(*decoder_, lora.get(), GraphUse::kTraining, 256);
    ASSERT_TRUE(graph->graph.frozen_value().valid());
    EXPECT_EQ(graph->graph.frozen_value().index, graph->hidden[2].index);
    OneBatch lines(config_.hidden_size);
    Exec exec(graph->graph, device_);
    exec.dropout_on = true;
    if (keeps) exec.frozen_lines = &lines;
    for (int pass = 0; pass < 3; ++pass) {
      exec.forward(batch_);
      exec.backward();
    }
    EXPECT_EQ(lines.loads(), keeps ? 2 : 0);
    const std::vector<float> gradients = gradients_of(lora->parameters());
    if (reference.empty()) reference = gradients;
    EXPECT_EQ(std::memcmp(gradients.data(), reference.data(), reference.size() * 4), 0);
  }
}

TEST_P(RecomputeTest, NothingIsFrozenBelowAnAdapterInTheLowestLayer) {
  const auto lora = adapter({"model.layers.0.self_attn.v_proj"});
  const auto graph = build_graph(*decoder_, lora.get(), GraphUse::kTraining, 256);
  EXPECT_FALSE(graph->graph.frozen_value().valid());
  EXPECT_EQ(graph->graph.num_frozen_ops(), 0);
}

TEST_P(RecomputeTest, ActivationsOfFrozenLayersAreNotKept) {
  const auto low = adapter({"model.layers.0.self_attn.v_proj"});
  const auto high = adapter({"model.layers.3.self_attn.v_proj"});
  const auto all = build_graph(*decoder_, low.get(), GraphUse::kTraining, 256);
  const auto top = build_graph(*decoder_, high.get(), GraphUse::kTraining, 256);
  EXPECT_LT(top->graph.arena_bytes_per_token(), all->graph.arena_bytes_per_token() / 2);
}

INSTANTIATE_TEST_SUITE_P(Precisions, RecomputeTest, ::testing::Values(DType::kF32, DType::kBF16),
                         [](const auto& precision) {
                           return precision.param == DType::kF32 ? "fp32" : "bf16";
                         });

}  // namespace
}  // namespace dlm
