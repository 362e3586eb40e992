// Real tokenizers against recorded ids of the reference implementation. Each folder of outside data
// is one test; every line of its vectors.jsonl must give the same ids and the same decoded text.
#include <gtest/gtest.h>

#include "support/error.h"
#include "text/outside_data.h"
#include "text/tokenizer.h"

namespace dlm {
namespace {

std::vector<int32_t> ids_of(const Json& json) {
  std::vector<int32_t> ids;
  for (const Json& id : json.items()) ids.push_back(static_cast<int32_t>(id.as_int()));
  return ids;
}

std::string stream_decode(const Tokenizer& tokenizer, const std::vector<int32_t>& ids) {
  TokenStream stream(tokenizer, false);
  std::string text;
  for (const int32_t id : ids) text += stream.push(id);
  return text + stream.flush();
}

class RealTokenizer : public testing::TestWithParam<std::string> {};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(RealTokenizer);

TEST_P(RealTokenizer, GivesTheRecordedIds) {
  const fs::path folder = tokenizer_folder(GetParam());
  const Tokenizer tokenizer = Tokenizer::load(folder / "tokenizer.json");
  int num_vectors = 0, num_wrong = 0;
  for (const Json& vector : read_json_lines(folder / "vectors.jsonl")) {
    const std::string& text = vector.at("text").as_string();
    const std::vector<int32_t> expected = ids_of(vector.at("ids"));
    const Json* decoded = vector.find("decoded");
    const std::vector<int32_t> ids = tokenizer.encode(text, vector.at("add_special").as_bool());
    ++num_vectors;
    bool is_right = ids == expected;
    if (decoded != nullptr) {
      is_right = is_right && tokenizer.decode(expected, false) == decoded->as_string() &&
                 stream_decode(tokenizer, expected) == decoded->as_string();
    }
    if (is_right || ++num_wrong > 5) continue;
    EXPECT_EQ(ids, expected) << "text: " << vector.at("text").dump();
    if (decoded == nullptr) continue;
    EXPECT_EQ(tokenizer.decode(expected, false), decoded->as_string());
    EXPECT_EQ(stream_decode(tokenizer, expected), decoded->as_string());
  }
  EXPECT_EQ(num_wrong, 0) << "of " << num_vectors;
  EXPECT_GT(num_vectors, 0);
  RecordProperty("vectors", num_vectors);
}

TEST_P(RealTokenizer, NeverEncodesOrdinaryTextIntoSpecialTokens) {
  const fs::path folder = tokenizer_folder(GetParam());
  const Tokenizer tokenizer = Tokenizer::load(folder / "tokenizer.json");
  std::string everything;
  for (int32_t id = 0; id < static_cast<int32_t>(tokenizer.vocab_size()); ++id) {
    if (!tokenizer.is_special(id)) continue;
    everything += tokenizer.token_text(id);
    for (const int32_t out : tokenizer.encode_ordinary(tokenizer.token_text(id))) {
      ASSERT_FALSE(tokenizer.is_special(out)) << tokenizer.token_text(id);
    }
  }
  for (const int32_t out : tokenizer.encode_ordinary(everything)) {
    ASSERT_FALSE(tokenizer.is_special(out));
  }
}

INSTANTIATE_TEST_SUITE_P(Folders, RealTokenizer, testing::ValuesIn(folders_with("vectors.jsonl")),
                         [](const auto& folder) { return test_name(folder.param); });

TEST(RealTokenizers, AreThere) {
  if (std::getenv("DLM_TEST_DATA") == nullptr) GTEST_SKIP() << "skipped: DLM_TEST_DATA is not set";
  EXPECT_FALSE(folders_with("vectors.jsonl").empty());
}

}  // namespace
}  // namespace dlm
