// Token by token generation with a key-value cache.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "model/decoder.h"
#include "model/sampling.h"
#include "model/sequences.h"

namespace dlm {

// One sequence. Holds a cache for `capacity` tokens.
class Generator {
 public:
  // `adapter` may be null. Decoder, adapter and device must outlive the generator.
  Generator(Decoder& decoder, LoraAdapter* adapter, Device& device, int64_t capacity);

  // Starts over with a prompt (1 to capacity tokens); returns the logits that follow it, f32
  // [vocab], valid until the next call.
  std::span<const float> prefill(std::span<const int32_t> prompt);
  // Appends one token. Throws Error(kInference) when the cache is full.
  std::span<const float> step(int32_t token);

  // Of the last pass.
  std::span<const float> logits() const { return logits_; }
  int64_t length() const { return sequence_.length(0); }
  int64_t capacity() const { return sequence_.capacity(0); }

 private:
  std::span<const float> extend(std::span<const int32_t> tokens);

  Sequences sequence_;
  std::vector<float> logits_;
};

struct Generation {
  std::vector<int32_t> tokens;  // without the stopping token
  bool stopped = false;         // by a stop token; false: the limit was reached
  int32_t stop_token = -1;      // which one
};

// Generates up to max_tokens after `prompt`; on_token sees each token as it comes and may return
// false to end early.
Generation generate(Generator& generator, std::span<const int32_t> prompt, int64_t max_tokens,
                    std::span<const int32_t> stop_tokens, const SamplingOptions& options,
                    const std::function<bool(int32_t)>& on_token = {});

}  // namespace dlm
