// Runs of milliseconds that use all that a state holds: several rows, dropout, judgements at some
// of the steps. Prose on a base without a chat template needs no general rows.
#pragma once

#include "store/checkpoint.h"
#include "train_fixture.h"

namespace dlm {

inline constexpr const char* kSmallRun =
    "  lora_r: 2\n  lora_dropout: 0.1\n  precision: fp32\n  sequence_len: 64\n  grad_accum: 2\n";
inline constexpr const char* kThreeSentences =
    "The otter swims in the river all night. The heron stands in the water and waits for fish.\n"
    "In the winter the river is cold, and in the summer the children of the mill swim there too.\n"
    "Nobody has counted the fish, but everybody has an opinion on how many there must be.\n";

class ResumeTest : public TrainTest {
 protected:
  ResumeTest() {
    write_tiny_base(base_);
    write_file_atomic(base_ / "tokenizer_config.json", tiny_tokenizer_config("<|endoftext|>", ""));
    request_.bases.own_folder = folder_ / "bases";
    request_.max_steps = kSteps;
    write_document(kSmallRun, kThreeSentences);
  }

  // In a home of its own.
  TrainResult straight(int64_t steps = kSteps) {
    TrainRequest request = request_;
    request.home = folder_ / ("straight-" + std::to_string(num_straight_++));
    request.max_steps = steps;
    request.resume = false;
    return train_document(request, {});
  }

  // Stops as Ctrl-C does once `step` steps are taken.
  void stop_at(int64_t step) {
    TrainEvents events;
    events.on_step = [&](const StepReport& report, const TrainingPlan&) {
      if (report.step == step) raise_interrupt();
    };
    EXPECT_EQ(fault(events), "interrupted") << step;
    clear_interrupt();
  }

  TrainResult resume() {
    request_.resume = true;
    clock_.advance_ms(1000);
    return train();
  }
  std::string resume_fault() {
    request_.resume = true;
    return fault();
  }

  static constexpr int64_t kSteps = 20;
  const fs::path base_ = folder_ / "bases" / kTinyBaseKey;
  int num_straight_ = 0;
};

}  // namespace dlm
