// Cuts texts into words by hand for the patterns that nearly all byte-level tokenizers use: those
// of GPT-2 and of cl100k (Llama 3, Qwen 2 and 3, SmolLM 3, OLMo 2), which differ in few places. A
// regular expression gives the same words at a third of the speed; other patterns are left to it.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace dlm {

// The split of GPT-2, which a ByteLevel step does when its use_regex is on.
inline constexpr std::string_view kByteLevelPattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

class WordScanner {
 public:
  // None when the pattern is not known letter for letter.
  static std::optional<WordScanner> for_pattern(std::string_view pattern);

  // The end of the word that begins at `at`, which is a place in `text`. The text is valid UTF-8;
  // the words follow each other without gaps.
  size_t end_of_word(std::string_view text, size_t at) const {
    return is_gpt2_ ? end_in_gpt2(text, at) : end_in_cl100k(text, at);
  }

 private:
  WordScanner(bool is_gpt2, size_t max_digits) : is_gpt2_(is_gpt2), max_digits_(max_digits) {}
  static size_t end_in_gpt2(std::string_view text, size_t at);
  size_t end_in_cl100k(std::string_view text, size_t at) const;

  bool is_gpt2_;
  size_t max_digits_;  // of one word in cl100k's split
};

}  // namespace dlm
