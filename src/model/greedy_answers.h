// The likeliest answers to some prompts, side by side, faster where they are as one had guessed
// (speculative decoding, Leviathan et al. 2023, greedy). Up to rounding what generate() gives one
// after the other: several tokens in one pass are multiplied otherwise than one at a time, which
// may decide between two that are nearly equally likely.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/sequences.h"

namespace dlm {

class GreedyAnswers {
 public:
  // Both must outlive this.
  GreedyAnswers(Sequences& sequences, std::span<const int32_t> stop_tokens)
      : sequences_(sequences), stop_tokens_(stop_tokens) {}

  // `sequence` is empty and has room for the prompt, one token or more. An answer ends before a
  // stop token, after max_tokens, or where there is no room for what follows.
  void ask(size_t sequence, std::vector<int32_t> prompt, int64_t max_tokens);
  // What the model may say to the question-th prompt, from its first token on.
  void draft(size_t question, std::vector<int32_t> tokens);

  // Around a pass over the sequences, which may read others too: what it is to read of those that
  // go on, and what follows from it, for each a token or more.
  void append();
  void take();
  bool are_finished() const;
  // Passes until all answers are.
  void finish();

  struct Answer {
    std::vector<int32_t> tokens;  // without the stop token
    bool stopped = false;         // by a stop token
  };
  const Answer& answer(size_t question) const { return questions_[question].answer; }

 private:
  struct Question {
    size_t sequence = 0;
    std::vector<int32_t> text;  // prompt and answer
    int64_t num_prompt = 0;
    int64_t max_tokens = 0;
    std::vector<int32_t> draft;
    int64_t num_drafted = 0;  // tokens of it in the pass
    bool is_finished = false;
    Answer answer;
  };
  std::vector<int32_t> usable_draft(const Question& q) const;
  void take(Question& q, int32_t token);

  Sequences& sequences_;
  std::span<const int32_t> stop_tokens_;
  std::vector<Question> questions_;
};

}  // namespace dlm
