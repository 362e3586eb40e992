// The quick way through a tokenizer file gives what the full way gives, or leaves the file to it.
#include <gtest/gtest.h>

#include "text/bpe_lists.h"
#include "text/outside_data.h"
#include "text/small_tokenizer.h"

namespace dlm {
namespace {

using Vocab = std::vector<std::pair<std::string_view, int64_t>>;
using Merges = std::vector<std::pair<std::string_view, std::string_view>>;

TEST(BpeLists, AreReadFromBytes) {
  const std::string text = R"({"a": [1, {"model": "]}\""}], "model" :
    {"type": "BPE", "merges": ["a b", [ "x y" ,"c"] ], "unk_token": "}",
     "vocab" : {"a":0, "b\"\\\/\u00e9\n" : 12,"ü": 3 } }, "z": null} )";
  const auto file = skim_tokenizer_file(text);
  ASSERT_TRUE(file);
  EXPECT_EQ(file->lists.vocab, (Vocab{{"a", 0}, {"b\"\\/é\n", 12}, {"ü", 3}}));
  EXPECT_EQ(file->lists.merges, (Merges{{"a", "b"}, {"x y", "c"}}));
  EXPECT_EQ(file->json.dump(),
            R"({"a":[1,{"model":"]}\""}],"model":{"type":"BPE","merges":[],"unk_token":"}",)"
            R"("vocab":{}},"z":null})");
}

TEST(BpeLists, AreFoundInEitherOrder) {
  const std::string text = R"({"model": {"vocab": {"a": 1}, "merges": [], "type": "BPE"}})";
  const auto file = skim_tokenizer_file(text);
  ASSERT_TRUE(file);
  EXPECT_EQ(file->lists.vocab, (Vocab{{"a", 1}}));
  EXPECT_EQ(file->json.dump(), R"({"model":{"vocab":{},"merges":[],"type":"BPE"}})");
}

// What is not plain is for the full way, which knows what is wrong and where.
constexpr const char* kLeftToTheFullWay[] = {
    "",
    "{}",
    "[]",
    R"({"model": {"vocab": {}}})",
    R"({"model": {"merges": []}})",
    R"({"model": {"vocab": {}, "merges": []})",
    R"({"model": {"vocab": {}, "merges": []}} x)",
    R"({"model": {"vocab": {}, "merges": []}, "a": tru})",
    R"({"model": {"vocab": {}, "merges": []}, "a": [}})",
    R"({"model": {"vocab": {}, "merges": [], "vocab": {}}})",
    R"({"model": {"vocab": {}, "merges": []}, "model": {}})",
    R"({"model": {"vocab": {"a": -1}, "merges": []}})",
    R"({"model": {"vocab": {"a": 01}, "merges": []}})",
    R"({"model": {"vocab": {"a": 1.5}, "merges": []}})",
    R"({"model": {"vocab": {"a": 1e3}, "merges": []}})",
    R"({"model": {"vocab": {"a": 99999999999}, "merges": []}})",
    R"({"model": {"vocab": {"a": "1"}, "merges": []}})",
    R"({"model": {"vocab": {"a": 1,}, "merges": []}})",
    R"({"model": {"vocab": {"a" 1}, "merges": []}})",
    R"({"model": {"vocab": {"\ud83d\ude00": 1}, "merges": []}})",
    R"({"model": {"vocab": {"\x": 1}, "merges": []}})",
    R"({"model": {"vocab": {"\u00g0": 1}, "merges": []}})",
    "{\"model\": {\"vocab\": {\"a\nb\": 1}, \"merges\": []}}",
    "{\"model\": {\"vocab\": {\"a\xFF\": 1}, \"merges\": []}}",
    R"({"model": {"vocab": [], "merges": []}})",
    R"({"model": {"vocab": {}, "merges": ["a b c"]}})",
    R"({"model": {"vocab": {}, "merges": ["ab"]}})",
    R"({"model": {"vocab": {}, "merges": [["a"]]}})",
    R"({"model": {"vocab": {}, "merges": [["a", "b", "c"]]}})",
    R"({"model": {"vocab": {}, "merges": ["a b",]}})",
    R"({"model": {"vocab": {}, "merges": [1]}})",
    R"({"model": {"vocab": {}, "merges": ["a b")",
    R"({"model": {"vocab": {"a\)",
    R"({"model": {"vocab": {"a\u0)",
};

TEST(BpeLists, LeaveOddFilesToTheFullWay) {
  for (const char* text : kLeftToTheFullWay) EXPECT_FALSE(skim_tokenizer_file(text)) << text;
}

TEST(BpeLists, GiveTheLastOfEqualKeysAsJsonDoes) {
  const fs::path path = fs::path(testing::TempDir()) / "dlm_equal_keys.json";
  write_file_atomic(path, R"({"model": {"vocab": {"a": 0, "b": 1, "a": 2}, "merges": []}})");
  const Tokenizer tokenizer = Tokenizer::load(path);
  EXPECT_EQ(tokenizer.token_id("a"), 2);
  EXPECT_EQ(tokenizer.token_id("b"), 1);
  fs::remove(path);
}

class RealLists : public testing::TestWithParam<std::string> {};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(RealLists);

TEST_P(RealLists, AreTheSameBothWays) {
  const std::string text = read_file(tokenizer_folder(GetParam()) / "tokenizer.json");
  const auto file = skim_tokenizer_file(text);
  ASSERT_TRUE(file);
  const Json whole = parse_json(text);
  const BpeLists lists = lists_of(whole.at("model"));
  EXPECT_TRUE(file->lists.vocab == lists.vocab);
  EXPECT_TRUE(file->lists.merges == lists.merges);
}

INSTANTIATE_TEST_SUITE_P(Folders, RealLists, testing::ValuesIn(folders_with("tokenizer.json")),
                         [](const auto& folder) { return test_name(folder.param); });

}  // namespace
}  // namespace dlm
