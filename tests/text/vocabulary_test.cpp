// Tokenizers from the lists of run-time files: small ones by hand, and real ones against the ids
// that the programs which run such files were recorded to give.
#include "text/vocabulary.h"

#include <gtest/gtest.h>

#include <map>

#include "small_tokenizer.h"
#include "text/outside_data.h"
#include "text/tokenizer.h"

namespace dlm {
namespace {

Vocabulary bytes_vocabulary() {
  Vocabulary v;
  v.split = "gpt-2";
  v.tokens = {"a", "b", "c", "Ġ", "ab", "abc", "Ġa", "Ġab", "1", "11", "<|end|>", "  "};
  v.kinds.assign(v.tokens.size(), TokenKind::kNormal);
  v.kinds[10] = TokenKind::kControl;
  v.kinds[11] = TokenKind::kUserDefined;
  v.merges = {"a b", "ab c", "Ġ a", "Ġ ab", "1 1"};
  return v;
}

Vocabulary pieces_vocabulary() {
  Vocabulary v;
  v.is_byte_level = false;
  v.tokens = {"<unk>", "<s>", "</s>", "<0xC3>", "<0xA9>", "▁", "a",
              "b",     "c",   "ab",   "bc",     "▁a",     "é2"};
  v.scores = {0, 0, 0, 0, 0, -9, -9, -9, -9, -2, -1, -3, -1};
  v.kinds.assign(v.tokens.size(), TokenKind::kNormal);
  v.kinds[0] = TokenKind::kUnknown;
  v.kinds[1] = v.kinds[2] = TokenKind::kControl;
  v.kinds[3] = v.kinds[4] = TokenKind::kByte;
  v.bos = 1;
  v.eos = 2;
  v.unknown = 0;
  return v;
}

Tokenizer make(const Vocabulary& v) {
  return Tokenizer::from_vocabulary(v, "m.gguf");
}

TEST(Vocabulary, BuildsByteLevelWordsFromMerges) {
  const Tokenizer t = make(bytes_vocabulary());
  EXPECT_EQ(t.encode("abc ab", false), (Ids{5, 7}));
  EXPECT_EQ(t.encode("ab<|end|>  a", false), (Ids{4, 10, 11, 0}));
  EXPECT_EQ(t.decode(Ids{5, 7, 10}, false), "abc ab<|end|>");
  EXPECT_EQ(t.decode(Ids{5, 7, 10}, true), "abc ab");
}

TEST(Vocabulary, SplitsAsTheNameSays) {
  Vocabulary v = bytes_vocabulary();
  EXPECT_EQ(make(v).encode("111", false), (Ids{9, 8}));
  v.split = "smollm";
  EXPECT_EQ(make(v).encode("111", false), (Ids{8, 8, 8}));
}

TEST(Vocabulary, TakesWholeWordsWhereTheSplitDoes) {
  Vocabulary v = bytes_vocabulary();
  v.merges = {"1 1"};
  EXPECT_EQ(make(v).encode("abc", false), (Ids{0, 1, 2}));
  v.split = "llama-bpe";
  v.bos = 10;
  EXPECT_EQ(make(v).encode("abc", false), (Ids{5}));
  EXPECT_EQ(make(v).encode("abc", true), (Ids{10, 5}));
}

TEST(Vocabulary, MergesPiecesByScoreNotByPlace) {
  const Tokenizer t = make(pieces_vocabulary());
  // "bc" has the better score, so that "ab" cannot form.
  EXPECT_EQ(t.encode("abc", false), (Ids{11, 10}));
  EXPECT_EQ(t.encode("abc", true), (Ids{1, 11, 10}));
  EXPECT_EQ(t.encode("bab", false), (Ids{5, 7, 9}));
}

TEST(Vocabulary, SpellsUnknownCharactersInBytes) {
  const Tokenizer t = make(pieces_vocabulary());
  EXPECT_EQ(t.encode("é", false), (Ids{5, 3, 4}));
  EXPECT_EQ(t.decode(Ids{5, 3, 4}, false), "é");
  EXPECT_EQ(t.encode("ж", false), (Ids{5, 0}));
}

TEST(Vocabulary, PutsABlankBeforeEachTextUnlessToldNot) {
  Vocabulary v = pieces_vocabulary();
  EXPECT_EQ(make(v).encode("a<s>a", false), (Ids{11, 1, 11}));
  EXPECT_EQ(make(v).decode(Ids{11, 11}, false), "a a");
  v.adds_space_prefix = false;
  EXPECT_EQ(make(v).encode("a<s>a", false), (Ids{6, 1, 6}));
  EXPECT_EQ(make(v).decode(Ids{11, 11}, false), " a a");
}

TEST(Vocabulary, NeverGivesControlTokensForOrdinaryText) {
  Vocabulary v = pieces_vocabulary();
  v.tokens.insert(v.tokens.end(), {"<", "s", ">", "<s"});
  v.scores.insert(v.scores.end(), {-5, -5, -5, -1});
  v.kinds.insert(v.kinds.end(), 4, TokenKind::kNormal);
  EXPECT_EQ(make(v).encode_ordinary("<s>"), (Ids{5, 16, 15}));
}

TEST(Vocabulary, RefusesListsThatDoNotFit) {
  Vocabulary v = bytes_vocabulary();
  v.split = "gpt-5";
  expect_format_error([&] { make(v); }, "the pre-tokenizer \"gpt-5\" is not known");
  v = bytes_vocabulary();
  v.kinds.pop_back();
  expect_format_error([&] { make(v); }, "the vocabulary has 12 tokens, but 11 token types");
  v = bytes_vocabulary();
  v.merges.push_back("ab");
  expect_format_error([&] { make(v); }, "merge 5 is not two tokens with a blank between");
  v = bytes_vocabulary();
  v.tokens[2] = "\xff";
  expect_format_error([&] { make(v); }, "token 2 is not UTF-8");
  v = pieces_vocabulary();
  v.scores[4] = std::numeric_limits<float>::quiet_NaN();
  expect_format_error([&] { make(v); }, "the score of token 4 is not a number");
  v = pieces_vocabulary();
  v.tokens[7] = "a";
  expect_format_error([&] { make(v); }, "the token \"a\" stands in the vocabulary twice");
  v = pieces_vocabulary();
  v.bos = 99;
  expect_format_error([&] { make(v); },
                      "post_processor.special_tokens[\"bos\"].ids must be the id of a token");
}

// The lists that a run-time file would hold for a tokenizer.json. Scores follow the merges: the
// sooner a piece is made, the better its score.
Vocabulary vocabulary_of(const Json& json, const std::string& split) {
  const Json& model = json.at("model");
  Vocabulary v;
  v.is_byte_level = split != "llama";
  v.split = split;
  std::map<std::string, int64_t> ids;
  int64_t limit = 0;
  const auto add = [&](const std::string& token, int64_t id) {
    ids[token] = id;
    limit = std::max(limit, id + 1);
  };
  for (const auto& [token, id] : model.at("vocab").members()) add(token, id.as_int());
  for (const Json& a : json.at("added_tokens").items()) {
    add(a.at("content").as_string(), a.at("id").as_int());
  }
  v.tokens.resize(static_cast<size_t>(limit));
  v.kinds.assign(v.tokens.size(), TokenKind::kNormal);
  v.scores.assign(v.tokens.size(), -1e9f);
  for (const auto& [token, id] : ids) v.tokens[static_cast<size_t>(id)] = token;
  for (const Json& a : json.at("added_tokens").items()) {
    const bool is_special = a.at("special").as_bool();
    const auto id = static_cast<size_t>(a.at("id").as_int());
    v.kinds[id] = is_special ? TokenKind::kControl : TokenKind::kUserDefined;
    v.control_tokens_strip = v.control_tokens_strip || a.at("rstrip").as_bool();
  }
  float rank = 0;
  for (const Json& m : model.at("merges").items()) {
    std::string left, right;
    if (m.is_array()) {
      left = m.items()[0].as_string();
      right = m.items()[1].as_string();
    } else {
      const size_t blank = m.as_string().find(' ', 1);
      left = m.as_string().substr(0, blank);
      right = m.as_string().substr(blank + 1);
    }
    if (v.is_byte_level) v.merges.push_back(left + " " + right);
    float& score = v.scores[static_cast<size_t>(ids.at(left + right))];
    rank -= 1;
    score = std::max(score, rank);
  }
  v.adds_bos = false;
  if (const auto unknown = ids.find("<unk>"); unknown != ids.end()) {
    v.unknown = static_cast<int32_t>(unknown->second);
  }
  return v;
}

struct RealCase {
  const char* folder;
  const char* split;  // "llama": SentencePiece
  bool puts_space_prefix;
};

class RealVocabulary : public testing::TestWithParam<RealCase> {};

TEST_P(RealVocabulary, GivesTheRecordedIds) {
  if (std::getenv("DLM_TEST_DATA") == nullptr) GTEST_SKIP() << "no outside data";
  const fs::path folder = tokenizer_folder(GetParam().folder);
  Vocabulary v = vocabulary_of(parse_json(read_file(folder / "tokenizer.json")), GetParam().split);
  v.adds_space_prefix = GetParam().puts_space_prefix;
  const Tokenizer tokenizer = Tokenizer::from_vocabulary(v, "m.gguf");
  int num_vectors = 0, num_wrong = 0;
  for (const Json& vector : read_json_lines(folder / "vectors.jsonl")) {
    // Where it is recorded that those programs give other ids, nothing is asked.
    const Json* agree = vector.find("agree");
    if (vector.at("add_special").as_bool() || agree == nullptr) continue;
    if (const Json* same = agree->find("llama.cpp"); same == nullptr || !same->as_bool()) continue;
    Ids expected;
    for (const Json& id : vector.at("ids").items()) {
      expected.push_back(static_cast<int32_t>(id.as_int()));
    }
    const std::string& text = vector.at("text").as_string();
    const bool is_same = tokenizer.encode(text, false) == expected;
    ++num_vectors;
    if (!is_same && ++num_wrong <= 5) {
      EXPECT_EQ(tokenizer.encode(text, false), expected) << vector.at("text").dump();
    }
    const std::string decoded = vector.at("decoded").as_string();
    EXPECT_EQ(tokenizer.decode(expected, false), decoded);
  }
  EXPECT_EQ(num_wrong, 0) << "of " << num_vectors;
  EXPECT_GT(num_vectors, 150);
}

INSTANTIATE_TEST_SUITE_P(
    All, RealVocabulary,
    testing::Values(
        RealCase{"falcon-7b", "falcon", false}, RealCase{"gemma-2-it", "llama", false},
        RealCase{"llama-2", "llama", true}, RealCase{"llama-3.2-instruct", "llama-bpe", false},
        RealCase{"mistral-7b-v0.1", "llama", true}, RealCase{"mistral-7b-v0.3", "llama", true},
        RealCase{"olmo-1", "olmo", false}, RealCase{"olmo-2", "dbrx", false},
        RealCase{"phi-2", "phi-2", false}, RealCase{"phi-3-mini-4k-instruct", "llama", true},
        RealCase{"qwen2.5-instruct", "qwen2", false}, RealCase{"qwen3-instruct", "qwen2", false},
        RealCase{"smollm2-135m-instruct", "smollm", false},
        RealCase{"smollm3-3b", "smaug-bpe", false}, RealCase{"stories260K", "llama", true}),
    [](const auto& real) { return test_name(real.param.folder); });

}  // namespace
}  // namespace dlm
