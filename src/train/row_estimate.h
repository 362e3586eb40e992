// How many tokens a document's rows would be for a base whose tokenizer is not on this machine.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "data/rows.h"

namespace dlm {

// English text in vocabularies of 32,000 words and more is 4.0 to 4.8 bytes a token, program
// text 2.5 to 3.5: an estimate within a third for most documents.
inline constexpr int64_t kBytesPerToken = 4;
// Control tokens, roles and line ends that a chat template puts around a pair.
inline constexpr int64_t kTemplateTokens = 12;

struct RowEstimate {
  int64_t num_rows = 0;   // with the copies that the weights of tags ask for
  int64_t num_pairs = 0;  // rows of conversations, each once
  int64_t num_tokens = 0;
  int64_t longest_row = 0;
};
// Prose is cut into rows of at most `max_tokens`. `seed` rolls for fractional copies as a run does.
RowEstimate estimate_rows(const DocumentRows& rows, const std::optional<std::string>& system_prompt,
                          int64_t max_tokens, int64_t seed);

}  // namespace dlm
