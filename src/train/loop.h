// The supervised training loop of one adapter: rows in a seeded order, general rows mixed in, one
// AdamW step per batch, and the choice of the weights to keep. All that one step hands to the next
// is a LoopState: a loop that starts from it goes on as if there had been no stop, since row order,
// dropout and rates follow from seed and step alone. It writes no files.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "engine/adamw.h"
#include "model/decoder.h"
#include "support/error.h"
#include "train/frozen_lines.h"
#include "train/general_rows.h"
#include "train/plan.h"
#include "train/shuffled_rows.h"

namespace dlm {

struct LoopRows {
  TokenRows train;
  TokenRows judged;  // held-out rows, or the conversations among `train`, or `train` itself
  GeneralRows general;
  // For messages: the document, and the line of each of its rows by TokenRow::source.
  std::string document;
  std::vector<int> lines;
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
  std::function<void()> between_steps;  // each step and its judgement are done
};

// Tensors are f32, one per parameter, in the adapter's order. Those that a loop gives share its
// memory and hold until its next step.
struct LoopState {
  int64_t step = 0;  // steps taken
  int64_t optimizer_steps = 0;
  std::vector<Tensor> weights;
  std::vector<Tensor> first_moments;
  std::vector<Tensor> second_moments;
  bool awaits_judgement = false;  // of the last step, by the plan that it was taken under
  EvalReport kept;
  EvalReport last;                   // step 0: not judged yet
  std::vector<Tensor> kept_weights;  // empty before the first judgement
  std::vector<double> losses;        // of each step
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

  // Goes on from `state` instead of step 0. Its tensors have the shapes of the parameters.
  void restore(const LoopState& state);

  // Takes the plan's steps up to `until` (at most). Throws Error(kTrain) naming the row when a loss
  // stops being a number, Error(kInterrupted) between two micro-batches; state() is then that of
  // the last whole step.
  void advance(int64_t until, const LoopEvents& events);
  // Leaves the kept weights in the adapter; no step may follow.
  LoopResult finish();
  // All steps and the end.
  LoopResult run(const LoopEvents& events);

  int64_t steps_taken() const { return progress_.step; }
  // After finish() still that of the last step.
  LoopState state();
  // With the answers that were made so far.
  const GeneralRows& general() const { return rows_.general; }

 private:
  struct StepRow {
    TokenRow row;
    uint64_t epoch;
    bool is_general;
  };
  StepReport take_step(int64_t step);
  void judge(const LoopEvents& events);
  EvalReport evaluate(int64_t step);
  // Throws Error(kTrain) when a loss among those of `row` is not a number.
  void check_losses(const TokenRow& row, bool is_general, const std::vector<float>& losses,
                    size_t first, int64_t step) const;
  Place place_of(const TokenRow& row) const;
  double mean_loss(Exec& exec, const TokenRows& rows, bool are_general, int64_t step,
                   int64_t* exact_rows);
  // The base's own loss on the measured general rows; makes them when they are first asked for.
  double base_drift_loss();
  std::vector<StepRow> rows_of_step(int64_t step, int64_t* document_labels);
  std::vector<Tensor> copy_weights() const;

  Decoder& decoder_;
  LoraAdapter& adapter_;
  Device& device_;
  const TrainingPlan& plan_;
  LoopRows rows_;
  ShuffledRows document_order_;
  ShuffledRows general_order_;
  std::unique_ptr<DecoderGraph> training_graph_;
  std::unique_ptr<DecoderGraph> loss_graph_;
  std::shared_ptr<PassMemory> pass_memory_;  // training and judging take turns
  Exec exec_;
  Exec loss_exec_;
  RowLines frozen_lines_;
  AdamW optimizer_;
  std::optional<double> base_drift_loss_;
  LoopState progress_;  // its weights and moments only once finished
};

}  // namespace dlm
