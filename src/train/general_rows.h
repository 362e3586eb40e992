// General rows: the base's own greedy answers to fixed prompts. Trained along with a document, they
// keep prompts that have nothing to do with it as they were (self-distillation, in the spirit of Li
// and Hoiem 2016, "Learning without Forgetting").
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/chat_format.h"
#include "model/decoder.h"

namespace dlm {

std::span<const std::string> mixed_general_prompts();
std::span<const std::string_view> measured_general_prompts();

// Answers of at most so many tokens.
inline constexpr int64_t kGeneralAnswerTokens = 48;
// For a plan, before they exist: a prompt and an answer of about 15 tokens each.
inline constexpr int64_t kGeneralRowTokens = 30;

struct GeneralRows {
  std::vector<TokenRow> mixed;     // to train on
  std::vector<TokenRow> measured;  // to measure drift
  // Completes a row that still is its prompt alone (it has no labels). A row's answer depends on
  // its prompt and the base only, so when it is asked for changes nothing.
  std::function<void(TokenRow& row)> answer;

  // The row with its answer; one that has none carries no label.
  const TokenRow& answered(TokenRow& row) const {
    if (!row.loss_begin) answer(row);
    return row;
  }
};

// Prompts whose answers the base gives when a row is first used: generation takes longer than
// training on what it made. An answer that the base did not end carries no label for the end. The
// number of prompts falls with the size of the base, which pays for each. `on_answer` counts.
// Everything must outlive the rows.
GeneralRows make_general_rows(Decoder& decoder, Device& device, const ChatFormat& format,
                              const std::optional<std::string>& system_prompt,
                              std::function<void(size_t done, size_t total)> on_answer = {});

}  // namespace dlm
