// The plan of a training run, made before its first step: what the document wrote is obeyed, what
// it left open is chosen from the document's size, the base's size and this machine, and each
// choice says its reason.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "doc/frontmatter.h"
#include "model/decoder.h"
#include "support/json.h"
#include "train/memory_plan.h"

namespace dlm {

struct PlanInput {
  const Frontmatter* frontmatter = nullptr;
  const ModelConfig* model = nullptr;
  std::string base_key;
  std::vector<std::string> row_notes;  // what there is to say of the rows
  int64_t num_rows = 0;                // document rows that train
  int64_t num_chat_rows = 0;           // of them question-answer pairs
  int64_t num_tokens = 0;              // of all document rows
  int64_t longest_row = 0;
  int64_t num_general_rows = 0;
  int64_t general_tokens = 0;
  std::optional<int64_t> max_steps;
  std::optional<int64_t> seed;
  std::optional<BaseFormat> base_format;  // instead of what the adapter's kind says
  bool machine_has_bf16 = false;
  int num_threads = 1;
  uint64_t memory_bytes = 0;      // that this run may still take; 0: not known
  uint64_t max_memory_bytes = 0;  // that it may hold at its peak, asked for; 0: not asked
  uint64_t program_bytes = 0;     // that it holds already
  std::optional<DType> stored_type =
      DType::kBF16;                // of all matrices in the files; none: they differ
  bool may_exceed_memory = false;  // plans the least where nothing fits, instead of throwing
  double gflops = 0;               // matrix products of this machine; 0: not known
};

struct TrainingPlan {
  DType dtype = DType::kF32;
  int64_t seed = 42;
  int64_t steps = 0;
  int64_t rows_per_step = 0;          // document rows
  int64_t general_rows_per_step = 0;  // mixed in
  double learning_rate = 0;
  LrScheduler schedule = LrScheduler::kCosine;
  int64_t warmup_steps = 0;
  double dropout = 0;
  AdapterKind adapter = AdapterKind::kLora;
  int64_t rank = 8;
  int64_t alpha = 16;
  BaseFormat base_format;                    // how the frozen weights are held
  std::vector<std::string> target_modules;   // empty: all linear layers
  std::vector<std::string> modules_to_save;  // embed_tokens, lm_head: trained whole
  int64_t max_tokens = 0;                    // of a row
  int64_t micro_batch_tokens = 0;
  Recompute recompute = Recompute::kNothing;
  MemoryNeeds memory;
  int64_t eval_every = 0;
  bool holds_out = false;             // validation rows exist
  int64_t num_trained = 0;            // parameters of the adapter
  double predicted_seconds = 0;       // 0: not known
  uint64_t predicted_peak_bytes = 0;  // memory.total()
  std::vector<std::string> reasons;

  // The rate of step s in [0, steps).
  double rate_at(int64_t step) const;
};

// From this many question-answer pairs on, a tenth of the rows is held out to choose the weights;
// fewer pairs would lose what they hold.
inline constexpr int64_t kHoldOutFrom = 64;
inline bool holds_out(int64_t num_pairs) {
  return num_pairs >= kHoldOutFrom;
}

// The longest row: training.sequence_len, but no more than the base's context.
int64_t max_row_tokens(const Frontmatter& frontmatter, const ModelConfig& model);
// bf16 where the machine has it, unless the document says otherwise. Throws Error(kTrain) for what
// cannot run here: fp16, bf16 without its products.
DType choose_dtype(const Frontmatter& frontmatter, bool machine_has_bf16);

// Throws Error(kTrain) for settings that this version cannot train (named adapters,
// optimizers other than AdamW), at the key's name.
void check_supported(const Frontmatter& frontmatter);

// How the frozen weights are held for an adapter of that kind.
BaseFormat base_format_of(AdapterKind kind);

// The adapter that a plan trains; the names of the base are left open.
LoraOptions lora_options(const TrainingPlan& plan);

TrainingPlan make_plan(const PlanInput& input);

Json plan_json(const TrainingPlan& plan);

}  // namespace dlm
