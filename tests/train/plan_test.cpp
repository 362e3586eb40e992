// The plan of a run: what a document writes is obeyed, what it leaves open is chosen, what cannot
// be trained is refused by the key's name.
#include "train/plan.h"

#include <gtest/gtest.h>

#include <cmath>

#include "bases/registry.h"
#include "doc/document.h"
#include "support/error.h"
#include "tiny_base.h"

namespace dlm {
namespace {

Frontmatter frontmatter(const std::string& training) {
  return parse_document(
             "---\ndlm_id: 01KPG0GVBVZZZZZZZZZZZZZZZZ\ndlm_version: 15\n"
             "base_model: dlm-nano\n" +
                 (training.empty() ? "" : "training:\n" + training) + "---\nText.\n",
             "notes.dlm")
      .frontmatter;
}

class PlanTest : public ::testing::Test {
 protected:
  // A dozen pairs of 40 tokens on the bundled base.
  PlanTest() {
    input_.model = &model_;
    input_.base_key = "dlm-nano";
    input_.num_rows = 12;
    input_.num_chat_rows = 12;
    input_.num_tokens = 480;
    input_.longest_row = 60;
    input_.num_general_rows = 64;
    input_.general_tokens = 64 * 50;
    input_.gflops = 100;
    input_.memory_bytes = uint64_t{8} << 30;
  }

  TrainingPlan plan(const std::string& training = "") {
    frontmatter_ = frontmatter(training);
    input_.frontmatter = &frontmatter_;
    return make_plan(input_);
  }
  std::string fault(const std::string& training) {
    try {
      plan(training);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kTrain);
      EXPECT_NE(error.hint(), "");
      return error.what();
    }
    return "no error";
  }

  ModelConfig model_ = shapes_of(*find_base("dlm-nano"));
  Frontmatter frontmatter_;
  PlanInput input_;
};

TEST_F(PlanTest, WrittenSettingsAreObeyed) {
  const TrainingPlan p = plan(
      "  lora_r: 4\n  lora_alpha: 12\n  lora_dropout: 0.25\n  learning_rate: 0.0007\n"
      "  num_epochs: 5\n  micro_batch_size: 2\n  grad_accum: 3\n  warmup_ratio: 0.25\n"
      "  lr_scheduler: linear\n  precision: fp32\n  seed: 7\n  sequence_len: 128\n"
      "  target_modules: [q_proj, v_proj]\n");
  EXPECT_EQ(p.rank, 4);
  EXPECT_EQ(p.alpha, 12);
  EXPECT_EQ(p.dropout, 0.25);
  EXPECT_EQ(p.learning_rate, 0.0007);
  EXPECT_EQ(p.rows_per_step, 6);
  EXPECT_EQ(p.steps, 10);  // 12 rows x 5 epochs / 6 rows
  EXPECT_EQ(p.warmup_steps, 3);
  EXPECT_EQ(p.schedule, LrScheduler::kLinear);
  EXPECT_EQ(p.dtype, DType::kF32);
  EXPECT_EQ(p.seed, 7);
  EXPECT_EQ(p.max_tokens, 128);
  EXPECT_EQ(p.target_modules, (std::vector<std::string>{"q_proj", "v_proj"}));
}

TEST_F(PlanTest, TheEmbeddingAndTheHeadAreTrainedWhole) {
  const TrainingPlan p = plan("  target_modules: [lm_head, q_proj, embed_tokens, lm_head]\n");
  EXPECT_EQ(p.target_modules, std::vector<std::string>{"q_proj"});
  EXPECT_EQ(p.modules_to_save, (std::vector<std::string>{"embed_tokens", "lm_head"}));
  const TrainingPlan only_linear = plan("  target_modules: [q_proj]\n");
  EXPECT_TRUE(only_linear.modules_to_save.empty());
  // At least weight, gradient and two moments of both, in f32.
  const auto table = static_cast<uint64_t>(model_.vocab_size * model_.hidden_size);
  EXPECT_GT(p.predicted_peak_bytes, only_linear.predicted_peak_bytes + 2 * table * 16);
}

TEST_F(PlanTest, DoraIsPlannedWithItsMemory) {
  const TrainingPlan p = plan("  adapter: dora\n");
  EXPECT_EQ(p.adapter, AdapterKind::kDora);
  EXPECT_EQ(plan_json(p).at("adapter").as_string(), "dora");
  EXPECT_GT(p.predicted_peak_bytes, plan().predicted_peak_bytes);
}

TEST_F(PlanTest, DefaultsThatAreWrittenAreObeyedToo) {
  const TrainingPlan p = plan("  learning_rate: 0.0002\n  num_epochs: 3\n");
  EXPECT_EQ(p.learning_rate, 0.0002);
  EXPECT_EQ(p.steps, (12 * 3 + p.rows_per_step - 1) / p.rows_per_step);
}

TEST_F(PlanTest, OneOfBatchSizeAndAccumulationCountsRows) {
  EXPECT_EQ(plan("  micro_batch_size: 3\n").rows_per_step, 3);
  EXPECT_EQ(plan("  grad_accum: 5\n").rows_per_step, 5);
  EXPECT_EQ(plan("  micro_batch_size: 2147483647\n  grad_accum: 2147483647\n").rows_per_step, 12);
}

TEST_F(PlanTest, ChoosesStepsAndRateForASmallDocument) {
  const TrainingPlan p = plan();
  EXPECT_GE(p.steps, 200);
  EXPECT_LE(p.steps, 400);
  EXPECT_NEAR(p.learning_rate, 3e-3, 1e-3);
  EXPECT_GT(p.rows_per_step, 0);
  EXPECT_LE(p.rows_per_step, 12);
  EXPECT_GT(p.general_rows_per_step, 0);
  EXPECT_GE(p.warmup_steps, 1);
  EXPECT_EQ(p.seed, 42);
  EXPECT_TRUE(p.target_modules.empty());
}

TEST_F(PlanTest, TheRateFallsWithTheSizeOfTheBase) {
  input_.memory_bytes = 0;
  const double nano = plan().learning_rate;
  model_ = shapes_of(*find_base("smollm2-135m"));
  const double small = plan().learning_rate;
  model_ = shapes_of(*find_base("llama-3.2-3b"));
  const double large = plan().learning_rate;
  EXPECT_GT(nano, small);
  EXPECT_GT(small, large);
  EXPECT_GE(large, 1e-4);
}

TEST_F(PlanTest, EveryChoiceHasItsReason) {
  std::string all;
  for (const std::string& reason : plan().reasons) all += reason + "\n";
  for (const char* word : {"precision", "rows a step", "general rows", "steps", "rate", "held out"})
    EXPECT_NE(all.find(word), all.npos) << word << " in\n" << all;
  all.clear();
  for (const std::string& reason : plan("  learning_rate: 0.5\n").reasons) all += reason + "\n";
  EXPECT_NE(all.find("rate 0.5: written"), all.npos) << all;
}

TEST_F(PlanTest, ALargeDocumentIsSeenMoreThanOnce) {
  input_.num_rows = 4000;
  input_.num_tokens = 160000;
  const TrainingPlan p = plan();
  EXPECT_GE(p.steps * p.rows_per_step, 2 * 4000);
}

TEST_F(PlanTest, AnEnormousNumberOfEpochsDoesNotOverflow) {
  const TrainingPlan p = plan("  num_epochs: 2147483647\n");
  EXPECT_EQ(p.steps, (2147483647 * int64_t{12} + p.rows_per_step - 1) / p.rows_per_step);
  EXPECT_GE(p.warmup_steps, 0);
  EXPECT_GT(p.predicted_seconds, 0);
  EXPECT_GE(p.rate_at(p.steps - 1), 0.0);
}

TEST_F(PlanTest, CommandLineWins) {
  input_.max_steps = 4;
  input_.seed = 99;
  const TrainingPlan p = plan("  seed: 7\n  num_epochs: 50\n");
  EXPECT_EQ(p.steps, 4);
  EXPECT_EQ(p.seed, 99);
  EXPECT_EQ(p.reasons.end(),
            std::find(p.reasons.begin(), p.reasons.end(), "4 steps: 50 epochs written"));
  input_.max_steps = 1'000'000;
  EXPECT_EQ(plan("  num_epochs: 5\n  grad_accum: 12\n").steps, 5);
}

TEST_F(PlanTest, HoldsOutFrom64PairsOn) {
  input_.num_rows = input_.num_chat_rows = 63;
  EXPECT_FALSE(plan().holds_out);
  input_.num_rows = input_.num_chat_rows = 64;
  EXPECT_TRUE(plan().holds_out);
  // Prose does not count.
  input_.num_rows = 500;
  input_.num_chat_rows = 63;
  EXPECT_FALSE(plan().holds_out);
}

TEST_F(PlanTest, AtLeastOneStepOnOneRow) {
  input_.num_rows = input_.num_chat_rows = 1;
  input_.num_tokens = 20;
  const TrainingPlan p = plan("  num_epochs: 1\n");
  EXPECT_EQ(p.steps, 1);
  EXPECT_EQ(p.rows_per_step, 1);
  EXPECT_EQ(p.eval_every, 1);
}

TEST_F(PlanTest, ADocumentWithoutGeneralRowsMixesNone) {
  input_.num_general_rows = 0;
  input_.general_tokens = 0;
  EXPECT_EQ(plan().general_rows_per_step, 0);
}

TEST_F(PlanTest, TokensAtOnceFollowTheMemory) {
  const int64_t much = plan().micro_batch_tokens;
  input_.memory_bytes = plan().predicted_peak_bytes;
  const TrainingPlan tight = plan();
  EXPECT_LE(tight.micro_batch_tokens, much);
  EXPECT_GE(tight.micro_batch_tokens, input_.longest_row);
  EXPECT_LE(tight.predicted_peak_bytes, input_.memory_bytes);
  input_.memory_bytes = 0;  // not known
  EXPECT_GE(plan().micro_batch_tokens, input_.longest_row);
}

TEST_F(PlanTest, RefusesWhatDoesNotFitIntoMemory) {
  input_.memory_bytes = uint64_t{10} << 20;
  const std::string text = fault("");
  EXPECT_TRUE(text.starts_with("training needs about ")) << text;
  EXPECT_TRUE(text.ends_with(" MiB of memory, 10 MiB are free")) << text;
}

TEST_F(PlanTest, RowsReachTheContextAtMost) {
  EXPECT_EQ(max_row_tokens(frontmatter("  sequence_len: 64\n"), model_), 64);
  EXPECT_EQ(max_row_tokens(frontmatter("  sequence_len: 32768\n"), model_), 512);
  EXPECT_EQ(max_row_tokens(frontmatter(""), model_), 512);
}

TEST_F(PlanTest, PrecisionIsTheFastestHereUnlessWritten) {
  EXPECT_EQ(choose_dtype(frontmatter(""), true), DType::kBF16);
  EXPECT_EQ(choose_dtype(frontmatter(""), false), DType::kF32);
  EXPECT_EQ(choose_dtype(frontmatter("  precision: fp32\n"), true), DType::kF32);
  EXPECT_EQ(choose_dtype(frontmatter("  precision: bf16\n"), true), DType::kBF16);
  EXPECT_EQ(fault("  precision: fp16\n"), "training.precision fp16 is not supported on a CPU");
  EXPECT_EQ(fault("  precision: bf16\n"),
            "this processor has no bf16 products, which training.precision asks for");
}

std::string unsupported(const std::string& training) {
  try {
    check_supported(frontmatter(training));
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kTrain);
    return std::string(error.what()) + " | " + error.hint();
  }
  return "no error";
}

TEST(CheckSupported, RefusesByTheNameOfTheKey) {
  EXPECT_EQ(unsupported(""), "no error");
  EXPECT_EQ(unsupported("  adapter: lora\n  optimizer: adamw_torch\n"), "no error");
  EXPECT_EQ(unsupported("  adapter: dora\n"), "no error");
  EXPECT_EQ(unsupported("  adapter: qlora\n"), "no error");
  EXPECT_EQ(unsupported("  target_modules: [q_proj, embed_tokens]\n"), "no error");
  EXPECT_EQ(unsupported("  target_modules: [lm_head, embed_tokens]\n"),
            "training.target_modules names no linear layer | add some, for example q_proj and "
            "v_proj, or all-linear");
  EXPECT_EQ(unsupported("  optimizer: galore_adamw\n"),
            "training.optimizer: galore_adamw is not supported | write optimizer: adamw_torch, or "
            "leave the key out");
  EXPECT_EQ(unsupported("  adapters:\n    tone: {}\n"),
            "training.adapters: named adapters are not trained by this version | write the flat "
            "keys of training instead");
}

TrainingPlan schedule_of(LrScheduler schedule, int64_t steps, int64_t warmup) {
  TrainingPlan p;
  p.schedule = schedule;
  p.steps = steps;
  p.warmup_steps = warmup;
  p.learning_rate = 1.0;
  return p;
}

TEST(RateAt, WarmsUpInEqualStepsToTheFullRate) {
  for (const LrScheduler schedule : {LrScheduler::kCosine, LrScheduler::kLinear}) {
    const TrainingPlan p = schedule_of(schedule, 20, 4);
    EXPECT_DOUBLE_EQ(p.rate_at(0), 0.25);
    EXPECT_DOUBLE_EQ(p.rate_at(1), 0.5);
    EXPECT_DOUBLE_EQ(p.rate_at(3), 1.0);
    EXPECT_DOUBLE_EQ(p.rate_at(4), 1.0);
  }
}

TEST(RateAt, FallsAsItsNameSays) {
  const TrainingPlan linear = schedule_of(LrScheduler::kLinear, 10, 0);
  EXPECT_DOUBLE_EQ(linear.rate_at(0), 1.0);
  EXPECT_DOUBLE_EQ(linear.rate_at(5), 0.5);
  EXPECT_NEAR(linear.rate_at(9), 0.1, 1e-12);
  const TrainingPlan cosine = schedule_of(LrScheduler::kCosine, 10, 0);
  EXPECT_DOUBLE_EQ(cosine.rate_at(0), 1.0);
  EXPECT_NEAR(cosine.rate_at(5), 0.5, 1e-12);
  EXPECT_NEAR(cosine.rate_at(9), 0.5 * (1 - std::cos(0.1 * 3.14159265358979)), 1e-9);
  for (int64_t step = 0; step < 10; ++step) {
    EXPECT_EQ(schedule_of(LrScheduler::kConstant, 10, 0).rate_at(step), 1.0);
  }
}

TEST(RateAt, IsNeverNegativeNorAboveTheRate) {
  for (const int64_t warmup : {0, 1, 5}) {
    for (const LrScheduler schedule : {LrScheduler::kCosine, LrScheduler::kLinear}) {
      const TrainingPlan p = schedule_of(schedule, 5, warmup);
      for (int64_t step = 0; step < 5; ++step) {
        EXPECT_GE(p.rate_at(step), 0.0);
        EXPECT_LE(p.rate_at(step), 1.0);
      }
    }
  }
}

TEST_F(PlanTest, ABaseIn4BitsNeedsLessMemory) {
  const TrainingPlan full = plan();
  const TrainingPlan quantized = plan("  adapter: qlora\n");
  EXPECT_FALSE(full.base_format.linear.has_value());
  EXPECT_TRUE(quantized.base_format.linear == QuantFormat::kNF4);
  EXPECT_FALSE(quantized.base_format.head.has_value());
  EXPECT_LT(quantized.predicted_peak_bytes, full.predicted_peak_bytes);
  EXPECT_TRUE(std::count(quantized.reasons.begin(), quantized.reasons.end(),
                         "frozen layers in 4 bits (NF4): adapter qlora"));
}

TEST_F(PlanTest, IsRecordedWhole) {
  const Json json = plan_json(plan());
  for (const char* key :
       {"alpha", "base_weights", "dropout", "est_peak_gb", "est_seconds", "general_rows_per_step",
        "holds_out", "learning_rate", "lr_scheduler", "max_tokens", "precision", "rank", "reasons",
        "rows_per_step", "seed", "steps", "warmup_steps"}) {
    EXPECT_NE(json.find(key), nullptr) << key;
  }
}

}  // namespace
}  // namespace dlm
