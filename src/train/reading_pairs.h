// Questions about a passage whose answers stand in it, found by rule: who speaks, what is said, how
// a sentence ends, which word is first, last or missing. They teach a small base to look at what it
// was asked.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace dlm {

struct QuestionAnswer {
  std::string question;
  std::string answer;
};

// Of a paragraph like `"Come in," said the King.`, of at most 400 bytes: who speaks or what they
// say. Nothing where no speaker is named.
std::optional<QuestionAnswer> speech_question(std::string_view paragraph, uint64_t draw);

// Of one sentence of 40 to 200 bytes: its end, its first or last word, or a word left out.
std::optional<QuestionAnswer> sentence_question(std::string_view sentence, uint64_t draw);

}  // namespace dlm
