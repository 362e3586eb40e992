#include "model/greedy_answers.h"

#include <algorithm>

#include "engine/few_tokens.h"
#include "model/generate.h"
#include "support/error.h"

namespace dlm {

void GreedyAnswers::ask(size_t sequence, std::vector<int32_t> prompt, int64_t max_tokens) {
  check(!prompt.empty(), "generation needs at least one token");
  check(sequences_.length(sequence) == 0, "a question begins its sequence");
  Question q;
  q.sequence = sequence;
  q.num_prompt = static_cast<int64_t>(prompt.size());
  q.text = std::move(prompt);
  q.max_tokens = max_tokens;
  q.is_finished = max_tokens < 1;
  questions_.push_back(std::move(q));
}

void GreedyAnswers::draft(size_t question, std::vector<int32_t> tokens) {
  questions_[question].draft = std::move(tokens);
}

// What the draft says behind the answer so far.
std::vector<int32_t> GreedyAnswers::usable_draft(const Question& q) const {
  const std::vector<int32_t>& said = q.answer.tokens;
  if (q.draft.size() <= said.size() || !std::equal(said.begin(), said.end(), q.draft.begin())) {
    return {};
  }
  const auto begin = q.draft.begin() + static_cast<std::ptrdiff_t>(said.size());
  const auto stop =
      std::find_first_of(begin, q.draft.end(), stop_tokens_.begin(), stop_tokens_.end());
  const auto length = static_cast<int64_t>(q.text.size());
  const int64_t count =
      std::min({static_cast<int64_t>(stop - begin), q.num_prompt + q.max_tokens - length,
                sequences_.capacity(q.sequence) - length});
  // The keys of the prompt stay as they are.
  const ModelConfig& config = sequences_.config();
  if (count < 1 || config.rope_variant(length) != config.rope_variant(length + count)) return {};
  return {begin, begin + count};
}

void GreedyAnswers::append() {
  for (Question& q : questions_) {
    if (q.is_finished) continue;
    std::vector<int32_t> tokens(q.text.begin() + sequences_.length(q.sequence), q.text.end());
    const std::vector<int32_t> draft = usable_draft(q);
    q.num_drafted = static_cast<int64_t>(draft.size());
    tokens.insert(tokens.end(), draft.begin(), draft.end());
    sequences_.append(q.sequence, tokens, q.num_drafted + 1);
  }
}

void GreedyAnswers::take() {
  const auto vocab = static_cast<size_t>(sequences_.config().vocab_size);
  std::vector<float> logits(static_cast<size_t>(kFewTokens) * vocab);
  for (Question& q : questions_) {
    if (q.is_finished) continue;
    const auto first = static_cast<int64_t>(q.text.size()) - 1;
    bool goes_on = true;
    for (int64_t at = 0; at <= q.num_drafted && goes_on; at += kFewTokens) {
      const int64_t count = std::min(kFewTokens, q.num_drafted + 1 - at);
      sequences_.logits(q.sequence, first + at, count, logits.data());
      for (int64_t i = 0; i < count && goes_on; ++i) {
        const int32_t token =
            argmax(std::span(logits).subspan(static_cast<size_t>(i) * vocab, vocab));
        const size_t said = q.answer.tokens.size();
        goes_on = at + i < q.num_drafted && q.draft[said] == token;
        take(q, token);
        goes_on = goes_on && !q.is_finished;
      }
    }
    // The last token was not read, nor was a draft that it contradicts.
    if (!q.is_finished) {
      sequences_.cut(q.sequence, static_cast<int64_t>(q.text.size()) - 1);
    }
  }
}

void GreedyAnswers::take(Question& q, int32_t token) {
  if (std::find(stop_tokens_.begin(), stop_tokens_.end(), token) != stop_tokens_.end()) {
    q.answer.stopped = true;
    q.is_finished = true;
    return;
  }
  q.answer.tokens.push_back(token);
  q.text.push_back(token);
  q.is_finished = static_cast<int64_t>(q.answer.tokens.size()) >= q.max_tokens ||
                  static_cast<int64_t>(q.text.size()) > sequences_.capacity(q.sequence);
}

bool GreedyAnswers::are_finished() const {
  return std::all_of(questions_.begin(), questions_.end(),
                     [](const Question& q) { return q.is_finished; });
}

void GreedyAnswers::finish() {
  while (!are_finished()) {
    append();
    sequences_.read();
    take();
  }
}

}  // namespace dlm
