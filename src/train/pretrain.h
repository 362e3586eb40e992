// Makes a base from text: tokenizer, all weights, and a folder in Hugging Face's layout. The bytes
// follow from the texts, the settings and the instruction set alone: a run that is stopped, at any
// instant, goes on from its last checkpoint as if it had not stopped.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "model/config.h"
#include "support/clock.h"
#include "support/file.h"
#include "support/json.h"

namespace dlm {

// Sizes of a decoder of the Llama family with a tied head.
struct BaseShape {
  int64_t vocab_size = 8192;  // at most 65,536
  int64_t context = 512;      // tokens
  int64_t hidden_size = 256;
  int64_t intermediate_size = 768;
  int64_t num_layers = 8;
  int64_t num_heads = 4;
  int64_t num_kv_heads = 2;
};

struct PretrainRequest {
  std::vector<fs::path> texts;     // a path that is listed twice is trained twice a pass
  std::vector<fs::path> held_out;  // empty: the last 3% of each text
  fs::path out;                    // the base's folder; its .pretrain keeps what a run needs
  BaseShape shape;
  std::optional<int64_t> tokens;  // to train on; none: one pass
  int64_t tokens_per_step = 8192;
  double learning_rate = 3e-3;
  double chat_share = 0.04;  // of the tokens
  uint64_t seed = 42;
  int num_threads = 0;
  int64_t checkpoint_seconds = 300;
  bool fresh = false;    // forget a run that was stopped
  bool dry_run = false;  // the plan alone
  const Clock* clock = nullptr;
};

struct PretrainPlan {
  int64_t num_parameters = 0;
  int64_t text_tokens = 0;     // of one pass
  int64_t chat_tokens = 0;     // of one pass
  int64_t derived_tokens = 0;  // of conversations, each once
  int64_t steps = 0;
  int64_t tokens = 0;
  int64_t resumed_at_step = 0;
  double predicted_seconds = 0;  // of what is left
  uint64_t predicted_peak_bytes = 0;
};

struct PretrainStep {
  int64_t step = 0;
  double loss = 0;  // nats per token, of this step
  double gradient_norm = 0;
  double rate = 0;
  int64_t tokens = 0;
  double seconds = 0;
};

struct PretrainEvents {
  std::function<void(const std::string&)> on_note;  // what is being done
  std::function<void(const PretrainPlan&)> on_plan;
  std::function<void(const PretrainStep&)> on_step;
};

struct PretrainResult {
  PretrainPlan plan;
  bool is_done = false;  // false: a dry run
  // Of the weights as they are written, in bits per byte of held-out text; by file.
  std::vector<std::pair<std::string, double>> bits_per_byte;
  std::string revision;  // SHA-256 of the weights
};

// Throws Error(kUsage) for shapes that do not fit together, and for a folder with a base that
// another run made; Error(kInterrupted) after writing a checkpoint; Error(kTrain) when the loss is
// no longer finite.
PretrainResult pretrain(const PretrainRequest& request, const PretrainEvents& events);

Json pretrain_result_json(const PretrainResult& result);

}  // namespace dlm
