// Broken tokenizer files: what is wrong and where, as exact messages.
#include <gtest/gtest.h>

#include <filesystem>

#include "support/file.h"
#include "text/small_tokenizer.h"

namespace dlm {
namespace {

struct Broken {
  const char* file;
  const char* message;
};

void expect_broken(std::span<const Broken> cases) {
  for (const Broken& c : cases) {
    SCOPED_TRACE(c.file);
    expect_format_error([&] { Tokenizer::from_json(parse_json(c.file), "t.json"); }, c.message);
  }
}

constexpr Broken kModels[] = {
    {"[]", "the tokenizer must be an object"},
    {"{}", "model is missing"},
    {R"({"model": 5})", "model must be an object"},
    {R"({"model": {"type": "Unigram"}})",
     "model has the type \"Unigram\", which is not supported (only BPE is)"},
    {R"({"model": {"merges": []}})", "model.vocab is missing"},
    {R"({"model": {"vocab": [], "merges": []}})", "model.vocab must be an object"},
    {R"({"model": {"vocab": {}, "merges": []}})", "model.vocab is empty"},
    {R"({"model": {"vocab": {"a": "x"}, "merges": []}})", "model.vocab[\"a\"] must be an integer"},
    {R"({"model": {"vocab": {"a": -1}, "merges": []}})",
     "model.vocab[\"a\"] is -1, outside of 0 to 65538"},
    {R"({"model": {"vocab": {"a": 4000000000}, "merges": []}})",
     "model.vocab[\"a\"] is 4000000000, outside of 0 to 65538"},
    {R"({"model": {"vocab": {"a": 0, "b": 0}, "merges": []}})",
     "model.vocab gives the id 0 to \"a\" and to \"b\""},
    {R"({"model": {"vocab": {"a": 0}}})", "model.merges is missing"},
    {R"({"model": {"vocab": {"a": 0}, "merges": {}}})", "model.merges must be an array"},
    {R"({"model": {"vocab": {"a": 0}, "merges": ["aa"]}})",
     "model.merges[0] is \"aa\", not two tokens with one space between them"},
    {R"({"model": {"vocab": {"a": 0}, "merges": ["a a a"]}})",
     "model.merges[0] is \"a a a\", not two tokens with one space between them"},
    {R"({"model": {"vocab": {"a": 0}, "merges": [["a"]]}})",
     "model.merges[0] must be a string or an array of two strings"},
    {R"({"model": {"vocab": {"a": 0, "aa": 1}, "merges": ["a a", "a x"]}})",
     "model.merges[1] names \"x\", which is not in model.vocab"},
    {R"({"model": {"vocab": {"a": 0}, "merges": ["a a"]}})",
     "model.merges[0] names \"aa\", which is not in model.vocab"},
    {R"({"model": {"vocab": {"a": 0}, "merges": [], "unk_token": "?"}})",
     "model.unk_token \"?\" is not in model.vocab"},
    {R"({"model": {"vocab": {"a": 0}, "merges": [], "dropout": 0.1}})",
     "model.dropout is set; ids would be random"},
    {R"({"model": {"vocab": {"a": 0}, "merges": [], "byte_fallback": 1}})",
     "model.byte_fallback must be true or false"},
};
TEST(TokenizerFile, RefusesBrokenModels) {
  expect_broken(kModels);
}

#define WITH_MODEL(members) \
  "{" members ", \"model\": {\"vocab\": {\"a\": 0, \"b\": 1}, \"merges\": []}}"

constexpr Broken kAddedTokens[] = {
    {WITH_MODEL(R"("added_tokens": {})"), "added_tokens must be an array"},
    {WITH_MODEL(R"("added_tokens": [{}])"), "added_tokens[0].content is missing"},
    {WITH_MODEL(R"("added_tokens": [{"content": ""}])"), "added_tokens[0].content is empty"},
    {WITH_MODEL(R"("added_tokens": [{"content": "x"}])"), "added_tokens[0].id is missing"},
    {WITH_MODEL(R"("added_tokens": [{"content": "x", "id": 1.5}])"),
     "added_tokens[0].id must be an integer"},
    {WITH_MODEL(R"("added_tokens": [{"content": "x", "id": -1}])"),
     "added_tokens[0].id is -1, outside of 0 to 2147483647"},
    {WITH_MODEL(R"("added_tokens": [{"content": "x", "id": 2000000000}])"),
     "added token \"x\" has the id 2000000000, above 65542"},
    {WITH_MODEL(R"("added_tokens": [{"content": "x", "id": 0}])"),
     "added token \"x\" has the id 0 of \"a\""},
    {WITH_MODEL(R"("added_tokens": [{"content": "a", "id": 7}])"),
     "added token \"a\" has the id 7 but model.vocab says 0"},
    {WITH_MODEL(R"("added_tokens": [{"content": "x", "id": 7}, {"content": "y", "id": 7}])"),
     "added token \"y\" shares its id or its content with another added token"},
    {WITH_MODEL(R"("added_tokens": [{"content": "x", "id": 7}, {"content": "x", "id": 8}])"),
     "added token \"x\" shares its id or its content with another added token"},
};
TEST(TokenizerFile, RefusesBrokenAddedTokens) {
  expect_broken(kAddedTokens);
}

constexpr Broken kPipelines[] = {
    {WITH_MODEL(R"("normalizer": {"type": "Precompiled"})"),
     "normalizer has the type \"Precompiled\", which is not supported"},
    {WITH_MODEL(R"("normalizer": {"type": "Replace", "pattern": {}, "content": ""})"),
     "normalizer.pattern must be {\"String\": ...} or {\"Regex\": ...}"},
    {WITH_MODEL(R"("normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend"}]})"),
     "normalizer.normalizers.prepend is missing"},
    {WITH_MODEL(R"("pre_tokenizer": {"type": "BertPreTokenizer"})"),
     "pre_tokenizer has the type \"BertPreTokenizer\", which is not supported"},
    {WITH_MODEL(
         R"("pre_tokenizer": {"type": "Split", "pattern": {"Regex": "("}, "behavior": "Isolated"})"),
     "the regular expression \"(\" cannot be compiled: missing closing parenthesis"},
    {WITH_MODEL(
         R"("pre_tokenizer": {"type": "Split", "pattern": {"Regex": "a"}, "behavior": "Odd"})"),
     "pre_tokenizer.behavior is \"Odd\", which is not supported"},
    {WITH_MODEL(R"("pre_tokenizer": {"type": "Metaspace", "prepend_scheme": "maybe"})"),
     "pre_tokenizer.prepend_scheme is \"maybe\", not always, first or never"},
    {WITH_MODEL(R"("decoder": {"type": "WordPiece"})"),
     "decoder has the type \"WordPiece\", which is not supported"},
    {WITH_MODEL(R"("decoder": {"type": "Strip", "content": " ", "start": -1, "stop": 0})"),
     "decoder needs a character and counts from 0"},
    {WITH_MODEL(R"("post_processor": {"type": "Odd"})"),
     "post_processor has the type \"Odd\", which is not supported"},
    {WITH_MODEL(R"("post_processor": {"type": "TemplateProcessing", "single": []})"),
     "post_processor.single must hold the text exactly once"},
    {WITH_MODEL(R"("post_processor": {"type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<s>"}}], "special_tokens": {}})"),
     "post_processor.special_tokens lacks \"<s>\""},
    {WITH_MODEL(R"("post_processor": {"type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<s>"}}], "special_tokens": {"<s>": {"ids": [2]}}})"),
     "post_processor.special_tokens[\"<s>\"].ids must be the id of a token"},
    {WITH_MODEL(R"("post_processor": {"type": "BertProcessing", "sep": ["x"], "cls": ["x", 0]})"),
     "post_processor.sep must hold a token and its id"},
};
TEST(TokenizerFile, RefusesBrokenPipelines) {
  expect_broken(kPipelines);
}

TEST(TokenizerFile, RefusesSequencesThatNestTooDeeply) {
  std::string open, close;
  for (int i = 0; i < 20; ++i) {
    open += R"({"type": "Sequence", "normalizers": [)";
    close += "]}";
  }
  EXPECT_THROW(make_tokenizer(kByteModel, "\"normalizer\": " + open + close), Error);
}

TEST(TokenizerFile, StopsPatternsThatCostTooMuch) {
  const Tokenizer tokenizer = make_tokenizer(
      R"({"vocab": {"a": 0}, "merges": []})",
      R"("pre_tokenizer": {"type": "Split", "pattern": {"Regex": "(?:a|aa)+[cd]"},
                           "behavior": "Isolated"})");
  EXPECT_THROW(tokenizer.encode(std::string(5000, 'a'), false), Error);
}

TEST(TokenizerFile, StopsNormalizersThatBlowTextsUp) {
  const Tokenizer tokenizer = make_tokenizer(
      R"({"vocab": {"a": 0}, "merges": []})",
      R"("normalizer": {"type": "Replace", "pattern": {"String": "a"}, "content": ")" +
          std::string(100, 'b') + "\"}");
  expect_format_error([&] { tokenizer.encode(std::string(1000, 'a'), false); },
                      "the normalizer makes the text more than 16 times as long");
}

TEST(TokenizerFile, NamesTheFile) {
  const fs::path folder = fs::path(testing::TempDir()) / "dlm_tokenizer_file";
  fs::create_directories(folder);
  write_file_atomic(folder / "tokenizer.json", "{\"model\": {\"vocab\"");
  try {
    Tokenizer::load(folder / "tokenizer.json");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kFormat);
    EXPECT_EQ(error.place().path, (folder / "tokenizer.json").string());
  }
  write_file_atomic(folder / "tokenizer.json", "{}");
  try {
    Tokenizer::load(folder / "tokenizer.json");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.place().path, (folder / "tokenizer.json").string());
    EXPECT_EQ(error.message(), "model is missing");
  }
  EXPECT_THROW(Tokenizer::load(folder / "absent.json"), Error);
  fs::remove_all(folder);
}

}  // namespace
}  // namespace dlm
