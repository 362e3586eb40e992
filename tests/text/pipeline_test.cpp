// The parts of the pipeline alone: regular expressions, byte alphabet, normalizers, pre-tokenizers,
// decoders.
#include <gtest/gtest.h>

#include "text/byte_alphabet.h"
#include "text/decoder.h"
#include "text/normalizer.h"
#include "text/pre_tokenizer.h"
#include "text/regex.h"
#include "text/small_tokenizer.h"

namespace dlm {
namespace {

using Words = std::vector<std::string>;

Words matches(const std::string& pattern, const std::string& text) {
  const Regex regex = Regex::compile(pattern);
  Regex::Walk walk(regex, text);
  Words found;
  while (const auto match = walk.next()) {
    found.push_back(text.substr(match->begin, match->end - match->begin));
  }
  return found;
}

TEST(Regex, FindsUnicodeClasses) {
  EXPECT_EQ(matches("\\p{L}+", "aé你 1b"), (Words{"aé你", "b"}));
  EXPECT_EQ(matches("(?i:'S)", "it's I'S"), (Words{"'s", "'S"}));
  EXPECT_EQ(matches("\\s+(?!\\S)|\\s+", "a  b "), (Words{" ", " ", " "}));
}

TEST(Regex, ReadsLettersAsOnigurumaDoes) {
  EXPECT_EQ(matches("\\h+", "xyz1aFg"), (Words{"1aF"}));
  EXPECT_EQ(matches("[\\h]+", "xyz1aFg"), (Words{"1aF"}));
  // U+180E is no white space, U+0085 is.
  EXPECT_EQ(matches("\\s", "\u180E\u0085"), (Words{"\u0085"}));
  EXPECT_EQ(matches("[^\\s]", "\u180E\u0085"), (Words{"\u180E"}));
  EXPECT_EQ(matches("\\S", "\u3000x"), (Words{"x"}));
  // A combining mark and a connector belong to words.
  EXPECT_EQ(matches("\\w+", "e\u0301\u203Fa b"), (Words{"e\u0301\u203Fa", "b"}));
  EXPECT_EQ(matches("\\W", "a-b"), (Words{"-"}));
}

TEST(Regex, WalksOverEmptyMatches) {
  EXPECT_EQ(matches("a*", "baaé"), (Words{"", "aa", "", ""}));
  EXPECT_EQ(matches("x", ""), Words{});
}

TEST(Regex, RefusesPatternsThatItCannotRun) {
  expect_format_error([] { Regex::compile("[a"); },
                      "the regular expression \"[a\" cannot be compiled: missing terminating ] for "
                      "character class");
  expect_format_error([] { Regex::compile(std::string(70'000, 'a')); },
                      "the regular expression is longer than 64 KiB");
}

TEST(ByteAlphabet, MovesBytesThatDoNotPrint) {
  EXPECT_EQ(to_byte_characters("a b\n\xFF"), "aĠbĊÿ");
  EXPECT_EQ(to_byte_characters(std::string_view("\0\xAD", 2)), "ĀŃ");
  EXPECT_EQ(byte_to_character().size(), 256u);
}

TEST(ByteAlphabet, ReadsEveryByteBack) {
  std::string all, back;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  append_bytes_of(to_byte_characters(all), back);
  EXPECT_EQ(back, all);
}

TEST(ByteAlphabet, KeepsTokensOutsideOfTheAlphabet) {
  std::string out = "x";
  append_bytes_of("Ġ你", out);
  append_bytes_of("a b", out);  // a blank is no character of the alphabet
  append_bytes_of("ń", out);    // U+0144, the first one behind it
  EXPECT_EQ(out, "xĠ你a bń");
}

TEST(Utf8Repair, ReplacesMaximalParts) {
  EXPECT_EQ(to_valid_utf8("ok é"), "ok é");
  EXPECT_EQ(to_valid_utf8("a\xFFz"), "a\uFFFDz");
  EXPECT_EQ(to_valid_utf8("\xE4\xBD z"), "\uFFFD z");              // one part
  EXPECT_EQ(to_valid_utf8("\xED\xA0\x80"), "\uFFFD\uFFFD\uFFFD");  // a surrogate: three parts
  EXPECT_EQ(to_valid_utf8("\xF0\x9F\x98"), "\uFFFD");
  EXPECT_EQ(to_valid_utf8("\xC0\x80"), "\uFFFD\uFFFD");                      // overlong
  EXPECT_EQ(to_valid_utf8("\xF4\x90\x80\x80"), "\uFFFD\uFFFD\uFFFD\uFFFD");  // above U+10FFFF
}

TEST(Utf8Repair, MeasuresIncompleteTails) {
  EXPECT_EQ(incomplete_utf8_tail(""), 0u);
  EXPECT_EQ(incomplete_utf8_tail("aé"), 0u);
  EXPECT_EQ(incomplete_utf8_tail("a\xC3"), 1u);
  EXPECT_EQ(incomplete_utf8_tail("\xF0\x9F\x98"), 3u);
  EXPECT_EQ(incomplete_utf8_tail("\xF0\x9F\x98\x80"), 0u);
  EXPECT_EQ(incomplete_utf8_tail("\xED\xA0"), 0u);  // can no longer become a character
  EXPECT_EQ(incomplete_utf8_tail("\x80\x80\x80\x80"), 0u);
}

std::string normalize(const std::string& json, const std::string& text) {
  return Normalizer::from_json(parse_json(json)).apply(text);
}

TEST(Normalizer, AppliesUnicodeNormalForms) {
  EXPECT_EQ(normalize(R"({"type": "NFC"})", "e\u0301 ﬁ"), "é ﬁ");
  EXPECT_EQ(normalize(R"({"type": "NFD"})", "é"), "e\u0301");
  EXPECT_EQ(normalize(R"({"type": "NFKC"})", "ﬁ e\u0301"), "fi é");
  EXPECT_EQ(normalize(R"({"type": "NFKD"})", "ﬁ é"), "fi e\u0301");
  EXPECT_EQ(normalize(R"({"type": "NFC"})", "\u1100\u1161"), "가");
}

TEST(Normalizer, PrependsReplacesAndStrips) {
  EXPECT_EQ(normalize(R"({"type": "Prepend", "prepend": "_"})", "a"), "_a");
  EXPECT_EQ(normalize(R"({"type": "Prepend", "prepend": "_"})", ""), "");
  EXPECT_EQ(
      normalize(R"({"type": "Replace", "pattern": {"String": "aa"}, "content": "b"})", "aaaa a"),
      "bb a");
  EXPECT_EQ(
      normalize(R"({"type": "Replace", "pattern": {"Regex": "a+"}, "content": "b"})", "aaa ca"),
      "b cb");
  EXPECT_EQ(normalize(R"({"type": "Strip", "strip_left": true, "strip_right": false})", "  a "),
            "a ");
  EXPECT_EQ(normalize(R"({"type": "Strip", "strip_left": false, "strip_right": true})", " a  "),
            " a");
  EXPECT_EQ(normalize(R"({"type": "Strip"})", "   "), "");
  EXPECT_EQ(normalize("null", "a"), "a");
}

Words split_words(const std::string& json, const std::string& text) {
  Words words;
  PreTokenizer::from_json(parse_json(json)).split(text, true, [&](std::string_view word) {
    words.emplace_back(word);
  });
  return words;
}

std::string split_json(const std::string& behavior, bool invert = false) {
  return R"({"type": "Split", "pattern": {"String": "-"}, "behavior": ")" + behavior +
         (invert ? R"(", "invert": true})" : R"("})");
}

TEST(PreTokenizer, SplitsWithEveryBehavior) {
  const std::string text = "-the-final--countdown-";
  EXPECT_EQ(split_words(split_json("Removed"), text), (Words{"the", "final", "countdown"}));
  EXPECT_EQ(split_words(split_json("Isolated"), text),
            (Words{"-", "the", "-", "final", "-", "-", "countdown", "-"}));
  EXPECT_EQ(split_words(split_json("Contiguous"), text),
            (Words{"-", "the", "-", "final", "--", "countdown", "-"}));
  EXPECT_EQ(split_words(split_json("MergedWithPrevious"), text),
            (Words{"-", "the-", "final-", "-", "countdown-"}));
  EXPECT_EQ(split_words(split_json("MergedWithNext"), text),
            (Words{"-the", "-final", "-", "-countdown", "-"}));
  EXPECT_EQ(split_words(split_json("Removed", true), text), (Words{"-", "-", "-", "-", "-"}));
}

TEST(PreTokenizer, SplitsDigitsAndPunctuation) {
  EXPECT_EQ(split_words(R"({"type": "Digits", "individual_digits": true})", "a12½b"),
            (Words{"a", "1", "2", "½", "b"}));
  EXPECT_EQ(split_words(R"({"type": "Digits", "individual_digits": false})", "a12½b"),
            (Words{"a", "12½", "b"}));
  EXPECT_EQ(split_words(R"({"type": "Punctuation"})", "a.,b$「"),
            (Words{"a", ".", ",", "b", "$", "「"}));
  EXPECT_EQ(split_words(R"({"type": "Punctuation", "behavior": "Contiguous"})", "a.,b"),
            (Words{"a", ".,", "b"}));
  EXPECT_EQ(split_words(R"({"type": "Whitespace"})", "it's  me"), (Words{"it", "'", "s", "me"}));
  EXPECT_EQ(split_words(R"({"type": "WhitespaceSplit"})", " it's  me"), (Words{"it's", "me"}));
}

TEST(PreTokenizer, SplitsAsByteLevelDoes) {
  const std::string byte_level = R"({"type": "ByteLevel", "add_prefix_space": false})";
  EXPECT_EQ(split_words(byte_level, "I'm  here, 12!"),
            (Words{"I", "'m", " ", " here", ",", " 12", "!"}));
  EXPECT_EQ(split_words(R"({"type": "ByteLevel", "use_regex": false})", "a b"), (Words{" a b"}));
  EXPECT_EQ(split_words(R"({"type": "ByteLevel"})", " a"), (Words{" a"}));
}

TEST(PreTokenizer, ShowsLaterStepsTheByteCharacters) {
  EXPECT_EQ(split_words(R"({"type": "Sequence", "pretokenizers": [
              {"type": "ByteLevel", "add_prefix_space": false},
              {"type": "Split", "pattern": {"String": "Ġ"}, "behavior": "Isolated"}]})",
                        "a é"),
            (Words{"a", "Ġ", "Ã©"}));
}

TEST(PreTokenizer, MarksSpacesAsMetaspaceDoes) {
  EXPECT_EQ(split_words(R"({"type": "Metaspace"})", "a  b"), (Words{"▁a", "▁", "▁b"}));
  EXPECT_EQ(split_words(R"({"type": "Metaspace", "prepend_scheme": "never"})", "a b"),
            (Words{"a", "▁b"}));
  EXPECT_EQ(split_words(R"({"type": "Metaspace", "split": false})", "a b"), (Words{"▁a▁b"}));
  EXPECT_EQ(split_words(R"({"type": "Metaspace", "add_prefix_space": false})", "a"), (Words{"a"}));
}

TEST(PreTokenizer, PrependsOnlyAtTheStartWhenAsked) {
  const Tokenizer tokenizer =
      make_tokenizer(R"({"vocab": {"a": 0, "▁": 1, "▁a": 2}, "merges": ["▁ a"]})",
                     R"("pre_tokenizer": {"type": "Metaspace", "prepend_scheme": "first"},
         "added_tokens": [{"id": 3, "content": "<x>", "normalized": false}])");
  EXPECT_EQ(tokenizer.encode("a<x>a", false), (Ids{2, 3, 0}));
}

std::string decode(const std::string& json, Words tokens) {
  return Decoder::from_json(parse_json(json)).decode(std::move(tokens));
}

TEST(Decoder, JoinsBytes) {
  EXPECT_EQ(decode(R"({"type": "ByteLevel"})", {"Ġa", "Ã", "©", "<x y>"}), " aé<x y>");
  EXPECT_EQ(decode(R"({"type": "ByteFallback"})", {"<0xC3>", "<0xa9>", "a", "<0xC3>", "b"}),
            "éa\uFFFDb");
  EXPECT_EQ(decode(R"({"type": "ByteFallback"})", {"<0xZZ>", "<0x41"}), "<0xZZ><0x41");
}

TEST(Decoder, ReplacesStripsAndFuses) {
  EXPECT_EQ(
      decode(R"({"type": "Replace", "pattern": {"Regex": "[ab]"}, "content": "-"})", {"a", "cb"}),
      "-c-");
  EXPECT_EQ(decode(R"({"type": "Strip", "content": "_", "start": 2, "stop": 1})", {"___a__", "_"}),
            "_a_");
  EXPECT_EQ(decode(R"({"type": "Sequence", "decoders": [{"type": "Fuse"},
                      {"type": "Strip", "content": " ", "start": 1, "stop": 0}]})",
                   {" a", " b"}),
            "a b");
  EXPECT_EQ(decode(R"({"type": "Metaspace"})", {"▁a", "▁b"}), "a b");
  EXPECT_EQ(decode(R"({"type": "Metaspace", "prepend_scheme": "never"})", {"▁a", "▁b"}), " a b");
  EXPECT_EQ(decode("null", {"a", "b"}), "a b");
}

}  // namespace
}  // namespace dlm
