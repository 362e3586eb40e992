// One training step gives the same bytes for any number of threads and any split of its rows into
// batches. The tier of this process decides which products run.

#include <gtest/gtest.h>

#include "engine/adamw.h"
#include "engine/cpu/isa.h"
#include "model/tiny_decoder.h"

namespace dlm {
namespace {

struct StepResult {
  std::vector<float> gradients;
  std::vector<float> weights;
  std::vector<float> losses;
};

bool same(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

class SameBytes : public ::testing::TestWithParam<DType> {
 protected:
  void SetUp() override {
    if (GetParam() == DType::kBF16 && !has_bf16_products(isa_tier())) {
      GTEST_SKIP() << "skipped: no bf16 products on tier " << isa_name(isa_tier());
    }
    // Lengths on both sides of the blocks of 32, 64 and 128 tokens; eight rows, 593 tokens.
    uint64_t id = 10;
    for (const int64_t length : {33, 128, 5, 64, 150, 31, 129, 53}) {
      rows_.push_back(tiny_row(id++, length, 40));
    }
  }

  // One AdamW step over all rows, in batches of the given numbers of rows; the adapter has every
  // kind of parameter when `every_kind`.
  StepResult step(int threads, const std::vector<size_t>& split, float dropout = 0.1f,
                  bool every_kind = false, const ModelConfig& config = tiny_config(true)) {
    Device device(threads);
    const auto decoder = Decoder::random(config, GetParam(), 3);
    LoraOptions options;
    options.rank = 8;
    options.dropout = static_cast<double>(dropout);
    if (every_kind) {
      options.use_dora = true;
      options.modules_to_save = {kEmbedTokens, kLmHead};
    }
    const auto adapter = LoraAdapter::create(*decoder, options, 5);
    uint64_t seed = 0;
    for (const auto& [name, lora] : adapter->layers()) {
      for (int64_t i = 0; i < lora->bt.value.numel(); ++i) {
        lora->bt.value.mutable_f32()[i] = static_cast<float>(0.1 * normal(++seed));
      }
    }
    adapter->set_trainable();
    const auto graph = build_graph(*decoder, adapter.get(), GraphUse::kTraining, 256);
    Exec exec(graph->graph, device);
    exec.dropout_on = dropout > 0;
    exec.loss_scale = 1.0f / 256.0f;
    StepResult result;
    size_t first = 0;
    for (const size_t count : split) {
      const Batch batch = tiny_batch({rows_.begin() + static_cast<std::ptrdiff_t>(first),
                                      rows_.begin() + static_cast<std::ptrdiff_t>(first + count)});
      exec.forward(batch);
      exec.backward();
      result.losses.insert(result.losses.end(), exec.token_losses.begin(), exec.token_losses.end());
      first += count;
    }
    EXPECT_EQ(first, rows_.size());
    result.gradients = gradients_of(adapter->parameters());
    AdamW optimizer(adapter->parameters(), AdamWOptions{});
    optimizer.step(1e-3f, device);
    for (const Parameter* p : adapter->parameters()) {
      result.weights.insert(result.weights.end(), p->f32_elements(),
                            p->f32_elements() + p->value.numel());
    }
    return result;
  }

  std::vector<TinyRow> rows_;
};

TEST_P(SameBytes, ForAnyNumberOfThreads) {
  const StepResult one = step(1, {8});
  EXPECT_NE(one.gradients, std::vector<float>(one.gradients.size(), 0.0f));
  for (const int threads : {2, 3, 4}) {
    const StepResult many = step(threads, {8});
    EXPECT_TRUE(same(many.losses, one.losses)) << threads;
    EXPECT_TRUE(same(many.gradients, one.gradients)) << threads;
    EXPECT_TRUE(same(many.weights, one.weights)) << threads;
  }
}

TEST_P(SameBytes, ForAnySplitIntoBatches) {
  const StepResult whole = step(2, {8});
  const std::vector<std::vector<size_t>> splits{
      {1, 1, 1, 1, 1, 1, 1, 1}, {2, 2, 2, 2}, {4, 4}, {3, 5}, {7, 1}};
  for (const auto& split : splits) {
    const StepResult parts = step(2, split);
    EXPECT_TRUE(same(parts.losses, whole.losses)) << split.size() << " batches";
    EXPECT_TRUE(same(parts.gradients, whole.gradients)) << split.size() << " batches";
    EXPECT_TRUE(same(parts.weights, whole.weights)) << split.size() << " batches";
  }
}

TEST_P(SameBytes, WithoutDropoutToo) {
  const StepResult whole = step(1, {8}, 0.0f);
  const StepResult parts = step(4, {1, 2, 5}, 0.0f);
  EXPECT_TRUE(same(parts.gradients, whole.gradients));
  EXPECT_FALSE(same(whole.gradients, step(1, {8}, 0.1f).gradients)) << "dropout does nothing";
}

// Where a pass has more tokens than a tile, weights are packed once for all of them, and those of
// wide layers in more than one piece.
TEST_P(SameBytes, WithLayersThatArePackedInPieces) {
  ModelConfig config = tiny_config(true);
  config.hidden_size = 1024;
  config.intermediate_size = 2100;
  config.num_layers = 1;
  rows_ = {tiny_row(1, 130, 40), tiny_row(2, 70, 40)};
  const StepResult whole = step(2, {2}, 0.0f, false, config);
  const StepResult parts = step(1, {1, 1}, 0.0f, false, config);
  EXPECT_TRUE(same(parts.losses, whole.losses));
  EXPECT_TRUE(same(parts.gradients, whole.gradients));
}

// An expert sees a handful of a row's tokens, in batches that depend on the other rows.
TEST_P(SameBytes, WithSparseExperts) {
  const ModelConfig config = tiny_family_config("mixtral");
  const StepResult whole = step(1, {8}, 0.1f, false, config);
  const StepResult threads = step(3, {8}, 0.1f, false, config);
  EXPECT_TRUE(same(threads.losses, whole.losses));
  EXPECT_TRUE(same(threads.gradients, whole.gradients));
  for (const std::vector<size_t>& split :
       {std::vector<size_t>{1, 1, 1, 1, 1, 1, 1, 1}, std::vector<size_t>{3, 5}}) {
    const StepResult parts = step(2, split, 0.1f, false, config);
    EXPECT_TRUE(same(parts.losses, whole.losses)) << split.size() << " batches";
    EXPECT_TRUE(same(parts.gradients, whole.gradients)) << split.size() << " batches";
    EXPECT_TRUE(same(parts.weights, whole.weights)) << split.size() << " batches";
  }
}

TEST_P(SameBytes, OfMagnitudesEmbeddingAndHeadToo) {
  const StepResult whole = step(1, {8}, 0.1f, true);
  const StepResult threads = step(3, {8}, 0.1f, true);
  EXPECT_TRUE(same(threads.gradients, whole.gradients));
  EXPECT_TRUE(same(threads.weights, whole.weights));
  const std::vector<std::vector<size_t>> splits{
      {1, 1, 1, 1, 1, 1, 1, 1}, {3, 5}, {7, 1}, {2, 4, 2}};
  for (const auto& split : splits) {
    const StepResult parts = step(2, split, 0.1f, true);
    EXPECT_TRUE(same(parts.gradients, whole.gradients)) << split.size() << " batches";
    EXPECT_TRUE(same(parts.weights, whole.weights)) << split.size() << " batches";
  }
}

std::string type_of(const ::testing::TestParamInfo<DType>& info) {
  return dtype_name(info.param);
}
INSTANTIATE_TEST_SUITE_P(Types, SameBytes, ::testing::Values(DType::kF32, DType::kBF16), type_of);

}  // namespace
}  // namespace dlm
