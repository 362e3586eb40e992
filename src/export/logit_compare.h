// Two models' distributions of the next token, compared token by token.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/exec.h"
#include "model/decoder.h"

namespace dlm {

// One batch went through the graph of each; `final` is the output of the last norm, `head` what it
// is projected with, of the decoder's computing type or held in blocks.
struct ComparedModel {
  Exec* exec = nullptr;
  ValueId final;
  const Parameter* head = nullptr;
  DType dtype = DType::kF32;
  double softcap = 0;
};

struct TokenComparison {
  double kl = 0;             // reference || other, nats
  double reference_nll = 0;  // of the label
  double other_nll = 0;
  bool same_top = false;  // the likeliest token, the lowest id among equals
};

// One result for each labelled token of the batch, in order. Both heads have the same vocabulary.
// Memory is bounded: about 24 MiB a worker, beside 64 lines of large vocabularies.
std::vector<TokenComparison> compare_logits(const ComparedModel& reference,
                                            const ComparedModel& other, const Batch& batch,
                                            Device& device);

}  // namespace dlm
