// What a training run will hold at its peak, from the graphs that it will run, and the choice of
// batch size and recomputation that fits a limit. Builds graphs on shapes alone: no weight is read.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "engine/recompute.h"
#include "model/config.h"
#include "model/decoder.h"
#include "model/lora.h"

namespace dlm {

// Bytes, by what holds them.
struct MemoryNeeds {
  uint64_t program = 0;       // the process before training: code, tokenizer, document
  uint64_t weights = 0;       // mapped pages and converted copies
  uint64_t adapter = 0;       // with gradients, moments, kept and last copies
  uint64_t activations = 0;   // of the training or the loss graph, which share memory
  uint64_t working = 0;       // of all workers: operations' own memory and oneDNN's
  uint64_t frozen_lines = 0;  // kept output of layers below the lowest adapter

  uint64_t total() const {
    return program + weights + adapter + activations + working + frozen_lines;
  }
};

struct MemoryInput {
  const ModelConfig* model = nullptr;
  DType dtype = DType::kF32;
  LoraOptions lora;
  BaseFormat base_format;
  int num_threads = 1;
  uint64_t program_bytes = 0;  // resident now
  // The type of all matrices in the base's files; none: they differ.
  std::optional<DType> stored_type = DType::kBF16;
  int64_t longest_row = 0;      // tokens; no batch can be smaller
  int64_t step_tokens = 0;      // of an optimizer step; no batch is larger
  int64_t num_tokens = 0;       // of all rows
  int64_t reused_tokens = 0;    // of rows that are trained on more than once
  uint64_t limit_bytes = 0;     // of the peak; 0: none
  bool limit_is_asked = false;  // by --max-mem, not by the machine
  bool may_exceed = false;      // gives the smallest choice where none fits
};

struct MemoryPlan {
  int64_t micro_batch_tokens = 0;
  Recompute recompute = Recompute::kNothing;
  MemoryNeeds needs;
  int64_t num_trained = 0;  // parameters of the adapter
  std::string reason;
};

// What a step computes again where nothing limits its memory. Outputs of norms and activations are
// a third of what is kept, and cost 1% of a step in f32; bf16 has half of that to save and products
// several times as fast.
inline Recompute unlimited_recompute(DType dtype) {
  return dtype == DType::kF32 ? Recompute::kCheap : Recompute::kNothing;
}

class MemoryModel {
 public:
  // Throws Error(kTrain) when a target module names no layer.
  explicit MemoryModel(const MemoryInput& input);
  ~MemoryModel();

  // Needs with batches of up to so many tokens.
  MemoryNeeds needs(int64_t batch_tokens, Recompute recompute);
  // Of them what no choice makes smaller: the program, the weights and the adapter.
  uint64_t least_bytes() const;
  int64_t num_trained() const;  // parameters of the adapter

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// The fastest choice that fits. Throws Error(kTrain) when none does and none may exceed the limit,
// saying what the smallest needs.
MemoryPlan plan_memory(const MemoryInput& input);

}  // namespace dlm
