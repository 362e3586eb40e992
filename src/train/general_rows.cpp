#include "train/general_rows.h"

#include <algorithm>

#include "engine/random.h"
#include "model/generate.h"
#include "support/interrupt.h"

namespace dlm {

namespace {

// 192 prompts cost a base of 10 million parameters seconds, one of a billion hours.
size_t num_mixed(int64_t num_parameters) {
  if (num_parameters <= 50'000'000) return 192;
  return num_parameters <= 600'000'000 ? 24 : 12;
}

void answer_row(TokenRow& row, Decoder& decoder, Device& device, const ChatFormat& format) {
  check_interrupted();
  const std::vector<int32_t> prompt = row.tokens;
  const auto prompt_tokens = static_cast<int64_t>(prompt.size());
  const int64_t capacity =
      std::min(prompt_tokens + kGeneralAnswerTokens, decoder.config().max_positions);
  // No room for an answer.
  if (prompt_tokens >= capacity) {
    row.loss_begin = static_cast<uint32_t>(prompt.size());
    return;
  }
  Generator generator(decoder, nullptr, device, capacity);
  const Generation said =
      generate(generator, prompt, capacity - prompt_tokens, format.stop_tokens(), {});
  row.tokens.insert(row.tokens.end(), said.tokens.begin(), said.tokens.end());
  row.loss_begin = static_cast<uint32_t>(prompt.size());
  if (said.stopped) row.next = said.stop_token;
}

}  // namespace

GeneralRows make_general_rows(Decoder& decoder, Device& device, const ChatFormat& format,
                              const std::optional<std::string>& system_prompt,
                              std::function<void(size_t, size_t)> on_answer) {
  const auto mixed = mixed_general_prompts().first(
      std::min(mixed_general_prompts().size(), num_mixed(decoder.config().num_parameters())));
  const auto measured = measured_general_prompts().first(
      std::min(measured_general_prompts().size(), std::max<size_t>(4, mixed.size() / 8)));
  GeneralRows out;
  const auto add_all = [&](const auto& questions, std::vector<TokenRow>& rows) {
    for (const std::string_view question : questions) {
      TokenRow row;
      row.tokens = format.prompt(question, system_prompt);
      row.id = random_key({0x67656e65, out.mixed.size(), out.measured.size()});
      rows.push_back(std::move(row));
    }
  };
  add_all(mixed, out.mixed);
  add_all(measured, out.measured);
  const size_t total = mixed.size() + measured.size();
  out.answer = [&decoder, &device, &format, total, done = size_t{0},
                on_answer = std::move(on_answer)](TokenRow& row) mutable {
    answer_row(row, decoder, device, format);
    if (on_answer) on_answer(++done, total);
  };
  return out;
}

}  // namespace dlm
