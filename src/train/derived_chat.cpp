#include "train/derived_chat.h"

#include <algorithm>
#include <cstdint>
#include <optional>

#include "engine/random.h"
#include "support/text.h"
#include "train/reading_pairs.h"

namespace dlm {

namespace {

constexpr std::string_view kSystemPrompts[] = {
    "You are a helpful assistant.", "You are a kind and patient storyteller.", "Answer briefly.",
    "You are a careful teacher. Answer in one or two sentences."};

std::string turn(std::string_view role, std::string_view text) {
  return "<|im_start|>" + std::string(role) + "\n" + std::string(text) + "<|im_end|>\n";
}

// The first quoted passage of a paragraph, when it has from min to max bytes; a closing comma, as
// in "Yes," said he, becomes a full stop.
std::optional<std::string> first_quote(std::string_view line, size_t min, size_t max) {
  const size_t open = line.find('"');
  if (open == std::string_view::npos) return std::nullopt;
  const size_t close = line.find('"', open + 1);
  if (close == std::string_view::npos) return std::nullopt;
  std::string text(trim(line.substr(open + 1, close - open - 1)));
  if (text.size() < min || text.size() > max) return std::nullopt;
  if (text.back() == ',') text.back() = '.';
  const char end = text.back();
  if (end != '.' && end != '!' && end != '?') return std::nullopt;
  return text;
}

bool ends_sentence(std::string_view line, size_t i) {
  if (line[i] != '.' && line[i] != '!' && line[i] != '?') return false;
  if (i + 2 >= line.size() || line[i + 1] != ' ') return false;
  const char next = line[i + 2];
  if (next < 'A' || next > 'Z') return false;
  // "Mr. Smith", "J. Smith": a capital letter or a short title before the full stop.
  size_t start = i;
  while (start > 0 && line[start - 1] != ' ') --start;
  return i - start > 3;
}

std::vector<std::string> sentences(std::string_view line) {
  std::vector<std::string> out;
  size_t begin = 0;
  for (size_t i = 0; i < line.size(); ++i) {
    if (!ends_sentence(line, i)) continue;
    out.emplace_back(trim(line.substr(begin, i + 1 - begin)));
    begin = i + 1;
  }
  if (begin < line.size()) out.emplace_back(trim(line.substr(begin)));
  return out;
}

std::string header(std::string_view document, std::string_view key) {
  const std::string prefix = std::string(key) + ": ";
  const size_t at = document.substr(0, 2000).find(prefix);
  if (at == std::string_view::npos) return {};
  const size_t begin = at + prefix.size();
  return std::string(trim(document.substr(begin, document.find('\n', begin) - begin)));
}

class Deriver {
 public:
  explicit Deriver(std::string_view document) {
    for (const std::string_view line : split(document, '\n')) {
      const std::string_view text = trim(line);
      if (!text.empty()) lines_.push_back(text);
    }
    title_ = header(document, "Title");
    author_ = header(document, "Author");
    year_ = header(document, "Year");
  }

  std::vector<std::string> rows() {
    add_title_pairs();
    for (size_t i = 0; i < lines_.size(); ++i) {
      add_dialogue(i);
      add_continuation(i);
      add_story(i);
      add_reading(i);
    }
    return std::move(rows_);
  }

 private:
  uint64_t draw(uint64_t modulus) { return mix64(++counter_ * 0x2545f4914f6cdd1dULL) % modulus; }

  void emit(const QuestionAnswer& pair) {
    // One row in eight has two turns.
    if (draw(8) == 0 && !pending_) {
      pending_ = pair;
      return;
    }
    std::string text;
    if (draw(4) == 0) text += turn("system", kSystemPrompts[draw(std::size(kSystemPrompts))]);
    if (pending_) {
      text += turn("user", pending_->question) + turn("assistant", pending_->answer);
      pending_.reset();
    }
    text += turn("user", pair.question) + turn("assistant", pair.answer) + "<|endoftext|>";
    rows_.push_back(std::move(text));
  }

  void add_title_pairs() {
    if (title_.empty() || author_.empty()) return;
    emit({"Who wrote " + title_ + "?", author_ + " wrote " + title_ + "."});
    emit({"What did " + author_ + " write?", author_ + " wrote " + title_ + "."});
    if (!year_.empty())
      emit({"When was " + title_ + " written?", "It was written in " + year_ + "."});
  }

  void add_dialogue(size_t i) {
    if (i + 1 >= lines_.size() || lines_[i + 1].front() != '"') return;
    const auto question = first_quote(lines_[i], 12, 200);
    const auto answer = first_quote(lines_[i + 1], 6, 260);
    if (!question || !answer || question->back() != '?') return;
    emit({*question, *answer});
  }

  void add_continuation(size_t i) {
    if (lines_[i].size() < 160 || lines_[i].find('"') != std::string_view::npos || draw(12) != 0)
      return;
    const std::vector<std::string> parts = sentences(lines_[i]);
    if (parts.size() < 2 || parts[0].size() > 220 || parts[1].size() > 260) return;
    static constexpr std::string_view kAsk[] = {
        "What happens next? ", "Continue the story: ", "Go on: ", "What comes after this? "};
    if (draw(6) == 0) {
      emit({"Say this again: " + parts[0], parts[0]});
    } else {
      emit({std::string(kAsk[draw(std::size(kAsk))]) + parts[0], parts[1]});
    }
  }

  void add_story(size_t i) {
    const std::string_view line = lines_[i];
    if (!line.starts_with("Once ") && !line.starts_with("There was ") &&
        !line.starts_with("There were ") && !line.starts_with("There lived ")) {
      return;
    }
    const std::vector<std::string> parts = sentences(line);
    std::string story;
    for (const std::string& part : parts) {
      if (story.size() + part.size() > 420) break;
      story += (story.empty() ? "" : " ") + part;
    }
    if (story.size() < 60) return;
    static constexpr std::string_view kAsk[] = {
        "Tell me a story.", "Tell me a tale.", "Please tell me a short story.",
        "Do you know a story?", "How does the story begin?"};
    emit({std::string(kAsk[draw(std::size(kAsk))]), story});
  }

  void add_reading(size_t i) {
    if (const auto pair = draw(2) == 0 ? speech_question(lines_[i], draw(2)) : std::nullopt) {
      emit(*pair);
    } else if (draw(8) == 0) {
      const std::vector<std::string> parts = sentences(lines_[i]);
      if (const auto one = sentence_question(parts[draw(parts.size())], draw(4))) emit(*one);
    }
  }

  std::vector<std::string_view> lines_;
  std::string title_;
  std::string author_;
  std::string year_;
  uint64_t counter_ = 0;
  std::optional<QuestionAnswer> pending_;
  std::vector<std::string> rows_;
};

}  // namespace

std::vector<std::string> derive_chat_rows(std::string_view document) {
  return Deriver(document).rows();
}

}  // namespace dlm
