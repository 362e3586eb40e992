// Numbers, lines and times as text, compared with what Python's own functions say.
#include "doc/python_text.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "doc/code_blocks.h"
#include "doc/iso_time.h"

namespace dlm {
namespace {

TEST(PythonText, ParsesIntegers) {
  EXPECT_EQ(parse_python_int("16"), 16);
  EXPECT_EQ(parse_python_int(" +1_6 "), 16);
  EXPECT_EQ(parse_python_int("-9223372036854775808"), std::numeric_limits<int64_t>::min());
  for (const char* text :
       {"", " ", "1__6", "_1", "1_", "8.0", "+-1", "- 1", "0x1", "9223372036854775808"}) {
    EXPECT_EQ(parse_python_int(text), std::nullopt) << text;
  }
}

TEST(PythonText, ParsesFloats) {
  EXPECT_EQ(parse_python_float("3e-4"), 3e-4);
  EXPECT_EQ(parse_python_float(" .5 "), 0.5);
  EXPECT_EQ(parse_python_float("1_0.5"), 10.5);
  EXPECT_EQ(parse_python_float("-Infinity"), -INFINITY);
  EXPECT_EQ(parse_python_float("1e999"), INFINITY);
  EXPECT_EQ(parse_python_float("-1e-999"), 0.0);
  EXPECT_TRUE(std::isnan(*parse_python_float("NaN")));
  for (const char* text : {"", ".", "e5", "1e", "1e+", "0x1p3", "1 2", "infin", "1_.5"}) {
    EXPECT_EQ(parse_python_float(text), std::nullopt) << text;
  }
}

TEST(PythonText, FormatsFloatsAsPythonDoes) {
  const std::pair<double, const char*> cases[] = {{0.0, "0.0"},       {-0.0, "-0.0"},
                                                  {2e-4, "0.0002"},   {1e-5, "1e-05"},
                                                  {1000, "1000.0"},   {1e15, "1000000000000000.0"},
                                                  {1e16, "1e+16"},    {1.5e-7, "1.5e-07"},
                                                  {0.1, "0.1"},       {-12.25, "-12.25"},
                                                  {1e100, "1e+100"},  {INFINITY, "inf"},
                                                  {5e-324, "5e-324"}, {123456.789, "123456.789"},
                                                  {NAN, "nan"}};
  for (const auto& [value, text] : cases) EXPECT_EQ(format_python_float(value), text);
}

TEST(PythonText, ReadsBooleanWords) {
  EXPECT_EQ(parse_bool_word("OFF"), false);
  EXPECT_EQ(parse_bool_word("t"), true);
  EXPECT_EQ(parse_bool_word("2"), std::nullopt);
  EXPECT_EQ(parse_bool_word("enabled"), std::nullopt);
}

TEST(PythonText, SplitsLinesAsPythonDoes) {
  using Lines = std::vector<std::string_view>;
  EXPECT_EQ(split_python_lines(""), Lines{});
  EXPECT_EQ(split_python_lines("a\n"), Lines{"a"});
  EXPECT_EQ(split_python_lines("a\n\nb"), (Lines{"a", "", "b"}));
  EXPECT_EQ(split_python_lines("a\r\nb\rc\x0B"
                               "d\x0C"
                               "e\x1C"
                               "f\x1D"
                               "g\x1E"
                               "h"),
            (Lines{"a", "b", "c", "d", "e", "f", "g", "h"}));
  EXPECT_EQ(split_python_lines("a\xC2\x85"
                               "b\xE2\x80\xA8"
                               "c\xE2\x80\xA9"),
            (Lines{"a", "b", "c"}));
}

TEST(PythonText, ShowsControlCharactersInQuotes) {
  EXPECT_EQ(in_quotes("a\tb\n\x01"), "'a\\tb\\n\\x01'");
  EXPECT_EQ(in_quotes(std::string(101, 'x')), "'" + std::string(100, 'x') + "…'");
}

TEST(IsoTime, TakesWhatPythonTakes) {
  for (const char* text :
       {"2026-04-23", "20260423", "2026-W17", "2026-W17-4", "2026W174", "2024-02-29",
        "2026-04-23T20", "2026-04-23 20:00", "2026-04-23T20:00:00Z",
        "2026-04-23T20:00:00.123456+00:00", "20260423T200000+0530", "2026-04-23T20:00:00-05:30:10",
        "2020-W53", "2026-04-23Z"}) {
    EXPECT_TRUE(is_iso_time(text)) << text;
  }
}

TEST(IsoTime, RefusesWhatPythonRefuses) {
  for (const char* text :
       {"", "soon", "2026", "2026-13-01", "2025-02-29", "2026-0423", "202604-23", "2026-W54",
        "2021-W53", "2026-W17-8", "2026-04-23T", "2026-04-23T24", "2026-04-23T20:0000",
        "2026-04-23T20:00:00.", "2026-04-23T20:00+", "2026-04-23T20:00ZZ", "0000-01-01"}) {
    EXPECT_FALSE(is_iso_time(text)) << text;
  }
}

TEST(CodeBlocks, FollowCommonMark) {
  const auto lines_in_code = [](std::initializer_list<const char*> lines) {
    CodeBlockTracker tracker;
    std::string out;
    for (const char* line : lines) out += tracker.feed(line) ? 'c' : '.';
    return out + (tracker.is_open() ? "!" : "");
  };
  EXPECT_EQ(lines_in_code({"a", "```cpp", "b", "```", "c"}), ".ccc.");
  EXPECT_EQ(lines_in_code({"~~~", "```", "~~~~", "x"}), "ccc.");
  EXPECT_EQ(lines_in_code({"````", "```", "````  ", "x"}), "ccc.");
  EXPECT_EQ(lines_in_code({"```", "``` x", "```"}), "ccc");
  EXPECT_EQ(lines_in_code({"```a`", "``", "    ```", "x"}), "....");
  EXPECT_EQ(lines_in_code({"   ~~~ `a`", "x"}), "cc!");
}

}  // namespace
}  // namespace dlm
