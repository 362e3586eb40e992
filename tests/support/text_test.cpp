// UTF-8, line ends, trimming and spelling suggestions, each with literal bytes.
#include "support/text.h"

#include <gtest/gtest.h>

namespace dlm {
namespace {

std::string fault_at(std::string_view bytes) {
  const auto fault = find_utf8_fault(bytes);
  if (!fault) return "none";
  return std::to_string(fault->byte_offset) + " " + fault->reason;
}

TEST(Text, AcceptsStrictUtf8) {
  EXPECT_EQ(fault_at(""), "none");
  EXPECT_EQ(fault_at("a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\xED\x9F\xBF\xF4\x8F\xBF\xBF"), "none");
}

TEST(Text, FindsTheFirstInvalidByte) {
  EXPECT_EQ(fault_at("ab\x80"), "2 unexpected continuation byte");
  EXPECT_EQ(fault_at("\xC0\xAF"), "0 overlong sequence");
  EXPECT_EQ(fault_at("x\xE0\x80\xAF"), "1 overlong sequence");
  EXPECT_EQ(fault_at("\xF0\x80\x80\xAF"), "0 overlong sequence");
  EXPECT_EQ(fault_at("\xED\xA0\x80"), "0 surrogate code point");
  EXPECT_EQ(fault_at("\xF4\x90\x80\x80"), "0 code point above U+10FFFF");
  EXPECT_EQ(fault_at("\xF8\x88\x80\x80"), "0 invalid start byte");
  EXPECT_EQ(fault_at("ok\xE2\x82"), "2 sequence is cut off");
  EXPECT_EQ(fault_at("\xE2z\xAC"), "0 missing continuation byte");
}

TEST(Text, DecodesInvalidBytesAsReplacementCharacters) {
  EXPECT_EQ(decode_utf8("a\xFF\xC3\xA9\xE2\x82"),
            (std::vector<uint32_t>{'a', 0xFFFD, 0xE9, 0xFFFD, 0xFFFD}));
}

TEST(Text, EncodesEveryLength) {
  std::string out;
  for (uint32_t point : {0x41u, 0xE9u, 0x20ACu, 0x1F600u, 0xD800u, 0x110000u}) {
    append_utf8(out, point);
  }
  EXPECT_EQ(out, "A\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\xEF\xBF\xBD\xEF\xBF\xBD");
}

TEST(Text, RoundTripsAllCodePoints) {
  for (uint32_t point = 0; point <= 0x10FFFF; ++point) {
    if (point >= 0xD800 && point < 0xE000) continue;
    std::string text;
    append_utf8(text, point);
    ASSERT_EQ(static_cast<size_t>(utf8_length(static_cast<unsigned char>(text[0]))), text.size());
    ASSERT_EQ(decode_utf8(text), std::vector<uint32_t>{point});
  }
}

TEST(Text, TellsLengthsFromFirstBytes) {
  EXPECT_EQ(utf8_length(0x80), 1);
  EXPECT_EQ(utf8_length(0xC1), 1);
  EXPECT_EQ(utf8_length(0xC2), 2);
  EXPECT_EQ(utf8_length(0xEF), 3);
  EXPECT_EQ(utf8_length(0xF4), 4);
  EXPECT_EQ(utf8_length(0xF5), 1);
}

TEST(Text, TurnsAllLineEndsIntoLf) {
  EXPECT_EQ(normalize_newlines("\xEF\xBB\xBF\xEF\xBB\xBF"
                               "a\r\nb\rc\n\r\r\nd\r"),
            "\xEF\xBB\xBF"
            "a\nb\nc\n\n\nd\n");
}

TEST(Text, TrimsUnicodeWhiteSpaceAtBothEnds) {
  EXPECT_EQ(trim(" \t\xC2\xA0\xE3\x80\x80 a b \xE2\x80\x83\x1C\n"), "a b");
  EXPECT_EQ(trim("\xE2\x80\x8B x"), "\xE2\x80\x8B x");  // zero width space is no white space
  EXPECT_EQ(trim(" \n "), "");
  EXPECT_EQ(trim("a\x80 "), "a\x80");
}

TEST(Text, KnowsTheWhiteSpaceOfPython) {
  std::vector<uint32_t> spaces;
  for (uint32_t point = 0; point <= 0x10FFFF; ++point) {
    if (is_unicode_space(point)) spaces.push_back(point);
  }
  EXPECT_EQ(spaces,
            (std::vector<uint32_t>{0x9,    0xA,    0xB,    0xC,    0xD,    0x1C,   0x1D,   0x1E,
                                   0x1F,   0x20,   0x85,   0xA0,   0x1680, 0x2000, 0x2001, 0x2002,
                                   0x2003, 0x2004, 0x2005, 0x2006, 0x2007, 0x2008, 0x2009, 0x200A,
                                   0x2028, 0x2029, 0x202F, 0x205F, 0x3000}));
}

TEST(Text, SplitsAndJoins) {
  EXPECT_EQ(split("a,,b,", ','), (std::vector<std::string_view>{"a", "", "b", ""}));
  EXPECT_EQ(split("", ','), (std::vector<std::string_view>{""}));
  EXPECT_EQ(join({"a", "", "b"}, ", "), "a, , b");
  EXPECT_EQ(join({}, ","), "");
  EXPECT_EQ(lower_ascii("AbÉ"), "abÉ");
}

TEST(Text, SuggestsLikelyMisspellings) {
  const std::vector<std::string> commands = {"train", "prompt", "export", "show"};
  EXPECT_EQ(nearest_word("trian", commands), "train");
  EXPECT_EQ(nearest_word("promt", commands), "prompt");
  EXPECT_EQ(nearest_word("expport", commands), "export");
  EXPECT_EQ(nearest_word("shwo", commands), "show");
  EXPECT_EQ(nearest_word("banana", commands), std::nullopt);
  EXPECT_EQ(nearest_word("ab", {"cd"}), std::nullopt);
  EXPECT_EQ(nearest_word("rank", {"bank", "tank"}), "bank");
}

}  // namespace
}  // namespace dlm
