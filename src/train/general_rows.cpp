#include "train/general_rows.h"

#include <algorithm>

#include "engine/random.h"
#include "model/generate.h"
#include "support/interrupt.h"

namespace dlm {

namespace {

constexpr int64_t kMaxAnswer = 48;

// 192 prompts cost a base of 10 million parameters seconds, one of a billion hours.
size_t num_mixed(int64_t num_parameters) {
  if (num_parameters <= 50'000'000) return 192;
  return num_parameters <= 600'000'000 ? 24 : 12;
}

}  // namespace

GeneralRows make_general_rows(Decoder& decoder, Device& device, const ChatFormat& format,
                              const std::optional<std::string>& system_prompt,
                              const std::function<void(size_t, size_t)>& on_answer) {
  const auto mixed = mixed_general_prompts().first(
      std::min(mixed_general_prompts().size(), num_mixed(decoder.config().num_parameters())));
  const auto measured = measured_general_prompts().first(
      std::min(measured_general_prompts().size(), std::max<size_t>(4, mixed.size() / 8)));
  const size_t total = mixed.size() + measured.size();
  GeneralRows out;
  const auto answer = [&](std::string_view question) {
    check_interrupted();
    const std::vector<int32_t> prompt = format.prompt(question, system_prompt);
    const auto prompt_tokens = static_cast<int64_t>(prompt.size());
    const int64_t capacity = std::min(prompt_tokens + kMaxAnswer, decoder.config().max_positions);
    TokenRow row;
    // No room for an answer: an empty row, which is left out below.
    if (prompt_tokens >= capacity) return row;
    Generator generator(decoder, nullptr, device, capacity);
    const Generation said =
        generate(generator, prompt, capacity - prompt_tokens, format.stop_tokens(), {});
    row.tokens = prompt;
    row.tokens.insert(row.tokens.end(), said.tokens.begin(), said.tokens.end());
    row.labels.assign(row.tokens.size(), -1);
    for (size_t i = prompt.size(); i < row.tokens.size(); ++i) row.labels[i - 1] = row.tokens[i];
    if (said.stopped) row.labels.back() = said.stop_token;
    row.id = random_key({0x67656e65, out.mixed.size(), out.measured.size()});
    return row;
  };
  const auto answer_all = [&](const auto& questions, std::vector<TokenRow>& rows) {
    for (const std::string_view question : questions) {
      rows.push_back(answer(question));
      if (on_answer) on_answer(out.mixed.size() + out.measured.size(), total);
    }
  };
  answer_all(mixed, out.mixed);
  answer_all(measured, out.measured);
  // An answer of no tokens and no end teaches nothing.
  const auto is_empty = [](const TokenRow& row) { return row.num_labels() == 0; };
  std::erase_if(out.mixed, is_empty);
  std::erase_if(out.measured, is_empty);
  return out;
}

}  // namespace dlm
