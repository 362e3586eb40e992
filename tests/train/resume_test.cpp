// Runs that are stopped and go on: the same bytes as without the stop, at every step and however
// they were stopped; and polite refusal where that cannot be.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "formats/zip_store.h"
#include "resume_fixture.h"
#include "store/adapter_versions.h"
#include "store/manifest.h"
#include "store/training_state.h"
#include "support/file_faults.h"
#include "train/run_state.h"

namespace dlm {
namespace {

TEST_F(ResumeTest, AfterCtrlCAtAnyStepTheBytesAreThoseOfAStraightRun) {
  const TrainResult whole = straight();
  ASSERT_EQ(whole.plan.eval_every, 2);  // so that some of the steps end with a judgement
  for (int64_t step = 1; step < kSteps; ++step) {
    request_.home = folder_ / ("home-" + std::to_string(step));
    request_.resume = false;
    stop_at(step);
    EXPECT_TRUE(list_versions(store()).empty());
    request_.max_steps = std::nullopt;  // it ends where it was to end
    const TrainResult result = resume();
    request_.max_steps = kSteps;
    EXPECT_EQ(result.adapter_sha256, whole.adapter_sha256) << step;
    EXPECT_EQ(result.resumed_at_step, step);
    EXPECT_EQ(result.loop.steps, kSteps);
    EXPECT_EQ(result.loop.mean_loss, whole.loop.mean_loss) << step;
    EXPECT_EQ(result.loop.kept.step, whole.loop.kept.step) << step;
    EXPECT_FALSE(has_checkpoint(store(), {}));
  }
}

TEST_F(ResumeTest, AfterKillAtAnyStepTheBytesAreThoseOfAStraightRun) {
  const std::string whole = straight().adapter_sha256;
  request_.checkpoint_seconds = 0;
  for (int64_t step = 1; step <= kSteps; ++step) {
    request_.home = folder_ / ("home-" + std::to_string(step));
    request_.resume = false;
    const pid_t child = ::fork();
    if (child == 0) {
      TrainEvents events;
      events.on_step = [&](const StepReport& report, const TrainingPlan&) {
        if (report.step == step) ::raise(SIGKILL);
      };
      try {
        train(events);
      } catch (const std::exception&) {
      }
      ::_exit(1);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status)) << step;
    if (step == 1) {
      EXPECT_EQ(resume_fault(), "there is no run to go on from");
      continue;
    }
    const TrainResult result = resume();
    EXPECT_EQ(result.resumed_at_step, step - 1);
    EXPECT_EQ(result.adapter_sha256, whole) << step;
  }
}

TEST_F(ResumeTest, AKillAtAnyDiskStepOfACheckpointLeavesOneToGoOnFrom) {
  const std::string whole = straight().adapter_sha256;
  stop_at(3);
  const fs::path checkpoint = store().checkpoint();
  const fs::path kept = folder_ / "kept";
  fs::copy(checkpoint, kept, fs::copy_options::recursive);
  for (int fatal = 0;; ++fatal) {
    ASSERT_LT(fatal, 100);
    fs::remove_all(checkpoint);
    fs::copy(kept, checkpoint, fs::copy_options::recursive);
    const pid_t child = ::fork();
    if (child == 0) {
      request_.resume = true;
      int count = 0;
      fs::path written;  // of the many writes of one file the first stands for all
      const ScopedFileFault killer([&](FileStep step, const fs::path& path) {
        if (path.string().find(".checkpoint") == std::string::npos) return 0;
        if (step == FileStep::kWrite && path == written) return 0;
        if (step == FileStep::kWrite) written = path;
        if (count++ == fatal) ::raise(SIGKILL);
        return 0;
      });
      TrainEvents events;
      events.on_step = [](const StepReport& step, const TrainingPlan&) {
        if (step.step == 6) raise_interrupt();
      };
      try {
        train(events);
      } catch (const std::exception&) {
      }
      ::_exit(0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_TRUE(has_checkpoint(store(), {})) << fatal;
    if (WIFEXITED(status)) break;
  }
  EXPECT_EQ(resume().adapter_sha256, whole);
}

// Answers that were made before the stop come back with it; the others are made when a step needs
// them.
TEST_F(ResumeTest, GeneralRowsAreKeptAndNotAskedForAgain) {
  request_.bases = bases();
  request_.max_steps = 4;
  write_document("  num_epochs: 4\n", kThreePairs);
  size_t made = 0;
  TrainEvents counting;
  counting.on_general_row = [&](size_t, size_t) { ++made; };
  request_.fresh = true;
  const std::string whole = train(counting).adapter_sha256;
  const size_t of_straight_run = made;
  ASSERT_GT(of_straight_run, 0u);
  made = 0;
  counting.on_step = [](const StepReport& step, const TrainingPlan&) {
    if (step.step == 2) raise_interrupt();
  };
  EXPECT_THROW(train(counting), Error);
  clear_interrupt();
  const size_t before_the_stop = made;
  EXPECT_GT(before_the_stop, 0u);
  counting.on_step = {};
  request_.fresh = false;
  request_.resume = true;
  const TrainResult result = train(counting);
  EXPECT_EQ(result.adapter_sha256, whole);
  EXPECT_EQ(result.resumed_at_step, 2);
  EXPECT_EQ(made, of_straight_run);
}

TEST_F(ResumeTest, MoreStepsAtAConstantRateAreThoseOfALongerRun) {
  write_document(std::string(kSmallRun) + "  lr_scheduler: constant\n", kThreeSentences);
  const TrainResult longer = straight(kSteps);
  request_.max_steps = 8;
  EXPECT_EQ(train().adapter_version, 1);
  request_.max_steps = kSteps;
  const TrainResult result = resume();
  EXPECT_EQ(result.adapter_version, 2);
  EXPECT_EQ(result.resumed_at_step, 8);
  EXPECT_EQ(result.loop.mean_loss, longer.loop.mean_loss);
  EXPECT_EQ(result.adapter_sha256, longer.adapter_sha256);
}

TEST_F(ResumeTest, MoreStepsAtACosineRateFollowTheNewPlanFromWhereTheOldOneEnded) {
  request_.max_steps = 8;
  train();
  request_.max_steps = kSteps;
  request_.resume = true;
  std::vector<double> rates;
  TrainEvents events;
  TrainingPlan plan;
  events.on_step = [&](const StepReport& step, const TrainingPlan& p) {
    rates.push_back(step.rate);
    plan = p;
  };
  clock_.advance_ms(1000);
  train(events);
  ASSERT_EQ(rates.size(), 12u);
  EXPECT_EQ(rates.front(), plan.rate_at(8));
  EXPECT_EQ(rates.back(), plan.rate_at(19));
}

TEST_F(ResumeTest, ACompleteRunHasNothingToGoOnWith) {
  train();
  const auto before = files_of(request_.home);
  const TrainResult result = resume();
  EXPECT_TRUE(result.is_complete);
  EXPECT_FALSE(result.trained);
  EXPECT_EQ(files_of(request_.home), before);
}

TEST_F(ResumeTest, ANewRunSaysThatAnUnfinishedOneIsThereAndTakesItsPlace) {
  stop_at(5);
  std::vector<std::string> notes;
  TrainEvents events;
  events.on_note = [&](const std::string& note) { notes.push_back(note); };
  EXPECT_EQ(train(events).resumed_at_step, 0);
  EXPECT_EQ(notes,
            (std::vector<std::string>{"a run stopped at step 5 and could go on with "
                                      "--resume; this one starts anew and takes its place"}));
  EXPECT_FALSE(has_checkpoint(store(), {}));
  request_.fresh = true;
  stop_at(5);
  notes.clear();
  train(events);
  EXPECT_TRUE(notes.empty());
}

TEST_F(ResumeTest, AFullDiskCostsTheCheckpointAndNotTheRun) {
  request_.checkpoint_seconds = 0;
  std::vector<std::string> notes;
  TrainEvents events;
  events.on_note = [&](const std::string& note) { notes.push_back(note); };
  const ScopedFileFault full([](FileStep step, const fs::path& path) {
    const bool is_of_checkpoint = path.string().find(".checkpoint") != std::string::npos;
    return is_of_checkpoint && step != FileStep::kRemove ? ENOSPC : 0;
  });
  EXPECT_TRUE(train(events).trained);
  ASSERT_EQ(notes.size(), static_cast<size_t>(kSteps));
  EXPECT_TRUE(notes[0].starts_with("no checkpoint: ")) << notes[0];
}

TEST_F(ResumeTest, NothingToGoOnFromIsRefused) {
  EXPECT_EQ(resume_fault(), "there is no run to go on from");
  EXPECT_EQ(kind_, ErrorKind::kResume);
  EXPECT_EQ(hint_, "train without --resume first");
  EXPECT_TRUE(files_of(request_.home).empty());
}

TEST_F(ResumeTest, EverySettingThatChangedIsNamed) {
  stop_at(5);
  const auto before = files_of(request_.home);
  write_document(
      "  lora_r: 4\n  lora_dropout: 0.1\n  precision: fp32\n  sequence_len: 64\n  grad_accum: 3\n"
      "  learning_rate: 0.5\n",
      kThreeSentences);
  EXPECT_EQ(resume_fault(),
            "the run cannot go on, since this changed: training.learning_rate: 0.003 → 0.5; "
            "training.lora_r: 2 → 4; rows a step: 2 → 3");
  EXPECT_EQ(kind_, ErrorKind::kResume);
  EXPECT_EQ(hint_, "put it back as it was, or train without --resume to start anew");
  EXPECT_EQ(files_of(request_.home), before);
}

TEST_F(ResumeTest, AnotherSeedAnotherTextAndAnotherBaseAreNamed) {
  stop_at(5);
  request_.seed = 7;
  EXPECT_EQ(resume_fault(), "the run cannot go on, since this changed: seed: 42 → 7");
  request_.seed.reset();
  write_document(kSmallRun, std::string(kThreeSentences) + "And one more sentence.\n");
  EXPECT_TRUE(resume_fault().starts_with(
      "the run cannot go on, since this changed: rows of the document: "));
  write_document(kSmallRun, kThreeSentences);
  Decoder::random(tiny_model_config(), DType::kF32, 99)->save(base_);
  EXPECT_TRUE(resume_fault().starts_with(
      "the run cannot go on, since this changed: weights of the base: "));
}

TEST_F(ResumeTest, WordsThatAreNotTrainedMayChange) {
  const std::string whole = straight().adapter_sha256;
  stop_at(5);
  write_document(std::string(kSmallRun) + "  # a remark\n", kThreeSentences);
  EXPECT_EQ(resume().adapter_sha256, whole);
}

TEST_F(ResumeTest, ADamagedCheckpointIsRefused) {
  stop_at(5);
  for (const auto& entry : fs::directory_iterator(store().checkpoint())) {
    if (entry.path().extension() != ".pt") continue;
    std::string bytes = read_file(entry.path());
    bytes[bytes.size() / 2] ^= 1;
    write_file_atomic(entry.path(), bytes);
  }
  const std::string text = resume_fault();
  EXPECT_NE(text.find(".checkpoint/000001.pt: the training state is damaged: its digest is "),
            text.npos)
      << text;
  EXPECT_EQ(kind_, ErrorKind::kResume);
  request_.resume = false;
  EXPECT_TRUE(train().trained);
}

TEST_F(ResumeTest, StatesOfOtherProgramsAreRefused) {
  train();
  const fs::path version = store().version(1);
  ZipStoreWriter zip(version / kTrainingStateFile);
  zip.add("training_state/data.pkl", "\x80\x02}q\x01.");
  zip.finish();
  write_file_atomic(version / kTrainingStateHashFile,
                    sha256_file_hex(version / kTrainingStateFile) + "\n");
  std::string text = resume_fault();
  EXPECT_NE(text.find("written by another program"), text.npos) << text;
  EXPECT_EQ(kind_, ErrorKind::kResume);
  write_training_state(version, TorchValue::Dict{{"producer", "dlm"}, {"version", 1}});
  text = resume_fault();
  EXPECT_NE(text.find("written by another version of dlm"), text.npos) << text;
  write_training_state(version, TorchValue::Dict{{"producer", "dlm"}, {"version", 2}});
  text = resume_fault();
  EXPECT_NE(text.find("the training state is damaged: "), text.npos) << text;
  EXPECT_EQ(kind_, ErrorKind::kResume);
}

TEST_F(ResumeTest, TensorsOfAnotherShapeAreNamed) {
  stop_at(2);
  const auto value = read_checkpoint(store(), {});
  RunState state = read_run_state(*value, "x");
  const auto decoder = Decoder::load(base_, DType::kF32);
  LoraOptions options;
  options.rank = 3;
  const auto other = LoraAdapter::create(*decoder, options, 1);
  try {
    fit_to_adapter(state, *other);
    FAIL() << "no error";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::kResume);
    EXPECT_EQ(e.message(),
              "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight has the shape "
              "[2, 64] in the state and [3, 64] now");
  }
}

TEST(MachineryDifferences, NameWhatComputesOtherwise) {
  EXPECT_EQ(
      machinery_differences({"1", "2.6", "avx512"}, {"1", "2.7", "avx512_bf16"}),
      (std::vector<std::string>{"oneDNN: 2.6 → 2.7", "instruction set: avx512 → avx512_bf16"}));
  EXPECT_TRUE(machinery_differences({"1", "2", "3"}, {"1", "2", "3"}).empty());
}

// The disk fails between the commit of a version and its manifest.
TEST_F(ResumeTest, AVersionWhoseRunWasNotRecordedIsRecordedByTheNextCommand) {
  train();
  clock_.advance_ms(1000);
  {
    const ScopedFileFault full([](FileStep step, const fs::path& path) {
      return step == FileStep::kCreate && path.filename() == "manifest.json" ? ENOSPC : 0;
    });
    EXPECT_TRUE(fault().starts_with("HERE/home/store/" + std::string(kTestId) +
                                    "/manifest.json: v0002 is trained and in use, but the run "
                                    "could not be recorded: "));
  }
  EXPECT_EQ(current_version_number(store()), 2);
  EXPECT_EQ(read_manifest(store()).adapter_version, 1);
  std::vector<std::string> notes;
  TrainEvents events;
  events.on_note = [&](const std::string& note) { notes.push_back(note); };
  clock_.advance_ms(1000);
  EXPECT_EQ(train(events).run_id, 3);
  EXPECT_EQ(notes, (std::vector<std::string>{
                       "v0002 was committed by a run that could not record it; it is recorded "
                       "now"}));
  const Manifest manifest = read_manifest(store());
  ASSERT_EQ(manifest.training_runs.size(), 3u);
  EXPECT_EQ(manifest.training_runs[1].run_id, 2);
  EXPECT_EQ(manifest.training_runs[1].adapter_version, 2);
  EXPECT_EQ(manifest.training_runs[1].steps, kSteps);
  EXPECT_EQ(manifest.training_runs[1].started_at, "2026-04-18T10:00:01");
  EXPECT_EQ(manifest.content_hashes.size(), 1u);
}

}  // namespace
}  // namespace dlm
