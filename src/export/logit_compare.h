// Two models' distributions of the next token, compared token by token.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/exec.h"
#include "engine/parameter.h"
#include "engine/tensor.h"

namespace dlm {

// What a model says after some tokens: the outputs of its last norm, [tokens, hidden] in its
// computing type, and what they are projected with, of that type or held in blocks.
struct ComparedModel {
  Tensor lines;
  const Parameter* head = nullptr;
  double softcap = 0;
};

struct TokenComparison {
  double kl = 0;             // reference || other, nats
  double reference_nll = 0;  // of the label
  double other_nll = 0;
  bool same_top = false;  // the likeliest token, the lowest id among equals
};

// One result for each token, `labels` those that follow. Both heads have the same vocabulary.
// Memory is bounded: 48 MiB, or 64 lines of large vocabularies.
std::vector<TokenComparison> compare_logits(const ComparedModel& reference,
                                            const ComparedModel& other,
                                            std::span<const int32_t> labels, Device& device);

}  // namespace dlm
