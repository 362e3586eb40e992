// The supervised training loop of one adapter: rows in a seeded order, general rows mixed in, one
// AdamW step per batch, and the choice of the weights to keep. It writes no files.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "engine/adamw.h"
#include "model/decoder.h"
#include "train/frozen_lines.h"
#include "train/general_rows.h"
#include "train/plan.h"

namespace dlm {

struct LoopRows {
  std::vector<TokenRow> train;
  std::vector<TokenRow>
      judged;  // held-out rows, or the conversations among `train`, or `train` itself
  GeneralRows general;
};

struct StepReport {
  int64_t step = 0;  // from 1
  double loss = 0;   // mean over the labelled tokens of the step's document rows
  double rate = 0;
  double grad_norm = 0;
  int64_t tokens = 0;
  double seconds = 0;  // of this step
};

struct EvalReport {
  int64_t step = 0;
  double loss = 0;         // mean over the labelled tokens of the judged rows
  int64_t exact_rows = 0;  // judged rows whose every labelled token is the most likely one
  int64_t num_rows = 0;
  double drift = 0;  // loss on the base's own answers, above what the base itself has there
};

struct LoopEvents {
  std::function<void(const StepReport&)> on_step;
  std::function<void(const EvalReport&)> on_eval;
};

struct LoopResult {
  int64_t steps = 0;
  double mean_loss = 0;  // of the last tenth of the steps
  EvalReport kept;       // where the kept weights were judged
  EvalReport last;
};

class TrainingLoop {
 public:
  // Everything must outlive the loop; the adapter's parameters train.
  TrainingLoop(Decoder& decoder, LoraAdapter& adapter, Device& device, const TrainingPlan& plan,
               LoopRows rows);

  // Runs all steps and leaves the kept weights in the adapter. Throws Error(kTrain) when the loss
  // stops being a number, Error(kInterrupted) between two micro-batches.
  LoopResult run(const LoopEvents& events);

  // The state after the last step, for resuming: weights and moments in parameter order.
  const std::vector<Tensor>& last_weights() const { return last_weights_; }
  AdamW& optimizer() { return optimizer_; }
  size_t held_bytes() const { return exec_.held_bytes() + optimizer_.held_bytes(); }

 private:
  struct Chosen {
    size_t row;  // index in its list
    uint64_t epoch;
  };
  struct StepRow {
    const TokenRow* row;
    uint64_t epoch;
  };
  StepReport take_step(int64_t step);
  EvalReport evaluate(int64_t step);
  std::vector<StepRow> rows_of_step(int64_t step, int64_t* document_labels);
  double mean_loss(Exec& exec, const std::vector<TokenRow>& rows, int64_t* exact_rows);
  // The base's own loss on the measured general rows; makes them when they are first asked for.
  double base_drift_loss();
  std::vector<Chosen> choose(const std::vector<TokenRow>& rows, int64_t first, int64_t count,
                             uint64_t stream) const;
  std::vector<Tensor> copy_weights() const;

  Decoder& decoder_;
  LoraAdapter& adapter_;
  Device& device_;
  const TrainingPlan& plan_;
  LoopRows rows_;
  std::unique_ptr<DecoderGraph> training_graph_;
  std::unique_ptr<DecoderGraph> loss_graph_;
  std::shared_ptr<PassMemory> pass_memory_;  // training and judging take turns
  Exec exec_;
  Exec loss_exec_;
  RowLines frozen_lines_;
  AdamW optimizer_;
  std::optional<double> base_drift_loss_;
  std::vector<Tensor> last_weights_;
};

}  // namespace dlm
