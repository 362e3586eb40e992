// The training loop on a tiny base: it learns, it gives the same bytes however the work is cut up,
// and it stops where it should.
#include "train/loop.h"

#include <gmock/gmock.h>

#include <cmath>
#include <cstring>

#include "data/token_rows.h"
#include "doc/document.h"
#include "train_fixture.h"

namespace dlm {
namespace {

class LoopTest : public TrainTest {
 protected:
  LoopTest() {
    plan_.steps = 8;
    plan_.rows_per_step = 2;
    plan_.learning_rate = 1e-2;
    plan_.warmup_steps = 1;
    plan_.dropout = 0.1;
    plan_.rank = 4;
    plan_.alpha = 8;
    plan_.max_tokens = 256;
    plan_.micro_batch_tokens = 4096;
    plan_.eval_every = 4;
    plan_.seed = 42;
    rows_.train = token_rows(kThreePairs);
    rows_.judged = rows_.train;
  }

  fs::path base() const { return base_.empty() ? bases().own_folder / kTinyBaseKey : base_; }

  std::vector<TokenRow> token_rows(const std::string& body) {
    std::vector<TokenRow> rows;
    outline_rows(rows_of(parse_document(document_text("", body), "notes.dlm")),
                 ChatFormat::load(base()), std::nullopt, 256, "notes.dlm", 0, nullptr,
                 [&](const TokenRow& row) { rows.push_back(row); });
    return rows;
  }

  struct Outcome {
    std::string bytes;  // of the kept adapter
    LoopResult result;
    std::vector<StepReport> steps;
  };

  Outcome run(int num_threads = 1) {
    Device device(num_threads);
    const auto decoder = Decoder::load(base(), plan_.dtype);
    LoraOptions options;
    options.rank = plan_.rank;
    options.alpha = static_cast<double>(plan_.alpha);
    options.dropout = plan_.dropout;
    options.target_modules = plan_.target_modules;
    const auto adapter = LoraAdapter::create(*decoder, options, static_cast<uint64_t>(plan_.seed));
    Outcome out;
    LoopEvents events = events_;
    events.on_step = [&](const StepReport& step) {
      out.steps.push_back(step);
      if (events_.on_step) events_.on_step(step);
    };
    const auto fresh_loop = [&](LoraAdapter& trained) {
      return std::make_unique<TrainingLoop>(*decoder, trained, device, plan_, rows_);
    };
    auto loop = fresh_loop(*adapter);
    LoraAdapter* last = adapter.get();
    std::unique_ptr<LoraAdapter> second;
    if (stop_at_ > 0) {
      // As another process would go on: only the state is handed over.
      loop->advance(stop_at_, events);
      second = LoraAdapter::create(*decoder, options, 999);
      auto next = fresh_loop(*second);
      next->restore(loop->state());
      loop = std::move(next);
      last = second.get();
    }
    out.result = loop->run(events);
    for (const Parameter* p : last->parameters()) {
      out.bytes.append(static_cast<const char*>(p->value.data()), p->value.size_bytes());
    }
    return out;
  }

  std::string loop_fault() {
    try {
      run();
    } catch (const Error& error) {
      kind_ = error.kind();
      return error.what();
    }
    return "no error";
  }

  fs::path base_;
  int64_t stop_at_ = 0;  // 0: never
  TrainingPlan plan_;
  LoopRows rows_;
  LoopEvents events_;
};

TEST_F(LoopTest, MemorisesThreePairs) {
  plan_.steps = 120;
  plan_.rows_per_step = 3;
  plan_.eval_every = 12;
  plan_.dropout = 0;
  plan_.rank = 8;
  plan_.alpha = 16;
  const Outcome out = run(2);
  EXPECT_GT(out.steps.front().loss, 3.0);
  EXPECT_LT(out.steps.back().loss, 0.1);
  EXPECT_EQ(out.result.kept.exact_rows, 3);
  EXPECT_EQ(out.result.kept.num_rows, 3);
  EXPECT_LT(out.result.mean_loss, 0.2);
  EXPECT_EQ(out.result.steps, 120);
}

TEST_F(LoopTest, BytesDoNotDependOnTheNumberOfThreads) {
  for (const DType dtype : {DType::kF32, Device(1).preferred_dtype()}) {
    plan_.dtype = dtype;
    const std::string one = run(1).bytes;
    EXPECT_GT(one.size(), 10000u);
    EXPECT_EQ(run(2).bytes == one, true) << "2 threads, " << dtype_name(dtype);
    EXPECT_EQ(run(3).bytes == one, true) << "3 threads, " << dtype_name(dtype);
  }
}

TEST_F(LoopTest, BytesDoNotDependOnTheSizeOfMicroBatches) {
  plan_.rows_per_step = 3;
  for (const DType dtype : {DType::kF32, Device(1).preferred_dtype()}) {
    plan_.dtype = dtype;
    plan_.micro_batch_tokens = 4096;
    const std::string whole = run().bytes;
    for (const int64_t tokens : {1, 50, 100}) {
      plan_.micro_batch_tokens = tokens;
      EXPECT_EQ(run().bytes == whole, true) << tokens << " tokens, " << dtype_name(dtype);
    }
  }
}

TEST_F(LoopTest, BytesDoNotDependOnRecomputation) {
  plan_.rows_per_step = 3;
  for (const DType dtype : {DType::kF32, Device(1).preferred_dtype()}) {
    plan_.dtype = dtype;
    plan_.recompute = Recompute::kNothing;
    const std::string kept = run().bytes;
    for (const Recompute recompute : {Recompute::kCheap, Recompute::kLayers}) {
      plan_.recompute = recompute;
      EXPECT_EQ(run().bytes == kept, true) << recompute_name(recompute);
    }
  }
}

TEST_F(LoopTest, BytesDoNotDependOnKeptLinesOfFrozenLayers) {
  plan_.target_modules = {"model.layers.1.mlp.down_proj"};
  const Outcome computed = run();
  for (const uint64_t bytes : {uint64_t{1} << 24, uint64_t{10000}}) {
    plan_.memory.frozen_lines = bytes;
    const Outcome kept = run();
    EXPECT_EQ(kept.bytes == computed.bytes, true) << bytes;
    EXPECT_EQ(kept.result.kept.loss, computed.result.kept.loss);
  }
}

TEST_F(LoopTest, GeneralAnswersAreMadeWhenAStepFirstNeedsThem) {
  const std::vector<TokenRow> whole = token_rows(
      "::instruction::\n### Q\nHow are you?\n\n### A\nfish fish\n\n"
      "### Q\nWho are you?\n\n### A\nfish\n");
  plan_.general_rows_per_step = 1;
  plan_.steps = 3;
  rows_.general.mixed = whole;
  const std::string ready = run().bytes;
  rows_.general.mixed.clear();
  for (const TokenRow& row : whole) {
    TokenRow prompt = row;
    prompt.tokens = {row.tokens[0], row.tokens[1], row.tokens[2]};
    prompt.loss_begin.reset();
    rows_.general.mixed.push_back(prompt);
  }
  std::vector<int64_t> steps_with_answer;
  int64_t step = 0;
  rows_.general.answer = [&](TokenRow& row) {
    steps_with_answer.push_back(step);
    row = *std::find_if(whole.begin(), whole.end(),
                        [&](const TokenRow& w) { return w.id == row.id; });
  };
  events_.on_step = [&](const StepReport& report) { step = report.step; };
  EXPECT_EQ(run().bytes == ready, true);
  EXPECT_EQ(steps_with_answer, (std::vector<int64_t>{1, 2})) << "none before the first step ended";
}

TEST_F(LoopTest, TheSeedChangesTheBytesAndNothingElseDoes) {
  const std::string first = run().bytes;
  EXPECT_EQ(run().bytes == first, true);
  plan_.seed = 43;
  EXPECT_EQ(run().bytes == first, false);
}

TEST_F(LoopTest, DropoutChangesTheBytes) {
  const std::string with = run().bytes;
  plan_.dropout = 0;
  EXPECT_EQ(run().bytes == with, false);
}

TEST_F(LoopTest, ReportsEveryStepAndJudgesAtIntervalsAndAtTheEnd) {
  plan_.steps = 10;
  std::vector<int64_t> judged;
  events_.on_eval = [&](const EvalReport& e) {
    judged.push_back(e.step);
    EXPECT_EQ(e.num_rows, 3);
    EXPECT_EQ(e.drift, 0.0);
  };
  const Outcome out = run();
  ASSERT_EQ(out.steps.size(), 10u);
  for (int64_t i = 0; i < 10; ++i) {
    const StepReport& step = out.steps[static_cast<size_t>(i)];
    EXPECT_EQ(step.step, i + 1);
    EXPECT_EQ(step.rate, plan_.rate_at(i));
    EXPECT_GT(step.loss, 0);
    EXPECT_GT(step.grad_norm, 0);
    EXPECT_GT(step.tokens, 0);
  }
  EXPECT_EQ(judged, (std::vector<int64_t>{4, 8, 10}));
  EXPECT_EQ(out.result.last.step, 10);
}

TEST_F(LoopTest, KeepsTheWeightsThatWereJudgedBest) {
  // Held-out rows of which the answers contradict the trained ones: more steps only make it worse.
  rows_.judged =
      token_rows("::instruction::\n### Q\nWhat swims in the river?\n\n### A\nNine clocks.\n");
  plan_.holds_out = true;
  plan_.steps = 40;
  plan_.eval_every = 1;
  plan_.dropout = 0;
  std::vector<EvalReport> evals;
  events_.on_eval = [&](const EvalReport& e) { evals.push_back(e); };
  const Outcome out = run();
  const auto best = std::min_element(evals.begin(), evals.end(),
                                     [](const auto& a, const auto& b) { return a.loss < b.loss; });
  EXPECT_EQ(out.result.kept.step, best->step);
  EXPECT_LT(out.result.kept.step, out.result.last.step);
  // Those weights are what a run of so many steps of the same schedule ends with.
  EXPECT_LT(out.result.kept.loss, out.result.last.loss);
}

TEST_F(LoopTest, DriftIsTheLossOnGeneralRowsAboveThatOfTheBase) {
  rows_.general.measured =
      token_rows("::instruction::\n### Q\nHow are you?\n\n### A\nfish fish fish\n");
  std::vector<double> drift;
  events_.on_eval = [&](const EvalReport& e) { drift.push_back(e.drift); };
  plan_.learning_rate = 1e-30;
  run();
  for (const double d : drift) EXPECT_NEAR(d, 0.0, 1e-6);
  drift.clear();
  plan_.learning_rate = 1e-2;
  plan_.steps = 40;
  run();
  EXPECT_NE(drift.back(), 0.0);
}

TEST_F(LoopTest, GeneralRowsMayBeLongerThanTheRowsOfTheDocument) {
  plan_.max_tokens = 64;
  rows_.general.mixed = rows_.general.measured =
      token_rows("::instruction::\n### Q\n" + std::string(120, 'q') + "\n\n### A\nfish\n");
  ASSERT_GT(rows_.general.mixed[0].tokens.size(), 64u);
  plan_.general_rows_per_step = 1;
  EXPECT_EQ(run().result.steps, 8);
}

TEST_F(LoopTest, GeneralRowsAreTrainedButNotCountedInTheLoss) {
  const double alone = run().steps[0].loss;
  rows_.general.mixed = token_rows("::instruction::\n### Q\nHow are you?\n\n### A\nfish fish\n");
  plan_.general_rows_per_step = 1;
  plan_.dropout = 0.1;
  const Outcome mixed = run();
  EXPECT_EQ(mixed.steps[0].loss, alone) << "the first step is the document's alone";
  EXPECT_GT(mixed.steps[1].tokens, mixed.steps[0].tokens);
}

TEST_F(LoopTest, AnInterruptEndsItBetweenMicroBatches) {
  events_.on_step = [](const StepReport& step) {
    if (step.step == 3) raise_interrupt();
  };
  EXPECT_EQ(loop_fault(), "interrupted");
  EXPECT_EQ(kind_, ErrorKind::kInterrupted);
}

TEST_F(LoopTest, ALossThatIsNoNumberEndsItAndNamesTheRow) {
  plan_.learning_rate = 1e38;
  plan_.warmup_steps = 0;
  rows_.document = "notes.dlm";
  rows_.lines = {8, 14, 20};
  const std::string text = loop_fault();
  EXPECT_THAT(text, testing::MatchesRegex("notes.dlm:(8|14|20): the loss of this row is not a "
                                          "number at step [1-4]; nothing was committed"));
  EXPECT_EQ(kind_, ErrorKind::kTrain);
}

TEST_F(LoopTest, ALossThatIsNoNumberIsFoundAfterTheLastStepToo) {
  plan_.learning_rate = 1e38;
  plan_.warmup_steps = 0;
  plan_.steps = 1;
  EXPECT_THAT(loop_fault(), testing::HasSubstr(" is not a number at step 1"));
}

TEST_F(LoopTest, ABaseThatHoldsNanIsBlamedBeforeTheFirstStep) {
  const TemporaryFolder folder;
  write_tiny_base(folder.path());
  const auto broken = Decoder::random(tiny_model_config(), DType::kF32, 7);
  broken->layers()[1].up.value.mutable_f32()[5] = std::nanf("");
  broken->save(folder.path());
  // In bf16 the file's matrices are used as they lie, unread until the first row needs them.
  plan_.dtype = Device(1).preferred_dtype();
  if (plan_.dtype != DType::kBF16) GTEST_SKIP() << "skipped: matrices are converted, and searched";
  base_ = folder.path();
  rows_.document = "notes.dlm";
  rows_.lines = {8, 14, 20};
  EXPECT_THAT(loop_fault(),
              testing::MatchesRegex("notes.dlm:(8|14|20): the loss of this row is not a number "
                                    "before anything was trained"));
}

// What the same bytes rest on: threads, the cutting into batches and a stop between
// any two steps, all at once.
TEST_F(LoopTest, BytesDoNotDependOnThreadsBatchesAndStopsTogether) {
  plan_.rows_per_step = 3;
  for (const DType dtype : {DType::kF32, Device(1).preferred_dtype()}) {
    plan_.dtype = dtype;
    plan_.micro_batch_tokens = 4096;
    stop_at_ = 0;
    const std::string whole = run().bytes;
    int64_t tokens = 1;
    for (const int threads : {1, 2, 3, 4, 8}) {
      for (stop_at_ = 1; stop_at_ < plan_.steps; stop_at_ += 3) {
        plan_.micro_batch_tokens = tokens;
        tokens = tokens * 7 % 211;
        EXPECT_EQ(run(threads).bytes == whole, true)
            << threads << " threads, batches of " << plan_.micro_batch_tokens
            << " tokens, stopped at " << stop_at_ << ", " << dtype_name(dtype);
      }
    }
  }
}

}  // namespace
}  // namespace dlm
