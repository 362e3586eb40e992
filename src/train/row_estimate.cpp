#include "train/row_estimate.h"

#include <algorithm>

#include "data/row_weights.h"

namespace dlm {

namespace {

int64_t tokens_of(size_t bytes) {
  return (static_cast<int64_t>(bytes) + kBytesPerToken - 1) / kBytesPerToken;
}

}  // namespace

RowEstimate estimate_rows(const DocumentRows& rows, const std::optional<std::string>& system_prompt,
                          int64_t max_tokens, int64_t seed) {
  const int64_t around_pair =
      kTemplateTokens + tokens_of(system_prompt ? system_prompt->size() : 0);
  RowEstimate estimate;
  for (const DocumentRow& row : rows.rows) {
    const int64_t copies = num_copies(row.section->weight, seed, row.section->id);
    if (copies == 0) continue;
    const bool is_pair = row.kind == RowKind::kChat;
    const int64_t tokens =
        is_pair ? around_pair + tokens_of(row.question().size()) + tokens_of(row.answer().size())
                : tokens_of(row.text().size()) + 1;  // and the one that ends it
    const int64_t parts = is_pair ? 1 : (tokens + max_tokens - 1) / max_tokens;
    estimate.num_rows += copies * parts;
    estimate.num_pairs += is_pair;
    estimate.num_tokens += copies * tokens;
    estimate.longest_row = std::max(estimate.longest_row, std::min(tokens, max_tokens));
  }
  return estimate;
}

}  // namespace dlm
