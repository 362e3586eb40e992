// The BPE trainer: merges worked out by hand, ties, limits, and the shape of the file it writes.
#include "text/bpe_trainer.h"

#include <gtest/gtest.h>

#include "support/error.h"

namespace dlm {
namespace {

std::vector<std::string> merges_of(const Json& file) {
  std::vector<std::string> merges;
  for (const Json& merge : file.at("model").at("merges").items())
    merges.push_back(merge.as_string());
  return merges;
}

std::vector<std::string> train_merges(std::vector<std::string> texts, size_t num_merges,
                                      int64_t min_frequency = 1) {
  BpeTrainerOptions options;
  options.vocab_size = 256 + num_merges;
  options.min_frequency = min_frequency;
  return merges_of(train_bpe(texts, options));
}

using Strings = std::vector<std::string>;

TEST(BpeTrainer, MergesTheMostFrequentPairFirst) {
  // "ab" occurs 3 times, "bc" twice; after "ab" the pair "ab c" is left with 2.
  EXPECT_EQ(train_merges({"abc", "abc", "ab"}, 2), (Strings{"a b", "ab c"}));
}

TEST(BpeTrainer, BreaksTiesByTheLowerIds) {
  // All pairs occur once. The characters' order is by code point: a < b < c < d.
  EXPECT_EQ(train_merges({"cd", "ab"}, 2), (Strings{"a b", "c d"}));
  EXPECT_EQ(train_merges({"ab", "cd"}, 2), (Strings{"a b", "c d"}));
}

TEST(BpeTrainer, CountsOverlappingPairsOfOneLetterLikeNeighbours) {
  // "aaaa" holds 3 neighbours (a,a); after the merge it is "aa aa".
  EXPECT_EQ(train_merges({"aaaa"}, 5), (Strings{"a a", "aa aa"}));
}

TEST(BpeTrainer, NeverMergesAcrossWords) {
  // Words: "x", " y". The blank is the character U+0120.
  EXPECT_EQ(train_merges({"x y x y"}, 10), (Strings{"\u0120 y", "\u0120 x"}));
}

TEST(BpeTrainer, NeverMergesAcrossChunks) {
  EXPECT_EQ(train_merges({"a", "b"}, 10), Strings{});
}

TEST(BpeTrainer, StopsBelowTheMinimumFrequency) {
  EXPECT_EQ(train_merges({"ab ab cd"}, 10, 2), (Strings{"a b"}));
}

TEST(BpeTrainer, SplitsDigitsIntoRunsOfThree) {
  // "123456" is "123" and "456": 3 and 4 never meet.
  EXPECT_EQ(train_merges({"123456"}, 10), (Strings{"1 2", "4 5", "12 3", "45 6"}));
}

TEST(BpeTrainer, GivesTheSameFileForAnyOrderOfTexts) {
  BpeTrainerOptions options;
  options.vocab_size = 300;
  options.min_frequency = 1;
  const Strings forward{"the cat sat on the mat", "a hat on a bat", "\u4F60\u597D"};
  const Strings backward{forward[2], forward[1], forward[0]};
  EXPECT_EQ(train_bpe(forward, options).dump(), train_bpe(backward, options).dump());
}

TEST(BpeTrainer, TakesChunksFromACallback) {
  int calls = 0;
  BpeTrainerOptions options;
  options.vocab_size = 257;
  const Json file = train_bpe(
      [&](std::string& chunk) {
        chunk = "ab";
        return ++calls <= 2;
      },
      options);
  EXPECT_EQ(merges_of(file), (Strings{"a b"}));
}

TEST(BpeTrainer, PutsSpecialTokensFirst) {
  BpeTrainerOptions options;
  options.vocab_size = 259;
  options.special_tokens = {"<|a|>", "<|b|>"};
  const Json file = train_bpe(Strings{"xy xy"}, options);
  const Json& vocab = file.at("model").at("vocab");
  EXPECT_EQ(vocab.size(), 259u);
  EXPECT_EQ(vocab.at("<|a|>").as_int(), 0);
  EXPECT_EQ(vocab.at("<|b|>").as_int(), 1);
  EXPECT_EQ(vocab.at("!").as_int(), 2);
  EXPECT_EQ(vocab.at("xy").as_int(), 258);
  EXPECT_EQ(file.at("added_tokens").items()[1].dump(),
            R"({"id":1,"content":"<|b|>","single_word":false,"lstrip":false,"rstrip":false,)"
            R"("normalized":false,"special":true})");
}

TEST(BpeTrainer, PutsSpecialTokensLast) {
  BpeTrainerOptions options;
  options.vocab_size = 259;
  options.special_tokens = {"<|a|>", "<|b|>"};
  options.special_tokens_first = false;
  const Json file = train_bpe(Strings{"xy xy"}, options);
  const Json& vocab = file.at("model").at("vocab");
  EXPECT_EQ(vocab.at("!").as_int(), 0);
  EXPECT_EQ(vocab.at("xy").as_int(), 256);
  EXPECT_EQ(vocab.at("<|a|>").as_int(), 257);
  EXPECT_EQ(file.at("added_tokens").items()[0].at("id").as_int(), 257);
}

TEST(BpeTrainer, LearnsNoTokenThatSpellsASpecialOne) {
  BpeTrainerOptions options;
  options.vocab_size = 300;
  options.min_frequency = 1;
  options.special_tokens = {"ab"};
  EXPECT_EQ(merges_of(train_bpe(Strings{"abc abc"}, options)),
            (Strings{"b c", "a bc", "\u0120 abc"}));
}

TEST(BpeTrainer, WritesTheSplitAsByteLevelPipeline) {
  BpeTrainerOptions options;
  options.vocab_size = 256;
  options.regex = "\\s+";
  const Json file = train_bpe(Strings{}, options);
  EXPECT_EQ(file.at("pre_tokenizer").dump(),
            R"({"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"Regex":"\\s+"},)"
            R"("behavior":"Isolated","invert":false},{"type":"ByteLevel","add_prefix_space":false,)"
            R"("trim_offsets":true,"use_regex":false}]})");
  EXPECT_EQ(file.at("decoder").at("type").as_string(), "ByteLevel");
  EXPECT_EQ(file.at("model").at("type").as_string(), "BPE");
  EXPECT_EQ(file.at("model").at("vocab").size(), 256u);
}

void expect_error(const BpeTrainerOptions& options, ErrorKind kind, const std::string& message) {
  try {
    BpeTrainer trainer(options);
    FAIL() << "no error; wanted: " << message;
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind);
    EXPECT_EQ(error.message(), message);
    EXPECT_FALSE(error.hint().empty());
  }
}

TEST(BpeTrainer, RefusesOptionsThatCannotBeMet) {
  BpeTrainerOptions options;
  options.vocab_size = 256;
  options.special_tokens = {"<s>"};
  expect_error(options, ErrorKind::kUsage,
               "vocab_size 256 cannot hold 256 bytes and 1 special tokens");
  options.vocab_size = 300;
  options.special_tokens = {"<s>", "<s>"};
  expect_error(options, ErrorKind::kUsage, "special token \"<s>\" is empty or given twice");
  options.special_tokens = {"!"};
  expect_error(options, ErrorKind::kUsage, "special token \"!\" is a single byte character");
  options.special_tokens.clear();
  options.regex = "(";
  expect_error(options, ErrorKind::kFormat,
               "the regular expression \"(\" cannot be compiled: missing closing parenthesis");
}

TEST(BpeTrainer, RefusesTextThatIsNotUtf8) {
  BpeTrainer trainer({});
  try {
    trainer.add("ok \xFF");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kEncoding);
    EXPECT_NE(error.message().find("at byte 3"), std::string::npos);
  }
}

}  // namespace
}  // namespace dlm
