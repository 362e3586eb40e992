// Token by token generation with a key-value cache, and how the next token is chosen.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "model/decoder.h"

namespace dlm {

// One sequence. Holds a cache for `capacity` tokens.
class Generator {
 public:
  // `adapter` may be null. Decoder, adapter and device must outlive the generator.
  Generator(Decoder& decoder, LoraAdapter* adapter, Device& device, int64_t capacity);

  // Starts over with a prompt (1 to capacity tokens); returns the logits that follow it, f32
  // [vocab], valid until the next call.
  std::span<const float> prefill(std::span<const int32_t> prompt);
  // The same for the prompt and, in one pass with it, for those first tokens of `draft` that are
  // each the likeliest where they stand (speculative decoding, Leviathan et al. 2023, greedy).
  // Returns how many; logits() follow the last of them. The prompt has a token, and both fit the
  // capacity.
  int64_t prefill(std::span<const int32_t> prompt, std::span<const int32_t> draft);
  // Appends one token. Throws Error(kInference) when the cache is full.
  std::span<const float> step(int32_t token);

  // Of the last pass.
  std::span<const float> logits() const { return logits_; }
  int64_t length() const { return length_; }
  int64_t capacity() const { return cache_.capacity; }

 private:
  std::span<const float> extend(std::span<const int32_t> tokens);
  std::span<const float> run(std::span<const int32_t> tokens);
  void forward(std::span<const int32_t> tokens);
  // Logits of lines [first, first + count) of the pass just made, at most kFewTokens: f32
  // [count, vocab].
  void project(int64_t first, int64_t count, float* logits);
  template <class T>
  void project_as(int64_t first, int64_t count, float* logits);

  Decoder& decoder_;
  Parameter& head_;
  Device& device_;
  KvCache cache_;
  std::unique_ptr<DecoderGraph> graph_;
  Exec exec_;
  Batch batch_;
  std::vector<int32_t> text_;
  int64_t length_ = 0;
  std::vector<float> logits_;
};

// The index of the largest logit; the lowest index among equals.
int32_t argmax(std::span<const float> logits);

struct SamplingOptions {
  double temperature = 0.0;  // 0: greedy
  double top_p = 1.0;        // keeps the smallest set of tokens with at least this probability
  int64_t top_k = 0;         // 0: no limit
  uint64_t seed = 0;
};

// The next token; `position` counts the tokens chosen so far and keys the random number.
int32_t sample(std::span<const float> logits, const SamplingOptions& options, int64_t position);

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
// The likeliest tokens after `prompt`, faster where they begin as `draft` does. Up to rounding what
// generate() gives: several tokens in one pass are multiplied otherwise than one at a time, which
// may decide between two that are nearly equally likely.
Generation generate_drafted(Generator& generator, std::span<const int32_t> prompt,
                            std::span<const int32_t> draft, int64_t max_tokens,
                            std::span<const int32_t> stop_tokens);

}  // namespace dlm
