// `dlm train` without its command line: what a run leaves in the store, and what it must leave
// alone when it is stopped, refused or fails.
#include <algorithm>

#include "formats/safetensors.h"
#include "infer/session.h"
#include "store/adapter_versions.h"
#include "store/checkpoint.h"
#include "store/lock_file.h"
#include "store/manifest.h"
#include "store/store_lock.h"
#include "store/training_state.h"
#include "support/file_faults.h"
#include "train_fixture.h"

namespace dlm {
namespace {

using RunTest = TrainTest;

constexpr const char* kShort = "  num_epochs: 2\n  precision: fp32\n";

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) {
    names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<Json> lines_of(const fs::path& path) {
  std::vector<Json> lines;
  std::string text = read_file(path);
  for (size_t at = 0, end; (end = text.find('\n', at)) != text.npos; at = end + 1) {
    lines.push_back(parse_json(text.substr(at, end - at)));
  }
  return lines;
}

TEST_F(RunTest, LeavesAWholeVersionItsManifestItsLockAndItsLogs) {
  write_document(kShort, std::string("Some prose about rivers.\n") + kThreePairs);
  const TrainResult result = train();
  EXPECT_TRUE(result.trained);
  EXPECT_EQ(result.run_id, 1);
  EXPECT_EQ(result.adapter_version, 1);
  EXPECT_EQ(result.adapter_path, store().version(1));
  EXPECT_EQ(names_in(store().root()),
            (std::vector<std::string>{"adapter", "dlm.lock", "logs", "manifest.json", "replay"}));
  EXPECT_EQ(names_in(store().adapter()), (std::vector<std::string>{"current.txt", "versions"}));
  EXPECT_EQ(names_in(store().version(1)),
            (std::vector<std::string>{"adapter_config.json", "adapter_model.safetensors",
                                      "document.dlm", "pinned_versions.json", "tokenizer.json",
                                      "tokenizer_config.json", "training_run.json",
                                      "training_state.pt", "training_state.pt.sha256"}));
  EXPECT_EQ(names_in(store().logs()),
            (std::vector<std::string>{"train-000001-20260418T100000.jsonl",
                                      "train-000001-20260418T100000.summary.json"}));
  EXPECT_EQ(current_version_number(store()), 1);

  const Manifest manifest = read_manifest(store());
  EXPECT_EQ(manifest.dlm_id, kTestId);
  EXPECT_EQ(manifest.base_model, kTinyBaseKey);
  EXPECT_EQ(manifest.base_model_revision, weights_digest(bases().own_folder / kTinyBaseKey));
  EXPECT_EQ(manifest.created_at, "2026-04-18T10:00:00");
  EXPECT_EQ(manifest.adapter_version, 1);
  EXPECT_EQ(manifest.adapter_sha256, sha256_file_hex(store().version(1) / kAdapterWeightsFile));
  EXPECT_EQ(manifest.adapter_config_sha256,
            sha256_file_hex(store().version(1) / kAdapterConfigFile));
  EXPECT_EQ(manifest.source_path, request_.document.string());
  EXPECT_EQ(manifest.content_hashes.size(), 2u);
  ASSERT_EQ(manifest.training_runs.size(), 1u);
  const TrainingRun& run = manifest.training_runs[0];
  EXPECT_EQ(run.run_id, 1);
  EXPECT_EQ(run.adapter_version, 1);
  EXPECT_EQ(run.seed, 42);
  EXPECT_EQ(run.steps, result.loop.steps);
  EXPECT_EQ(run.status, "completed");
  EXPECT_EQ(run.final_train_loss, result.loop.mean_loss);
  EXPECT_EQ(run.final_val_loss, std::nullopt);  // nothing was held out
  EXPECT_EQ(run.summary_path, "logs/train-000001-20260418T100000.summary.json");

  const auto lock = read_lock_file(store().dlm_lock());
  ASSERT_TRUE(lock.has_value());
  EXPECT_EQ(lock->dlm_id, kTestId);
  EXPECT_EQ(lock->dlm_sha256, sha256_file_hex(request_.document));
  EXPECT_EQ(lock->seed, 42);
  EXPECT_EQ(lock->last_run_id, 1);
}

TEST_F(RunTest, TheAdapterIsAPeftFolderAndTheStateIsWhole) {
  write_document("  num_epochs: 2\n  precision: fp32\n  lora_r: 4\n  target_modules: [q_proj]\n",
                 kThreePairs);
  train();
  const fs::path version = store().version(1);
  const Json config = parse_json(read_file(version / kAdapterConfigFile));
  EXPECT_EQ(config.at("peft_type").as_string(), "LORA");
  EXPECT_EQ(config.at("r").as_int(), 4);
  const auto weights = SafetensorsFile::open(version / kAdapterWeightsFile);
  EXPECT_EQ(weights.tensors().size(), 4u);  // A and B of q_proj in two layers
  const TorchValue state = read_training_state(version);
  EXPECT_EQ(read_file(version / kTrainingStateHashFile).substr(0, 64),
            sha256_file_hex(version / kTrainingStateFile));
  const Json run = parse_json(read_file(version / kTrainingRunFile));
  EXPECT_FALSE(run.at("use_qlora").as_bool());
  EXPECT_EQ(run.at("run_id").as_int(), 1);
  EXPECT_EQ(run.at("document_sha256").as_string(), sha256_file_hex(request_.document));
  EXPECT_EQ(run.at("adapter_sha256").as_string(), sha256_file_hex(version / kAdapterWeightsFile));
  EXPECT_EQ(read_file(version / kDocumentFile), read_file(request_.document));
  EXPECT_EQ(state.at("global_step").as_int(), run.at("steps").as_int());
}

TEST_F(RunTest, TrainsOnABaseIn4BitsAndAnswersOnIt) {
  write_document("  adapter: qlora\n", kThreePairs);
  const TrainResult result = train();
  ASSERT_TRUE(result.trained);
  EXPECT_EQ(result.loop.kept.exact_rows, 3);
  const fs::path version = store().version(1);
  const Json run = parse_json(read_file(version / kTrainingRunFile));
  EXPECT_TRUE(run.at("use_qlora").as_bool());
  EXPECT_EQ(run.at("plan").at("base_weights").as_string(), "nf4");
  Device device(1);
  const Base base{kTinyBaseKey, locate_base(kTinyBaseKey, bases()), {}, {}};
  const auto session = Session::open(base, version, device);
  EXPECT_TRUE(session->base_format().linear == QuantFormat::kNF4);
  EXPECT_EQ(session->answer("What swims in the river?", {}).text, "The otter.");

  request_.home = folder_ / "plain";
  write_document("  adapter: lora\n", kThreePairs);
  const TrainResult plain = train();
  EXPECT_NE(plain.adapter_sha256, result.adapter_sha256);
}

TEST_F(RunTest, TrainsOnABaseIn8BitsResumesAndAnswersOnIt) {
  write_document("  adapter: lora\n", kThreePairs);
  request_.base_format = trained_base_format("int8");
  const TrainResult result = train();
  ASSERT_TRUE(result.trained);
  EXPECT_EQ(result.loop.kept.exact_rows, 3);
  const fs::path version = store().version(1);
  const Json run = parse_json(read_file(version / kTrainingRunFile));
  EXPECT_FALSE(run.at("use_qlora").as_bool());
  EXPECT_EQ(run.at("plan").at("base_weights").as_string(), "int8");
  Device device(1);
  const Base base{kTinyBaseKey, locate_base(kTinyBaseKey, bases()), {}, {}};
  const auto session = Session::open(base, version, device);
  EXPECT_TRUE(session->base_format() == trained_base_format("int8"));
  EXPECT_EQ(session->answer("What swims in the river?", {}).text, "The otter.");

  request_.resume = true;
  request_.max_steps = result.loop.steps + 2;
  request_.base_format = trained_base_format("full");
  EXPECT_THROW(train(), Error) << "a run goes on with the base as it was held";
  request_.base_format.reset();
  EXPECT_EQ(train().resumed_at_step, result.loop.steps);
}

TEST_F(RunTest, LogsABannerADeltaEachStepAndTheEnd) {
  write_document(kShort, kThreePairs);
  const TrainResult result = train();
  const std::vector<Json> lines = lines_of(result.log_path);
  ASSERT_GE(lines.size(), 4u);
  EXPECT_EQ(lines[0].at("type").as_string(), "banner");
  EXPECT_EQ(lines[0].at("seed").as_int(), 42);
  EXPECT_EQ(lines[1].at("type").as_string(), "delta");
  EXPECT_EQ(lines.back().at("type").as_string(), "run_complete");
  int64_t steps = 0, evals = 0;
  for (const Json& line : lines) {
    EXPECT_EQ(line.at("timestamp").as_string(), "2026-04-18T10:00:00");
    if (line.at("type").as_string() == "step") {
      EXPECT_EQ(line.at("step").as_int(), ++steps);
      EXPECT_GT(line.at("loss").as_double(), 0);
    }
    evals += line.at("type").as_string() == "eval";
  }
  EXPECT_EQ(steps, result.loop.steps);
  EXPECT_GT(evals, 0);
  const Json summary = parse_json(read_file(result.summary_path));
  EXPECT_EQ(summary.at("run_id").as_int(), 1);
  EXPECT_EQ(summary.at("adapter_version").as_int(), 1);
}

TEST_F(RunTest, ASecondRunMakesASecondVersionAndKeepsTheFirst) {
  write_document(kShort, kThreePairs);
  const TrainResult first = train();
  const auto kept = files_of(store().version(1));
  clock_.advance_ms(90'000);
  const TrainResult second = train();
  EXPECT_EQ(second.run_id, 2);
  EXPECT_EQ(second.adapter_version, 2);
  EXPECT_EQ(current_version_number(store()), 2);
  EXPECT_EQ(files_of(store().version(1)), kept);
  EXPECT_EQ(read_manifest(store()).training_runs.size(), 2u);
  EXPECT_EQ(read_manifest(store()).adapter_version, 2);
  EXPECT_EQ(names_in(store().logs()).size(), 4u);
  EXPECT_EQ(second.adapter_sha256, first.adapter_sha256);  // same document, same seed
}

TEST_F(RunTest, AdapterBytesAreTheSameInEveryStoreAndForAnyNumberOfThreads) {
  write_document("  num_epochs: 2\n", kThreePairs);
  const std::string one = train().adapter_sha256;
  for (const int threads : {1, 2, 3}) {
    request_.home = folder_ / ("home-" + std::to_string(threads));
    request_.num_threads = threads;
    clock_.advance_ms(1000);
    EXPECT_EQ(train().adapter_sha256, one) << threads;
  }
  request_.home = folder_ / "home-seed";
  request_.seed = 43;
  EXPECT_NE(train().adapter_sha256, one);
}

TEST_F(RunTest, WhatWasLearntIsAnswered) {
  write_document("  learning_rate: 0.01\n  num_epochs: 100\n  lora_dropout: 0.0\n", kThreePairs);
  const TrainResult result = train();
  EXPECT_EQ(result.loop.kept.exact_rows, 3);
  Device device(1);
  const Base base{kTinyBaseKey, bases().own_folder / kTinyBaseKey, {}};
  const auto session = Session::open(base, result.adapter_path, device);
  const Answer answer = session->answer("What stands in the water?", {});
  EXPECT_EQ(answer.text, "The heron.");
  EXPECT_TRUE(answer.stopped);
  EXPECT_EQ(session->answer("When is the river cold?", {}).text, "In the winter.");
}

TEST_F(RunTest, EmptyAndUntrainableDocumentsTouchNothing) {
  for (const char* body : {"", "\n\n",
                           "::preference::\n### Prompt\np\n\n### Chosen\nc\n\n"
                           "### Rejected\nr\n"}) {
    write_document("", body);
    const TrainResult result = train();
    EXPECT_FALSE(result.trained);
    EXPECT_FALSE(fs::exists(request_.home));
  }
}

TEST_F(RunTest, ADryRunPlansAndTouchesNothing) {
  write_document("", kThreePairs);
  request_.dry_run = true;
  bool planned = false;
  TrainEvents events;
  events.on_plan = [&](const TrainingPlan& plan) {
    planned = true;
    EXPECT_GE(plan.steps, 200);
  };
  const TrainResult result = train(events);
  EXPECT_TRUE(planned);
  EXPECT_FALSE(result.trained);
  EXPECT_FALSE(fs::exists(request_.home));
  EXPECT_EQ(train_result_json(result).members().size(), 2u);
}

TEST_F(RunTest, ABaseWithoutAChatTemplateTrainsWithADefaultOneAndAWarning) {
  const fs::path base = folder_ / "bases" / kTinyBaseKey;
  write_tiny_base(base);
  write_file_atomic(base / "tokenizer_config.json", tiny_tokenizer_config("<|endoftext|>", ""));
  request_.bases.own_folder = folder_ / "bases";
  write_document(kShort, "The otter swims in the river.\n");
  std::string warned;
  TrainEvents events;
  events.on_warning = [&](const Warning& warning) { warned += warning.message; };
  EXPECT_TRUE(train(events).trained);
  EXPECT_EQ(warned, "");  // prose needs no template
  write_document(kShort, kThreePairs);
  EXPECT_TRUE(train(events).trained);
  EXPECT_EQ(warned,
            "the base has no chat template; conversations are written in dlm's own, 'chatml'");
}

TEST_F(RunTest, ShortRowsLeaveRoomForGeneralRows) {
  write_document("  sequence_len: 64\n  num_epochs: 1\n", kThreePairs);
  EXPECT_TRUE(train().trained);
}

TEST_F(RunTest, ATokenizerWithTokensThatTheModelLacksIsRefused) {
  const fs::path base = folder_ / "bases" / kTinyBaseKey;
  write_tiny_base(base);
  ModelConfig small = tiny_model_config();
  small.vocab_size = 300;
  Decoder::random(small, DType::kF32, 1)->save(base);
  request_.bases.own_folder = folder_ / "bases";
  write_document(kShort, kThreePairs);
  EXPECT_EQ(fault(), "HERE/bases/dlm-nano: the tokenizer has 319 tokens, the model 300");
  EXPECT_EQ(kind_, ErrorKind::kBase);
  EXPECT_FALSE(fs::exists(request_.home));
}

// The files of the store but for the checkpoint.
std::map<std::string, std::string> committed_files(const fs::path& home) {
  auto files = files_of(home);
  std::erase_if(files, [](const auto& file) {
    return file.first.find("/.checkpoint/") != std::string::npos;
  });
  return files;
}

TEST_F(RunTest, AnInterruptAnywhereLeavesTheStoreAsItWasAndACheckpointOfTheSteps) {
  write_document(kShort, kThreePairs);
  train();
  const auto before = files_of(request_.home);
  for (const int instant : {0, 1, 2, 3}) {
    clock_.advance_ms(2000);
    TrainEvents events;
    if (instant == 0) events.on_plan = [](const TrainingPlan&) { raise_interrupt(); };
    if (instant == 1) events.on_general_row = [](size_t, size_t) { raise_interrupt(); };
    if (instant == 2) {
      events.on_step = [](const StepReport&, const TrainingPlan&) { raise_interrupt(); };
    }
    if (instant == 3) events.on_eval = [](const EvalReport&) { raise_interrupt(); };
    EXPECT_EQ(fault(events), "interrupted") << instant;
    EXPECT_EQ(kind_, ErrorKind::kInterrupted);
    EXPECT_EQ(committed_files(request_.home), before) << instant;
    // General rows are made after the first step.
    EXPECT_EQ(has_checkpoint(store(), {}), instant >= 1) << instant;
    EXPECT_EQ(hint_, instant >= 1 ? "go on at step 1 of 2 with --resume" : "") << instant;
    clear_interrupt();
  }
}

TEST_F(RunTest, AnInterruptedFirstRunLeavesItsCheckpointAlone) {
  write_document(kShort, kThreePairs);
  TrainEvents events;
  events.on_step = [](const StepReport&, const TrainingPlan&) { raise_interrupt(); };
  EXPECT_EQ(fault(events), "interrupted");
  EXPECT_TRUE(committed_files(request_.home).empty());
  EXPECT_TRUE(has_checkpoint(store(), {}));
}

TEST_F(RunTest, NothingIsCommittedOfARunWhoseLossIsNoNumber) {
  write_document("  learning_rate: 1.0e+30\n  num_epochs: 1\n  warmup_ratio: 0.0\n", kThreePairs);
  EXPECT_NE(fault().find(": the loss of this row is not a number at step 1"), std::string::npos);
  EXPECT_TRUE(fault().starts_with("HERE/notes.dlm:"));
  EXPECT_EQ(kind_, ErrorKind::kTrain);
  EXPECT_TRUE(files_of(request_.home).empty());
}

TEST_F(RunTest, AHeldStoreIsRefusedBeforeAnyWork) {
  write_document(kShort, kThreePairs);
  train();
  const StoreLock held = StoreLock::acquire(store(), clock_);
  const auto before = files_of(request_.home);
  bool planned = false;
  TrainEvents events;
  events.on_plan = [&](const TrainingPlan&) { planned = true; };
  const std::string text = fault(events);
  EXPECT_TRUE(text.starts_with("HERE/home/store/" + std::string(kTestId) +
                               "/.lock: the store is in use by process "))
      << text;
  EXPECT_EQ(kind_, ErrorKind::kLocked);
  EXPECT_FALSE(planned);
  EXPECT_EQ(files_of(request_.home), before);
}

// Prose on a base without a template needs no general rows: a run of a few milliseconds.
class FailingDisk : public TrainTest {
 protected:
  FailingDisk() {
    const fs::path base = folder_ / "bases" / kTinyBaseKey;
    write_tiny_base(base);
    write_file_atomic(base / "tokenizer_config.json", tiny_tokenizer_config("<|endoftext|>", ""));
    request_.bases.own_folder = folder_ / "bases";
    request_.max_steps = 1;
    write_document("  lora_r: 1\n  target_modules: [q_proj]\n  precision: fp32\n",
                   "The otter swims.\n");
  }

  // Everything that a reader of the store relies on.
  void expect_readable(int64_t at_least) {
    const int64_t current = current_version_number(store());
    EXPECT_GE(current, at_least);
    for (const int64_t number : list_versions(store())) {
      EXPECT_NO_THROW(read_training_state(store().version(number)));
      EXPECT_NO_THROW(parse_json(read_file(store().version(number) / kTrainingRunFile)));
    }
    const Manifest manifest = read_manifest(store());
    EXPECT_LE(manifest.adapter_version, current);
    EXPECT_NO_THROW(read_lock_file(store().dlm_lock()));
  }
};

TEST_F(FailingDisk, AtEveryStepLeavesTheLastCommittedVersion) {
  train();
  int64_t last = 1;
  int num_failed = 0;
  for (int fatal = 0;; ++fatal) {
    ASSERT_LT(fatal, 1000);
    clock_.advance_ms(1000);
    std::string text;
    {
      int count = 0;
      const ScopedFileFault full([&](FileStep step, const fs::path&) {
        if (step == FileStep::kRemove) return 0;  // a full disk still removes
        return count++ >= fatal ? ENOSPC : 0;
      });
      text = fault();
    }
    expect_readable(last);
    last = current_version_number(store());
    for (const auto& [name, digest] : files_of(request_.home)) {
      EXPECT_EQ(name.find(".tmp."), name.npos) << name;
      EXPECT_EQ(name.find(".pending"), name.npos) << name;
    }
    if (text == "no error") break;
    ++num_failed;
    EXPECT_EQ(kind_, ErrorKind::kIo) << text;
    EXPECT_TRUE(hint_.starts_with("the disk is full") || hint_.starts_with("free some disk space"))
        << text;
  }
  EXPECT_GT(num_failed, 25);
  clock_.advance_ms(1000);
  EXPECT_EQ(train().adapter_version, last + 1);
  expect_readable(last + 1);
}

TEST_F(FailingDisk, BeforeTheCommitLeavesEveryFileAsItWas) {
  train();
  const auto before = files_of(request_.home);
  clock_.advance_ms(1000);
  {
    const ScopedFileFault full([&](FileStep step, const fs::path& path) {
      return step == FileStep::kWrite &&
                     path.string().find("adapter_model.safetensors") != std::string::npos
                 ? ENOSPC
                 : 0;
    });
    EXPECT_NE(fault().find("No space left on device"), std::string::npos);
  }
  EXPECT_EQ(files_of(request_.home), before);
}

TEST_F(RunTest, AChangedBaseIsRefusedUnlessTheLockIsUpdated) {
  write_document(kShort, kThreePairs);
  train();
  const fs::path base = folder_ / "bases" / kTinyBaseKey;
  write_tiny_base(base);
  ModelConfig other = tiny_model_config();
  Decoder::random(other, DType::kF32, 99)->save(base);
  request_.bases.own_folder = folder_ / "bases";
  const auto before = files_of(request_.home);
  const std::string text = fault();
  EXPECT_NE(text.find("lock validation failed"), text.npos) << text;
  EXPECT_EQ(kind_, ErrorKind::kStore);
  EXPECT_EQ(files_of(request_.home), before);
  clock_.advance_ms(1000);
  request_.lock_mode = LockMode::kUpdate;
  EXPECT_TRUE(train().trained);
  EXPECT_EQ(read_lock_file(store().dlm_lock())->last_run_id, 2);
}

TEST_F(RunTest, ABrokenManifestIsReportedAndKept) {
  write_document(kShort, kThreePairs);
  train();
  write_file_atomic(store().manifest(), "{\"schema_version\": 1,");
  const auto before = files_of(request_.home);
  const std::string text = fault();
  EXPECT_NE(text.find("manifest.json"), text.npos) << text;
  EXPECT_EQ(kind_, ErrorKind::kStore);
  EXPECT_EQ(files_of(request_.home), before);
}

TEST_F(RunTest, SixtyFourPairsHoldSomeOut) {
  std::string body = "::instruction::\n";
  for (int i = 0; i < 64; ++i) {
    body += "### Q\nq" + std::to_string(i) + "\n\n### A\na" + std::to_string(i * 7) + "\n\n";
  }
  write_document("  num_epochs: 1\n", body);
  const TrainResult result = train();
  EXPECT_TRUE(result.plan.holds_out);
  EXPECT_GT(result.loop.kept.num_rows, 0);
  EXPECT_LT(result.loop.kept.num_rows, 20);
  EXPECT_TRUE(read_manifest(store()).training_runs[0].final_val_loss.has_value());
}

}  // namespace
}  // namespace dlm
