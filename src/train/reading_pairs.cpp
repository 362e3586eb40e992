#include "train/reading_pairs.h"

#include <algorithm>
#include <iterator>
#include <vector>

#include "support/text.h"

namespace dlm {

namespace {

constexpr std::string_view kVerbs[] = {"said",     "cried",     "asked",   "replied",
                                       "answered", "whispered", "shouted", "exclaimed"};

bool is_upper(char c) {
  return c >= 'A' && c <= 'Z';
}
bool is_letter(char c) {
  return is_upper(c) || (c >= 'a' && c <= 'z');
}

struct Speech {
  std::string words;
  std::string speaker;
};

// `the King`, `Alice`, `Mr. Holmes`: an article and one word, or up to three capitalised words.
std::string speaker_at(std::string_view text) {
  std::string name;
  size_t at = 0;
  for (int taken = 0; taken < 3; ++taken) {
    size_t end = at;
    while (end < text.size() && (is_letter(text[end]) || text[end] == '-')) ++end;
    if (end == at) break;
    std::string word(text.substr(at, end - at));
    const bool is_article = taken == 0 && (word == "the" || word == "his" || word == "her");
    const bool follows_article = taken == 1 && !is_upper(name.front());
    if (!is_article && !follows_article && !is_upper(word.front())) break;
    const bool is_title = word == "Mr" || word == "Mrs" || word == "Dr" || word == "St";
    if (is_title && end < text.size() && text[end] == '.') {
      word += '.';
      ++end;
    }
    name += (name.empty() ? "" : " ") + word;
    if (follows_article || end >= text.size() || text[end] != ' ') break;
    at = end + 1;
  }
  const bool is_pronoun = name == "He" || name == "She" || name == "They" || name == "I";
  const bool lone_article = name == "the" || name == "his" || name == "her";
  return is_pronoun || lone_article ? std::string() : name;
}

// The first passage in quotes that a verb of speech and a speaker follow.
std::optional<Speech> find_speech(std::string_view text) {
  for (size_t open = text.find('"'); open != std::string_view::npos;) {
    const size_t close = text.find('"', open + 1);
    if (close == std::string_view::npos) return std::nullopt;
    for (const std::string_view verb : kVerbs) {
      const std::string link = " " + std::string(verb) + " ";
      if (!text.substr(close + 1).starts_with(link)) continue;
      Speech speech{std::string(trim(text.substr(open + 1, close - open - 1))),
                    speaker_at(text.substr(close + 1 + link.size()))};
      if (speech.speaker.empty() || speech.words.size() < 4) break;
      if (speech.words.back() == ',') speech.words.back() = '.';
      return speech;
    }
    open = text.find('"', close + 1);
  }
  return std::nullopt;
}

// Words of letters with their places.
std::vector<std::string_view> words_of(std::string_view text) {
  std::vector<std::string_view> words;
  for (size_t at = 0; at < text.size();) {
    size_t end = at;
    while (end < text.size() && (is_letter(text[end]) || text[end] == '\'' || text[end] == '-')) {
      ++end;
    }
    if (end > at) words.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return words;
}

}  // namespace

std::optional<QuestionAnswer> speech_question(std::string_view paragraph, uint64_t draw) {
  if (paragraph.size() > 400) return std::nullopt;
  const auto speech = find_speech(paragraph);
  if (!speech) return std::nullopt;
  const std::string passage(paragraph);
  if (draw % 2 == 0) return QuestionAnswer{passage + "\nWho is speaking?", speech->speaker + "."};
  return QuestionAnswer{passage + "\nWhat did " + speech->speaker + " say?", speech->words};
}

std::optional<QuestionAnswer> sentence_question(std::string_view sentence, uint64_t draw) {
  if (sentence.size() < 40 || sentence.size() > 200) return std::nullopt;
  if (sentence.find('"') != std::string_view::npos) return std::nullopt;
  const std::vector<std::string_view> words = words_of(sentence);
  if (words.size() < 6) return std::nullopt;
  const std::string whole(sentence);
  switch (draw % 4) {
    case 0: {
      const auto half = static_cast<size_t>(words[words.size() / 2].data() - sentence.data());
      return QuestionAnswer{"Finish this sentence: " + std::string(trim(sentence.substr(0, half))),
                            std::string(sentence.substr(half))};
    }
    case 1:
      return QuestionAnswer{"What is the first word of this sentence? " + whole,
                            std::string(words.front()) + "."};
    case 2:
      return QuestionAnswer{"What is the last word of this sentence? " + whole,
                            std::string(words.back()) + "."};
    default: {
      const auto longest = *std::max_element(
          words.begin(), words.end(),
          [](std::string_view a, std::string_view b) { return a.size() < b.size(); });
      const auto at = static_cast<size_t>(longest.data() - sentence.data());
      return QuestionAnswer{"Which word is missing? " + whole.substr(0, at) + "___" +
                                whole.substr(at + longest.size()),
                            std::string(longest) + "."};
    }
  }
}

}  // namespace dlm
