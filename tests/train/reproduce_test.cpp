// `dlm reproduce` without its command line: versions of straight, stopped and prolonged runs come
// out the same, and what makes them differ is named.
#include "train/reproduce.h"

#include "resume_fixture.h"
#include "store/adapter_versions.h"
#include "train/run_record.h"

namespace dlm {
namespace {

class ReproduceTest : public ResumeTest {
 protected:
  Reproduction reproduce(std::optional<int64_t> version = {}, int num_threads = 2) {
    ReproduceRequest request;
    request.document = request_.document;
    request.home = request_.home;
    request.bases = request_.bases;
    request.version = version;
    request.num_threads = num_threads;
    request.clock = &clock_;
    TrainEvents events;
    events.on_step = [&](const StepReport& step, const TrainingPlan& plan) {
      last_step_ = step.step;
      shown_steps_ = plan.steps;
    };
    return reproduce_version(request, events);
  }
  std::string reproduce_fault(std::optional<int64_t> version = {}) {
    try {
      reproduce(version);
    } catch (const Error& e) {
      kind_ = e.kind();
      return e.message();
    }
    return "no error";
  }
  void expect_same(const Reproduction& r) {
    EXPECT_TRUE(r.is_same);
    EXPECT_EQ(r.retrained_sha256, r.recorded_sha256);
    EXPECT_TRUE(r.differences.empty());
    EXPECT_EQ(last_step_, r.steps);
    EXPECT_EQ(shown_steps_, r.steps) << "of this many, progress says";
  }

  int64_t last_step_ = 0;
  int64_t shown_steps_ = 0;
};

TEST_F(ReproduceTest, AVersionComesOutTheSameAndTheStoreStays) {
  const TrainResult trained = train();
  const auto before = files_of(request_.home);
  const Reproduction r = reproduce();
  expect_same(r);
  EXPECT_EQ(r.recorded_sha256, trained.adapter_sha256);
  EXPECT_EQ(r.version, 1);
  EXPECT_EQ(r.steps, kSteps);
  EXPECT_FALSE(r.document_has_changed);
  EXPECT_EQ(files_of(request_.home), before);
}

TEST_F(ReproduceTest, GeneralRowsAreMadeAgain) {
  request_.bases = bases();
  request_.max_steps = 3;
  write_document("", kThreePairs);
  train();
  expect_same(reproduce());
}

TEST_F(ReproduceTest, RunsThatWereStoppedOrProlongedComeOutTheSame) {
  stop_at(7);
  resume();
  expect_same(reproduce());
  // Cosine: the first part ends with the rates of its own plan.
  request_.max_steps = kSteps + 9;
  EXPECT_EQ(resume().adapter_version, 2);
  const auto record = read_run_record(store().version(2));
  ASSERT_EQ(record->parts.size(), 2u);
  EXPECT_EQ(record->parts[0].until_step, kSteps);
  EXPECT_EQ(record->parts[1].until_step, kSteps + 9);
  expect_same(reproduce(2));
  expect_same(reproduce(1));
}

TEST_F(ReproduceTest, TheVersionsOwnCopyOfTheDocumentIsTrained) {
  train();
  write_document(kSmallRun, "Another text altogether.\n");
  const Reproduction r = reproduce();
  expect_same(r);
  EXPECT_TRUE(r.document_has_changed);
}

TEST_F(ReproduceTest, ADamagedAdapterIsNotTheSame) {
  train();
  const fs::path file = store().version(1) / kAdapterWeightsFile;
  std::string bytes = read_file(file);
  bytes.back() ^= 1;
  write_file_atomic(file, bytes);
  const Reproduction r = reproduce();
  EXPECT_FALSE(r.is_same);
  EXPECT_EQ(r.retrained_sha256, r.recorded_sha256);
  EXPECT_EQ(
      r.differences,
      (std::vector<std::string>{"adapter_model.safetensors of the version: not as recorded"}));
}

TEST_F(ReproduceTest, AnotherBaseIsNamedAndNotTrained) {
  train();
  Decoder::random(tiny_model_config(), DType::kF32, 99)->save(base_);
  const Reproduction r = reproduce();
  EXPECT_FALSE(r.is_same);
  EXPECT_EQ(r.retrained_sha256, "");
  ASSERT_EQ(r.differences.size(), 1u);
  EXPECT_TRUE(r.differences[0].starts_with("weights of the base: ")) << r.differences[0];
}

TEST_F(ReproduceTest, WhatComputedOtherwiseIsNamed) {
  train();
  const fs::path file = store().version(1) / kTrainingRunFile;
  std::string text = read_file(file);
  const std::string now = "\"onednn_version\": \"";
  const size_t at = text.find(now) + now.size();
  text.replace(at, text.find('"', at) - at, "1.0");
  write_file_atomic(file, text);
  const Reproduction r = reproduce();
  ASSERT_EQ(r.differences.size(), 1u);
  EXPECT_TRUE(r.differences[0].starts_with("oneDNN: 1.0 → ")) << r.differences[0];
  EXPECT_TRUE(r.is_same);  // the bytes are what counts
}

TEST_F(ReproduceTest, VersionsThatCannotBeTrainedAgainAreRefused) {
  EXPECT_EQ(reproduce_fault(), "the document has not been trained yet");
  train();
  EXPECT_EQ(reproduce_fault(4), "there is no version v0004");
  EXPECT_EQ(kind_, ErrorKind::kStore);
  write_file_atomic(store().version(1) / kDocumentFile, document_text(kSmallRun, "Other.\n"));
  EXPECT_EQ(reproduce_fault(), "the version's copy of its document is not the one it recorded");
  write_file_atomic(store().version(1) / kTrainingRunFile, "{\"use_qlora\": false}\n");
  EXPECT_EQ(reproduce_fault(), "the version does not record how it was trained");
}

}  // namespace
}  // namespace dlm
