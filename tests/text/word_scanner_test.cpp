// The hand-written split against the same patterns run by PCRE2.
#include "text/word_scanner.h"

#include <gtest/gtest.h>

#include "support/text.h"
#include "text/regex.h"

namespace dlm {
namespace {

constexpr std::string_view kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kPatterns[] = {kByteLevelPattern, kLlama3, kQwen2};

using Words = std::vector<std::string>;

Words scan(std::string_view pattern, std::string_view text) {
  const auto scanner = WordScanner::for_pattern(pattern);
  EXPECT_TRUE(scanner.has_value());
  Words words;
  for (size_t at = 0; at < text.size();) {
    const size_t end = scanner->end_of_word(text, at);
    EXPECT_GT(end, at);
    words.emplace_back(text.substr(at, end - at));
    at = end;
  }
  return words;
}

Words match(const Regex& regex, std::string_view text) {
  Words words;
  size_t done = 0;
  Regex::Walk walk(regex, text);
  while (const auto found = walk.next()) {
    EXPECT_EQ(found->begin, done);
    words.emplace_back(text.substr(found->begin, found->end - found->begin));
    done = found->end;
  }
  EXPECT_EQ(done, text.size());
  return words;
}

// PCRE2 and utf8proc may know different versions of Unicode; what one of them does not know is not
// compared. (The scanner knows what utf8proc knows.)
bool is_known_to_both(const Regex& unassigned, uint32_t code_point) {
  std::string text;
  append_utf8(text, code_point);
  return !Regex::Walk(unassigned, text).next();
}

TEST(WordScanner, SplitsAsGpt2) {
  EXPECT_EQ(scan(kByteLevelPattern, "I'm  here's\n\n 42 cats' 'S it's..\t x  "),
            (Words{"I", "'m", " ", " here", "'s", "\n\n", " 42", " cats", "'", " '", "S", " it",
                   "'s", "..", "\t", " x", "  "}));
}

TEST(WordScanner, SplitsAsLlama3) {
  EXPECT_EQ(scan(kLlama3, "I'M  here's\n\n 12345 \"cats\" !?\n\n  x\t\n  y _z  "),
            (Words{"I",  "'M",      " ", " here", "'s",   "\n\n", " ",  "123", "45", " \"", "cats",
                   "\"", " !?\n\n", " ", " x",    "\t\n", " ",    " y", " _",  "z",  "  "}));
}

TEST(WordScanner, TakesSingleDigitsAsQwen2) {
  EXPECT_EQ(scan(kQwen2, "a 123"), (Words{"a", " ", "1", "2", "3"}));
}

TEST(WordScanner, LeavesOtherPatternsToTheRegex) {
  EXPECT_FALSE(WordScanner::for_pattern("\\s+"));
  EXPECT_FALSE(WordScanner::for_pattern(std::string(kByteLevelPattern) + "|x"));
}

// Every sequence of three of these, and what Unicode makes hard: folding, marks, wide blanks.
TEST(WordScanner, AgreesWithTheRegexOnShortTexts) {
  const std::vector<std::string> parts = {
      " ", "\n", "\r", "\t",     "a",      "S",      "'",         "l",      "r",
      "e", "7",  ".",  "\u00A0", "\u017F", "\u0301", "\u3000",    "\u00E9", "\u0663",
      "v", "D",  "_",  "\u4F60", "\u2028", "\u212A", "\U0001D7D8"};
  for (const std::string_view pattern : kPatterns) {
    const Regex regex = Regex::compile(pattern);
    for (size_t i = 0; i < parts.size() * parts.size() * parts.size(); ++i) {
      std::string text;
      for (size_t left = i, n = 0; n < 3; ++n, left /= parts.size()) {
        text += parts[left % parts.size()];
      }
      ASSERT_EQ(scan(pattern, text), match(regex, text)) << '"' << text << '"';
    }
  }
}

// Every assigned code point by itself, between letters, digits, blanks and marks.
TEST(WordScanner, AgreesWithTheRegexOnAllOfUnicode) {
  const Regex unassigned = Regex::compile("\\p{Cn}");
  const Regex regex = Regex::compile(kLlama3);
  for (uint32_t c = 0; c < 0x110000; ++c) {
    if ((c >= 0xD800 && c < 0xE000) || !is_known_to_both(unassigned, c)) continue;
    std::string text;
    for (const char* neighbour : {"a", "1", " ", "."}) {
      text += neighbour;
      append_utf8(text, c);
    }
    ASSERT_EQ(scan(kLlama3, text), match(regex, text)) << "U+" << std::hex << c;
  }
}

// Long texts of random characters, most of them common ones.
TEST(WordScanner, AgreesWithTheRegexOnRandomTexts) {
  const Regex unassigned = Regex::compile("\\p{Cn}");
  uint64_t state = 1;
  const auto random = [&](uint32_t below) {  // a linear congruential generator (Knuth's MMIX)
    state = state * 6364136223846793005u + 1442695040888963407u;
    return static_cast<uint32_t>((state >> 33) % below);
  };
  constexpr std::string_view kCommon = " \n\t\r''stremvldSTLeio019.,-";
  for (const std::string_view pattern : kPatterns) {
    const Regex regex = Regex::compile(pattern);
    for (int round = 0; round < 500; ++round) {
      std::string text;
      for (uint32_t length = random(400); length > 0; --length) {
        if (random(4) > 0) {
          text += kCommon[random(kCommon.size())];
          continue;
        }
        const uint32_t c = random(3) == 0 ? random(0x110000) : random(0x3100);
        const bool is_surrogate = c >= 0xD800 && c < 0xE000;
        if (!is_surrogate && is_known_to_both(unassigned, c)) append_utf8(text, c);
      }
      ASSERT_EQ(scan(pattern, text), match(regex, text)) << text;
    }
  }
}

}  // namespace
}  // namespace dlm
