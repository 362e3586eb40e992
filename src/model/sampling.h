// How the next token is chosen from the logits.
#pragma once

#include <cstdint>
#include <span>

namespace dlm {

// The index of the largest logit; the lowest index among equals. Logits are finite.
int32_t argmax(std::span<const float> logits);

struct SamplingOptions {
  double temperature = 0.0;  // 0: greedy
  double top_p = 1.0;        // keeps the smallest set of tokens with at least this probability
  int64_t top_k = 0;         // 0: no limit
  uint64_t seed = 0;
};

// The next token; `position` counts the tokens chosen so far and keys the random number. Likelier
// tokens come first, lower indices first among equals; top_p counts within the top_k.
int32_t sample(std::span<const float> logits, const SamplingOptions& options, int64_t position);

}  // namespace dlm
