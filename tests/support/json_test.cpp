// JSON in and out: exact texts, exact messages with places, and the caps that keep outside data
// small.
#include "support/json.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "support/error.h"

namespace dlm {
namespace {

std::string parse_fault(std::string_view text, const JsonLimits& limits = {}) {
  try {
    parse_json(text, "x.json", limits);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kFormat);
    return error.what();
  }
  return "no error";
}

template <typename Call>
std::string fault(Call call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(Json, KeepsTheOrderOfKeysAndWritesOneLineWithoutBlanks) {
  const Json json = parse_json(R"( {"b": [1, 2.5, "x", null, true], "a": {} } )");
  EXPECT_EQ(json.dump(), R"({"b":[1,2.5,"x",null,true],"a":{}})");
  EXPECT_EQ(json.dump_sorted(-1), R"({"a":{},"b":[1,2.5,"x",null,true]})");
}

TEST(Json, IndentsAsPythonDoes) {
  const Json json = parse_json(R"({"b":[],"a":{"z":[1,2],"y":{}}})");
  EXPECT_EQ(json.dump_sorted(2),
            "{\n  \"a\": {\n    \"y\": {},\n    \"z\": [\n      1,\n      2\n    ]\n  },\n"
            "  \"b\": []\n}");
}

TEST(Json, WritesDoublesInTheShortestFormThatReadsBackEqual) {
  // Expected texts are those of Python 3's json.dumps.
  const std::pair<double, const char*> cases[] = {
      {1.0, "1.0"},
      {0.0, "0.0"},
      {-0.0, "-0.0"},
      {0.1, "0.1"},
      {2e-4, "0.0002"},
      {5e-6, "5e-06"},
      {1e-5, "1e-05"},
      {1.5e-7, "1.5e-07"},
      {100000.0, "100000.0"},
      {123456.75, "123456.75"},
      {1e15, "1000000000000000.0"},
      {1e16, "1e+16"},
      {1.25e22, "1.25e+22"},
      {1e100, "1e+100"},
      {5e-324, "5e-324"},
      {1.7976931348623157e308, "1.7976931348623157e+308"},
      {0.30000000000000004, "0.30000000000000004"},
      {-12.5, "-12.5"},
      {9007199254740993.0, "9007199254740992.0"},
  };
  for (const auto& [value, text] : cases) EXPECT_EQ(Json(value).dump(), text);
}

TEST(Json, WritesNoWordsForNumbersThatAreNotFinite) {
  EXPECT_EQ(Json(std::nan("")).dump(), "null");
  EXPECT_EQ(Json(-std::numeric_limits<double>::infinity()).dump(), "null");
}

TEST(Json, KeepsIntegersExactIn64Bits) {
  EXPECT_EQ(parse_json("9223372036854775807").as_int(), std::numeric_limits<int64_t>::max());
  EXPECT_EQ(parse_json("-9223372036854775808").as_int(), std::numeric_limits<int64_t>::min());
  EXPECT_EQ(parse_json("9223372036854775808").type(), Json::Type::kDouble);
  EXPECT_EQ(Json(uint64_t{1} << 63).dump(), "9.223372036854776e+18");
  EXPECT_EQ(parse_json("1.0").type(), Json::Type::kDouble);
}

TEST(Json, EscapesControlsAlwaysAndOthersWhenAsciiIsAsked) {
  const Json json("a\"\\\b\f\n\r\t\x01/\x7F\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80");
  EXPECT_EQ(json.dump(),
            "\"a\\\"\\\\\\b\\f\\n\\r\\t\\u0001/\x7F\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\"");
  EXPECT_EQ(json.dump(-1, true),
            "\"a\\\"\\\\\\b\\f\\n\\r\\t\\u0001/\\u007f\\u00e9\\u20ac\\ud83d\\ude00\"");
}

TEST(Json, WritesInvalidUtf8AsReplacementCharacters) {
  EXPECT_EQ(Json("a\xFF\xC3").dump(-1, true), "\"a\\ufffd\\ufffd\"");
  EXPECT_EQ(Json("\xE2\x82z").dump(), "\"\xEF\xBF\xBD\xEF\xBF\xBDz\"");
}

TEST(Json, ReadsSurrogatePairsAndEscapes) {
  EXPECT_EQ(parse_json("\"\\ud83d\\ude00\\u00e9\\/\"").as_string(), "\xF0\x9F\x98\x80\xC3\xA9/");
}

TEST(Json, TheLastOfDuplicateKeysWinsAtThePlaceOfTheFirst) {
  const Json json = parse_json(R"({"a":1,"b":2,"a":3,"c":4,"a":5,"c":6})");
  EXPECT_EQ(json.dump(), R"({"a":5,"b":2,"c":6})");
  EXPECT_EQ(json.size(), 3u);
}

TEST(Json, SetReplacesInPlaceAndAddsAtTheEnd) {
  Json json = parse_json(R"({"a":1,"b":2})");
  json.set("a", "x");
  json.set("c", nullptr);
  json.set("list", Json::array()).push_back(7);
  EXPECT_EQ(json.dump(), R"({"a":"x","b":2,"c":null,"list":[7]})");
}

TEST(Json, ComparesByContentAndOrder) {
  EXPECT_EQ(parse_json("[1,{\"a\":null}]"), parse_json(" [ 1 , { \"a\" : null } ] "));
  EXPECT_FALSE(parse_json("1") == parse_json("1.0"));
  EXPECT_FALSE(parse_json("{\"a\":1,\"b\":2}") == parse_json("{\"b\":2,\"a\":1}"));
}

TEST(Json, NamesTheWantedAndTheFoundType) {
  const Json json = parse_json(R"({"a":"x"})");
  EXPECT_EQ(fault([&] { json.at("a").as_int(); }), "expected an integer in JSON, found a string");
  EXPECT_EQ(fault([&] { json.items(); }), "expected an array in JSON, found an object");
  EXPECT_EQ(fault([&] { json.at("b"); }), "the JSON object has no key \"b\"");
  EXPECT_EQ(fault([&] { parse_json("1.5").as_int(); }),
            "expected an integer in JSON, found a number");
  EXPECT_EQ(fault([&] { parse_json("[]").at("a"); }), "expected an object in JSON, found an array");
  EXPECT_EQ(json.at("a").find("b"), nullptr);
  EXPECT_EQ(parse_json("3").as_double(), 3.0);
}

TEST(Json, SaysWhereTheTextIsWrong) {
  EXPECT_EQ(parse_fault("{\"a\": 1,\n  \"é\": tru }"),
            "x.json:2:11: invalid JSON: syntax error while parsing value - invalid literal");
  EXPECT_EQ(parse_fault(""),
            "x.json:1:1: invalid JSON: syntax error while parsing value - unexpected end of input; "
            "expected '[', '{', or a literal");
  EXPECT_EQ(
      parse_fault("[1] 2"),
      "x.json:1:5: invalid JSON: syntax error while parsing value - unexpected number literal; "
      "expected end of input");
}

TEST(Json, RefusesWhatPythonWritesBesideTheStandardUnlessAsked) {
  EXPECT_NE(parse_fault("[NaN]"), "no error");
  JsonLimits limits;
  limits.allow_nan_words = true;
  EXPECT_EQ(parse_json("[NaN, -Infinity,Infinity, \"NaN \\\" NaN\"]", {}, limits).dump(),
            R"([null,null,null,"NaN \" NaN"])");
}

TEST(Json, CountsPlacesInTheOriginalTextBesideNanWords) {
  JsonLimits limits;
  limits.allow_nan_words = true;
  EXPECT_EQ(parse_fault("[NaN, NaN, x]", limits),
            "x.json:1:12: invalid JSON: syntax error while parsing value - invalid literal");
}

TEST(Json, RefusesInvalidUtf8AndLoneSurrogates) {
  EXPECT_NE(parse_fault("\"\xFF\""), "no error");
  EXPECT_NE(parse_fault("\"\\ud83d\""), "no error");
}

TEST(Json, RefusesDepthBeyondTheLimit) {
  const std::string nested = std::string(128, '[') + std::string(128, ']');
  EXPECT_NO_THROW(parse_json(nested));
  EXPECT_EQ(parse_fault("[" + nested + "]"), "x.json: JSON refused: nested too deeply");
  EXPECT_EQ(parse_fault(std::string(1'000'000, '[')), "x.json: JSON refused: nested too deeply");
}

TEST(Json, RefusesTextsAndTreesThatAreTooLarge) {
  JsonLimits limits;
  limits.max_bytes = 4;
  EXPECT_EQ(parse_fault("[1,2]", limits), "x.json: JSON text has 5 bytes; at most 4 are read");
  limits = {};
  limits.max_values = 3;
  EXPECT_EQ(parse_fault("[1,2,3]", limits), "x.json: JSON refused: too many values");
}

TEST(Json, KeepsWhatWasReadOutOfMessages) {
  const std::string message = parse_fault("\"" + std::string(100'000, 'x') + "\n\"");
  EXPECT_LT(message.size(), 250u) << message;
}

}  // namespace
}  // namespace dlm
