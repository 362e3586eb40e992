// The tokenizer pipeline on small files: merges, added tokens, byte fallback, ordinary text,
// streams.
#include "text/tokenizer.h"

#include <gtest/gtest.h>

#include <thread>

#include "support/error.h"
#include "text/bpe_trainer.h"
#include "text/small_tokenizer.h"

namespace dlm {
namespace {

constexpr const char* kAdded =
    R"json(, "added_tokens": [
      {"id": 13, "content": "<|end|>", "special": true, "normalized": false},
      {"id": 14, "content": "<s>", "special": true, "normalized": false},
      {"id": 17, "content": "<tool>", "special": false, "normalized": false},
      {"id": 18, "content": "   ", "special": false, "normalized": false}])json";

Tokenizer byte_tokenizer() {
  return make_tokenizer(kByteModel, std::string(kByteLevel) + kAdded);
}

TEST(Tokenizer, MergesInTheOrderOfRanks) {
  const Tokenizer tokenizer = byte_tokenizer();
  EXPECT_EQ(tokenizer.encode("abc", false), (Ids{7}));
  // "Ġ a" has a lower rank than "Ġ ab", but "a b" comes first of all.
  EXPECT_EQ(tokenizer.encode(" ab", false), (Ids{9}));
  EXPECT_EQ(tokenizer.encode(" ac", false), (Ids{8, 2}));
  EXPECT_EQ(tokenizer.encode(" abc", false), (Ids{5, 7}));
  EXPECT_EQ(tokenizer.encode("", false), Ids{});
}

TEST(Tokenizer, ReadsBytesThroughTheAlphabet) {
  EXPECT_EQ(byte_tokenizer().encode("é", false), (Ids{10, 11}));
}

TEST(Tokenizer, LeavesOutCharactersThatNoTokenHas) {
  // What is left then merges, as in the reference implementation.
  EXPECT_EQ(byte_tokenizer().encode("aZb", false), (Ids{6}));
}

TEST(Tokenizer, RecognisesAddedTokensInText) {
  const Tokenizer tokenizer = byte_tokenizer();
  EXPECT_EQ(tokenizer.encode("a<|end|>ab<tool>", false), (Ids{0, 13, 6, 17}));
  EXPECT_EQ(tokenizer.decode(Ids{0, 13, 6, 17}, false), "a<|end|>ab<tool>");
  EXPECT_EQ(tokenizer.decode(Ids{0, 13, 6, 17}, true), "aab<tool>");
}

TEST(Tokenizer, OrdinaryTextInjectsNoControlTokens) {
  const Tokenizer tokenizer = byte_tokenizer();
  EXPECT_EQ(tokenizer.encode_ordinary("a<|end|>b"),
            (Ids{0, 4, 3, 1}));  // e and d of "end"; n unknown
  EXPECT_EQ(tokenizer.encode_ordinary("<tool><s>"), Ids{});
}

TEST(Tokenizer, OrdinaryTextKeepsRunsOfBlanks) {
  EXPECT_EQ(byte_tokenizer().encode_ordinary("a   b"), (Ids{0, 18, 1}));
}

TEST(Tokenizer, OrdinaryTextMergesIntoNoSpecialToken) {
  const Tokenizer tokenizer = make_tokenizer(
      R"({"type": "BPE", "vocab": {"<": 0, "s": 1, ">": 2, "<s": 3, "<s>": 4},
          "merges": ["< s", "<s >"]})",
      R"("added_tokens": [{"id": 4, "content": "<s>", "special": true, "normalized": false}])");
  EXPECT_EQ(tokenizer.encode("<s>", false), (Ids{4}));
  EXPECT_EQ(tokenizer.encode_ordinary("<s>"), (Ids{3, 2}));
}

TEST(Tokenizer, OrdinaryTextIsNoSpecialTokenAsAWholeWord) {
  const Tokenizer tokenizer = make_tokenizer(
      R"({"type": "BPE", "ignore_merges": true, "vocab": {"<": 0, "s": 1, ">": 2, "<s>": 3},
          "merges": []})",
      R"("added_tokens": [{"id": 3, "content": "<s>", "special": true, "normalized": false}])");
  EXPECT_EQ(tokenizer.encode_ordinary("<s>"), (Ids{0, 1, 2}));
}

TEST(Tokenizer, TakesWholeWordsFirstWhenMergesAreIgnored) {
  const std::string vocab = R"("vocab": {"a": 0, "b": 1, "ab": 2}, "merges": []})";
  EXPECT_EQ(
      make_tokenizer(R"({"type": "BPE", "ignore_merges": true, )" + vocab).encode("ab", false),
      (Ids{2}));
  EXPECT_EQ(make_tokenizer(R"({"type": "BPE", )" + vocab).encode("ab", false), (Ids{0, 1}));
}

TEST(Tokenizer, ChoosesTheLeftmostAndLongestAddedToken) {
  const Tokenizer tokenizer =
      make_tokenizer(R"({"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": []})",
                     R"("added_tokens": [{"id": 2, "content": "ab", "normalized": false},
                          {"id": 3, "content": "abb", "normalized": false},
                          {"id": 4, "content": "bba", "normalized": false}])");
  EXPECT_EQ(tokenizer.encode("abba", false), (Ids{3, 0}));
  EXPECT_EQ(tokenizer.encode("aaba", false), (Ids{0, 2, 0}));
  EXPECT_EQ(tokenizer.encode("bbab", false), (Ids{4, 1}));
}

TEST(Tokenizer, AddedTokensTakeWhiteSpaceAlong) {
  const Tokenizer tokenizer =
      make_tokenizer(R"({"type": "BPE", "vocab": {"a": 0, " ": 1, "\n": 2}, "merges": []})",
                     R"("added_tokens": [
          {"id": 3, "content": "<l>", "lstrip": true, "normalized": false},
          {"id": 4, "content": "<r>", "rstrip": true, "normalized": false}])");
  EXPECT_EQ(tokenizer.encode("a \n<l> a", false), (Ids{0, 3, 1, 0}));
  EXPECT_EQ(tokenizer.encode("a <r> \na", false), (Ids{0, 1, 4, 0}));
  EXPECT_EQ(tokenizer.encode("<r> \n<l>a", false), (Ids{4, 3, 0}));
}

TEST(Tokenizer, SingleWordTokensStandAlone) {
  const Tokenizer tokenizer = make_tokenizer(
      R"({"type": "BPE", "vocab": {"a": 0, ".": 1, "é": 2}, "merges": []})",
      R"("added_tokens": [{"id": 3, "content": "aa", "single_word": true, "normalized": false}])");
  EXPECT_EQ(tokenizer.encode("aa", false), (Ids{3}));
  EXPECT_EQ(tokenizer.encode(".aa.", false), (Ids{1, 3, 1}));
  EXPECT_EQ(tokenizer.encode("aaa", false), (Ids{0, 0, 0}));
  EXPECT_EQ(tokenizer.encode("éaa", false), (Ids{2, 0, 0}));
}

TEST(Tokenizer, LooksForNormalizedTokensInNormalizedText) {
  const std::string model = R"({"type": "BPE", "vocab": {"a": 0, "é": 1}, "merges": []})";
  const std::string nfc = R"("normalizer": {"type": "NFC"}, )";
  // The text has e and a combining accent, the token has one character.
  const std::string token = R"("added_tokens": [{"id": 2, "content": "é!", "normalized": )";
  EXPECT_EQ(make_tokenizer(model, nfc + token + "true}]").encode("ae\u0301!", false), (Ids{0, 2}));
  EXPECT_EQ(make_tokenizer(model, nfc + token + "false}]").encode("ae\u0301!", false), (Ids{0, 1}));
}

constexpr const char* kFallbackModel =
    R"json({"type": "BPE", "unk_token": "<unk>", "fuse_unk": true,
  "byte_fallback": true,
  "vocab": {"<unk>": 0, "<0xC3>": 1, "<0xA9>": 2, "▁": 3, "a": 4, "b": 5, "▁a": 6, "ab": 7, "▁ab": 8},
  "merges": ["▁ a", "a b", "▁a b"]})json";
constexpr const char* kMetaspace = R"json("normalizer": {"type": "Sequence", "normalizers": [
    {"type": "Prepend", "prepend": "▁"},
    {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
  "decoder": {"type": "Sequence", "decoders": [
    {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"},
    {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]})json";

TEST(Tokenizer, FallsBackToBytesAndThenToTheUnknownToken) {
  const Tokenizer tokenizer = make_tokenizer(kFallbackModel, kMetaspace);
  EXPECT_EQ(tokenizer.encode("ab a", false), (Ids{8, 6}));
  EXPECT_EQ(tokenizer.encode("é", false), (Ids{3, 1, 2}));
  EXPECT_EQ(tokenizer.encode("ZZZa", false), (Ids{3, 0, 4}));
  EXPECT_EQ(tokenizer.decode(Ids{8, 6, 1, 2}, false), "ab aé");
  EXPECT_EQ(tokenizer.decode(Ids{8, 2, 1, 4}, false), "ab\uFFFD\uFFFDa");
}

TEST(Tokenizer, CutsLongTextsWithoutChangingIds) {
  // Between b and ▁ no token reaches across, so words are cut there; the ids must be those of the
  // whole.
  const Tokenizer tokenizer = make_tokenizer(kFallbackModel, kMetaspace);
  std::string text = "ab";
  Ids expected{8};
  for (int i = 0; i < 1000; ++i) {
    text += i % 3 == 0 ? " ab" : i % 3 == 1 ? "Z" : " a";
    expected.push_back(i % 3 == 0 ? 8 : i % 3 == 1 ? 0 : 6);
  }
  EXPECT_EQ(tokenizer.encode(text, false), expected);
}

TEST(Tokenizer, UnknownTokensFuseOnlyWhenAsked) {
  const std::string rest = R"("vocab": {"<unk>": 0, "a": 1}, "merges": []})";
  EXPECT_EQ(
      make_tokenizer(R"({"unk_token": "<unk>", "fuse_unk": true, )" + rest).encode("xya", false),
      (Ids{0, 1}));
  EXPECT_EQ(make_tokenizer(R"({"unk_token": "<unk>", )" + rest).encode("xya", false),
            (Ids{0, 0, 1}));
}

TEST(Tokenizer, DecoratesCharactersInsideAndAtTheEndOfWords) {
  const Tokenizer tokenizer = make_tokenizer(
      R"({"continuing_subword_prefix": "##", "end_of_word_suffix": "$",
          "vocab": {"a": 0, "##a": 1, "##b$": 2, "a$": 3, "ab$": 4}, "merges": [["a", "##b$"]]})");
  EXPECT_EQ(tokenizer.encode("ab", false), (Ids{4}));
  EXPECT_EQ(tokenizer.encode("a", false), (Ids{3}));
  EXPECT_EQ(tokenizer.encode("aab", false), (Ids{0, 1, 2}));
}

TEST(Tokenizer, PutsSpecialTokensAround) {
  const std::string members = std::string(kByteLevel) +
                              R"(, "post_processor": {"type": "TemplateProcessing",
           "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}},
                      {"SpecialToken": {"id": "<|end|>"}}],
           "special_tokens": {"<s>": {"ids": [14]}, "<|end|>": {"ids": [13]}}})";
  const Tokenizer tokenizer = make_tokenizer(kByteModel, members);
  EXPECT_EQ(tokenizer.encode("a", true), (Ids{14, 0, 13}));
  EXPECT_EQ(tokenizer.encode("a", false), (Ids{0}));
  EXPECT_EQ(tokenizer.encode("", true), (Ids{14, 13}));
  const Tokenizer older = make_tokenizer(
      kByteModel, R"("post_processor": {"type": "RobertaProcessing", "sep": ["<|end|>", 13],
                     "cls": ["<s>", 14]})");
  EXPECT_EQ(older.encode("a", true), (Ids{14, 0, 13}));
}

TEST(Tokenizer, AnswersQuestionsAboutTokens) {
  const Tokenizer tokenizer = byte_tokenizer();
  EXPECT_EQ(tokenizer.vocab_size(), 19u);
  EXPECT_EQ(tokenizer.token_id("abc"), 7);
  EXPECT_EQ(tokenizer.token_id("<tool>"), 17);
  EXPECT_EQ(tokenizer.token_id("nothing"), std::nullopt);
  EXPECT_EQ(tokenizer.token_text(8), "Ġa");
  EXPECT_EQ(tokenizer.token_text(17), "<tool>");
  EXPECT_EQ(tokenizer.token_text(99), "");
  EXPECT_EQ(tokenizer.token_text(-1), "");
  EXPECT_TRUE(tokenizer.is_special(13));
  EXPECT_FALSE(tokenizer.is_special(17));
  EXPECT_TRUE(tokenizer.is_added(17));
  EXPECT_FALSE(tokenizer.is_special(-5));
  EXPECT_FALSE(tokenizer.is_special(1'000'000));
  EXPECT_EQ(tokenizer.decode(Ids{-1, 0, 99}, false), "a");
}

TEST(Tokenizer, RefusesTextThatIsNotUtf8) {
  try {
    byte_tokenizer().encode("ab\xFF", false);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kEncoding);
    EXPECT_NE(error.message().find("the text is not UTF-8 at byte 2"), std::string::npos);
  }
  EXPECT_THROW(byte_tokenizer().encode_ordinary("\xC3"), Error);
}

TEST(Tokenizer, GivesTheSameIdsFromManyThreads) {
  const Tokenizer tokenizer = byte_tokenizer();
  const std::string text = "abc ab a c e ab.abc abcab d bde ";
  std::string all;
  for (int i = 0; i < 200; ++i) all += text;
  const Ids expected = tokenizer.encode(all, false);
  std::vector<Ids> results(4);
  std::vector<std::thread> threads;
  for (Ids& result : results) {
    threads.emplace_back([&] { result = tokenizer.encode(all, false); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const Ids& result : results) EXPECT_EQ(result, expected);
}

TEST(Tokenizer, MergesLongWordsLikeShortOnes) {
  // 40 letters use the heap, pieces of 30 the scan; the merges stay within pairs.
  const Tokenizer tokenizer = make_tokenizer(
      R"({"vocab": {"a": 0, "b": 1, "ab": 2, "aa": 3, "abab": 4},
          "merges": ["a b", "ab ab", "a a"]})");
  std::string text;
  for (int i = 0; i < 20; ++i) text += "ab";
  EXPECT_EQ(tokenizer.encode(text, false), Ids(10, 4));
  EXPECT_EQ(tokenizer.encode(std::string(41, 'a'), false).size(), 21u);
  EXPECT_EQ(tokenizer.encode(std::string(41, 'a'), false).back(), 0);
}

TEST(Tokenizer, EncodesAMegabyteOfOneLetter) {
  const Tokenizer tokenizer =
      make_tokenizer(R"({"vocab": {"a": 0, "aa": 1, "aaaa": 2}, "merges": ["a a", "aa aa"]})");
  EXPECT_EQ(tokenizer.encode(std::string(1 << 20, 'a'), false), Ids(1 << 18, 2));
}

TEST(Tokenizer, ReadsWhatTheTrainerWrites) {
  BpeTrainerOptions options;
  options.vocab_size = 300;
  options.special_tokens = {"<|end|>"};
  const std::vector<std::string> texts{"the cat sat on the mat; the hat. 12345 é 你好\n\n"};
  const Tokenizer tokenizer = Tokenizer::from_json(train_bpe(texts, options), "trained");
  for (const std::string text : {"the cat's hat", "12345", "é 你好 \n\n x", "<|end|>"}) {
    EXPECT_EQ(tokenizer.decode(tokenizer.encode(text, false), false), text);
    EXPECT_EQ(tokenizer.decode(tokenizer.encode_ordinary(text), false), text);
  }
  EXPECT_EQ(tokenizer.encode("<|end|>", false), (Ids{0}));
  EXPECT_GT(tokenizer.encode_ordinary("<|end|>").size(), 1u);
}

std::vector<std::string> stream(const Tokenizer& tokenizer, const Ids& ids) {
  TokenStream tokens(tokenizer);
  std::vector<std::string> texts;
  for (const int32_t id : ids) texts.push_back(tokens.push(id));
  texts.push_back(tokens.flush());
  return texts;
}

using Texts = std::vector<std::string>;

TEST(TokenStream, HoldsBackIncompleteCharacters) {
  const Tokenizer tokenizer = byte_tokenizer();
  EXPECT_EQ(stream(tokenizer, {0, 10, 11, 1}), (Texts{"a", "", "é", "b", ""}));
  EXPECT_EQ(stream(tokenizer, {10, 1}), (Texts{"", "\uFFFDb", ""}));
  EXPECT_EQ(stream(tokenizer, {11, 10}), (Texts{"\uFFFD", "", "\uFFFD"}));
  EXPECT_EQ(stream(tokenizer, {0, 13, 99, 1}), (Texts{"a", "", "", "b", ""}));
}

TEST(TokenStream, StripsTheFirstBlankOnly) {
  const Tokenizer tokenizer = make_tokenizer(kFallbackModel, kMetaspace);
  EXPECT_EQ(stream(tokenizer, {8, 6, 3, 4}), (Texts{"ab", " a", " ", "a", ""}));
  EXPECT_EQ(stream(tokenizer, {3, 3, 4}), (Texts{"", " ", "a", ""}));
}

TEST(TokenStream, WaitsForTheEndOfARunOfByteTokens) {
  const Tokenizer tokenizer = make_tokenizer(kFallbackModel, kMetaspace);
  EXPECT_EQ(stream(tokenizer, {8, 1, 2, 4}), (Texts{"ab", "", "", "éa", ""}));
  EXPECT_EQ(stream(tokenizer, {8, 1}), (Texts{"ab", "", "\uFFFD"}));
}

TEST(TokenStream, StartsAnewAfterFlush) {
  TokenStream tokens(make_tokenizer(kFallbackModel, kMetaspace));
  EXPECT_EQ(tokens.push(8), "ab");
  EXPECT_EQ(tokens.flush(), "");
  EXPECT_EQ(tokens.push(6), "a");
}

TEST(TokenStream, JoinsWithBlanksWithoutADecoder) {
  const Tokenizer tokenizer = make_tokenizer(R"({"vocab": {"a": 0, "b": 1}, "merges": []})");
  EXPECT_EQ(tokenizer.decode(Ids{0, 1, 0}, false), "a b a");
  EXPECT_EQ(stream(tokenizer, {0, 1, 0}), (Texts{"a", " b", " a", ""}));
}

}  // namespace
}  // namespace dlm
