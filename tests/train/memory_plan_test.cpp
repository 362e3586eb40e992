// The memory plan: what fits is taken, the fastest first; what does not fit is refused with what
// would. Whether predictions come true is tested on the program itself (tests/cli).
#include "train/memory_plan.h"

#include <gtest/gtest.h>

#include "bases/registry.h"
#include "support/error.h"
#include "train/frozen_lines.h"

namespace dlm {
namespace {

class MemoryPlanTest : public ::testing::Test {
 protected:
  MemoryPlanTest() {
    input_.model = &model_;
    input_.dtype = DType::kBF16;
    input_.num_threads = 2;
    input_.program_bytes = uint64_t{40} << 20;
    input_.longest_row = 300;
    input_.step_tokens = 4000;
    input_.reused_tokens = 10000;
  }

  uint64_t needed(int64_t tokens, Recompute recompute) {
    return MemoryModel(input_).needs(tokens, recompute).total();
  }

  ModelConfig model_ = shapes_of(*find_base("smollm2-135m"));
  MemoryInput input_;
};

TEST_F(MemoryPlanTest, TakesFullBatchesWhenNothingLimitsIt) {
  const MemoryPlan plan = plan_memory(input_);
  EXPECT_EQ(plan.micro_batch_tokens, 1024);
  EXPECT_EQ(plan.recompute, Recompute::kNothing);
  EXPECT_EQ(plan.reason, "1024 tokens at once, nothing computed again: nothing limits it");
  EXPECT_EQ(plan.needs.frozen_lines, 0u) << "adapters reach down to the lowest layer";
}

TEST_F(MemoryPlanTest, ComputesWhatIsCheapAgainInF32) {
  input_.dtype = DType::kF32;
  const MemoryPlan plan = plan_memory(input_);
  EXPECT_EQ(plan.micro_batch_tokens, 1024);
  EXPECT_EQ(plan.recompute, Recompute::kCheap);
  EXPECT_EQ(plan.reason,
            "1024 tokens at once, norms and activations computed again: nothing limits it");
  const MemoryNeeds all = MemoryModel(input_).needs(1024, Recompute::kNothing);
  EXPECT_LT(plan.needs.activations, all.activations / 4 * 3);
  input_.limit_bytes = needed(512, Recompute::kCheap);
  EXPECT_EQ(plan_memory(input_).micro_batch_tokens, 512);
  input_.limit_bytes = needed(300, Recompute::kLayers);
  EXPECT_EQ(plan_memory(input_).recompute, Recompute::kLayers);
}

TEST_F(MemoryPlanTest, TakesTheFastestChoiceThatFits) {
  struct Case {
    int64_t tokens;
    Recompute recompute;
  };
  // In this order: each limit is what the choice needs to the byte.
  for (const auto& [tokens, recompute] :
       {Case{1024, Recompute::kNothing}, Case{1024, Recompute::kCheap},
        Case{512, Recompute::kNothing}, Case{300, Recompute::kLayers}}) {
    input_.limit_bytes = needed(tokens, recompute);
    const MemoryPlan plan = plan_memory(input_);
    EXPECT_EQ(plan.micro_batch_tokens, tokens);
    EXPECT_EQ(plan.recompute, recompute);
    EXPECT_EQ(plan.needs.total(), input_.limit_bytes);
  }
}

TEST_F(MemoryPlanTest, NoBatchIsSmallerThanTheLongestRowNorLargerThanAStep) {
  input_.step_tokens = 400;
  EXPECT_EQ(plan_memory(input_).micro_batch_tokens, 400);
  input_.longest_row = 2000;
  EXPECT_EQ(plan_memory(input_).micro_batch_tokens, 2000);
}

TEST_F(MemoryPlanTest, RefusesWithTheSequenceLengthThatWouldFit) {
  input_.longest_row = 1500;
  input_.limit_bytes = needed(640, Recompute::kLayers) + 1000;
  input_.limit_is_asked = true;
  try {
    plan_memory(input_);
    FAIL() << "it fits";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kTrain);
    const uint64_t least = (needed(1500, Recompute::kLayers) + (1 << 20) - 1) >> 20;
    EXPECT_EQ(error.message(), "training needs about " + std::to_string(least) +
                                   " MiB of memory, " + std::to_string(input_.limit_bytes >> 20) +
                                   " MiB are allowed");
    EXPECT_TRUE(
        error.hint().ends_with("write training.sequence_len: 640 or less, or use a smaller base"))
        << error.hint();
  }
}

TEST_F(MemoryPlanTest, RefusesWhatNoShorterRowWouldMend) {
  input_.limit_bytes = uint64_t{100} << 20;
  try {
    plan_memory(input_);
    FAIL() << "it fits";
  } catch (const Error& error) {
    EXPECT_TRUE(error.message().ends_with(", 100 MiB are free")) << error.message();
    EXPECT_TRUE(error.hint().starts_with("no shorter rows would fit: ")) << error.hint();
  }
}

// A billion weights as f32, bf16 and in 4 bits; of experts all are held, whatever a token takes.
TEST_F(MemoryPlanTest, CountsWeightsAsTheyAreHeld) {
  model_ = shapes_of(*find_base("mixtral-8x7b-instruct"));
  input_.lora.target_modules = {"q_proj"};
  const auto weights = [&] { return MemoryModel(input_).needs(300, Recompute::kLayers).weights; };
  const auto all = static_cast<double>(model_.num_parameters());
  const auto share = [&](double bytes_each) {
    return static_cast<double>(weights()) / (all * bytes_each);
  };
  // Of the untied table only lines are read, each with what lies around it.
  input_.num_tokens = input_.step_tokens = 500;
  const uint64_t few = weights();
  input_.num_tokens = 1000;
  EXPECT_EQ(weights() - few, 500u * 65536);
  input_.lora.modules_to_save = {"embed_tokens"};
  EXPECT_NEAR(share(2), 1, 0.001) << "the table is copied";
  input_.lora.modules_to_save.clear();
  input_.stored_type = std::nullopt;
  EXPECT_NEAR(share(2), 1, 0.001) << "converted";
  input_.base_format = BaseFormat::qlora();
  EXPECT_NEAR(share(4.13 / 8), 1, 0.04);
  input_.base_format = {};
  input_.dtype = DType::kF32;
  EXPECT_NEAR(share(4), 1, 0.001);
  input_.stored_type = DType::kBF16;
  const double held = trains_as_stored(DType::kF32, DType::kBF16) ? 2 : 4;
  EXPECT_NEAR(share(held), 1, 0.01);
}

TEST_F(MemoryPlanTest, ARefusalNamesTheFormOfTheBaseThatWouldFit) {
  input_.longest_row = 64;
  input_.base_format = BaseFormat::qlora();
  const uint64_t small = needed(64, Recompute::kLayers);
  input_.base_format = {};
  input_.limit_bytes = small;
  try {
    plan_memory(input_);
    FAIL() << "it fits";
  } catch (const Error& error) {
    EXPECT_TRUE(error.hint().starts_with("--weights nf4 needs about " +
                                         std::to_string((small + (1 << 20) - 1) >> 20) +
                                         " MiB and fits; or no shorter rows would fit: "))
        << error.hint();
  }
  input_.limit_bytes = small - 1;
  try {
    plan_memory(input_);
    FAIL() << "it fits";
  } catch (const Error& error) {
    EXPECT_TRUE(error.hint().starts_with("no shorter rows would fit: ")) << error.hint();
  }
}

TEST_F(MemoryPlanTest, KeepsLinesOfFrozenLayersAsFarAsTheyFit) {
  input_.lora.target_modules = {"model.layers.28.self_attn.q_proj"};
  const uint64_t all = 10000 * 576 * 4;
  EXPECT_EQ(plan_memory(input_).needs.frozen_lines, all);
  input_.limit_bytes = plan_memory(input_).needs.total() - all / 2;
  EXPECT_EQ(plan_memory(input_).needs.frozen_lines, all / 2);
  EXPECT_EQ(plan_memory(input_).needs.total(), input_.limit_bytes);
  input_.reused_tokens = 0;  // every row is seen once
  EXPECT_EQ(plan_memory(input_).needs.frozen_lines, 0u);
}

TEST(RowLines, GivesBackWhatWasStoredForTheSameTokens) {
  RowLines kept(2, 1000);
  Batch first;
  first.add_row(std::vector<int32_t>{1, 2}, {}, 5);
  first.add_row(std::vector<int32_t>{3}, {}, 6);
  std::vector<float> lines(6);
  EXPECT_FALSE(kept.load(first, lines.data()));
  kept.store(first, std::vector<float>{1, 2, 3, 4, 5, 6}.data());
  // Other order, other ids.
  Batch other;
  other.add_row(std::vector<int32_t>{3}, {}, 1);
  other.add_row(std::vector<int32_t>{1, 2}, {}, 2);
  EXPECT_TRUE(kept.load(other, lines.data()));
  EXPECT_EQ(lines, (std::vector<float>{5, 6, 1, 2, 3, 4}));
  other.add_row(std::vector<int32_t>{1}, {}, 2);
  lines.resize(8);
  EXPECT_FALSE(kept.load(other, lines.data()));
}

TEST(RowLines, HoldsNoMoreThanItMay) {
  RowLines kept(2, 20);
  Batch batch;
  batch.add_row(std::vector<int32_t>{1, 2}, {}, 0);
  batch.add_row(std::vector<int32_t>{3}, {}, 0);
  kept.store(batch, std::vector<float>(6).data());
  EXPECT_EQ(kept.held_bytes(), 16u);
}

}  // namespace
}  // namespace dlm
