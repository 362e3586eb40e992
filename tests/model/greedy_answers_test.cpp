// Greedy answers along drafts and side by side: the same tokens as without and alone where no two
// are nearly equally likely, wherever a draft is wrong.
#include <gtest/gtest.h>

#include "engine/cpu/gemm.h"
#include "engine/cpu/isa.h"
#include "model/generate.h"
#include "model/greedy_answers.h"
#include "model/tiny_decoder.h"
#include "support/error.h"

namespace dlm {
namespace {

class GreedyAnswersOf : public testing::TestWithParam<DType> {
 protected:
  GreedyAnswersOf() : decoder_(Decoder::random(tiny_config(false), GetParam(), 5)) {}
  void SetUp() override {
    if (GetParam() == DType::kBF16 && !has_bf16_products(isa_tier())) {
      GTEST_SKIP() << "skipped: no bf16 products on this tier";
    }
  }

  std::vector<int32_t> drafted(std::vector<int32_t> draft, int64_t max_tokens,
                               std::vector<int32_t> stops = {}, int64_t capacity = 64) {
    const std::vector<SequenceRoom> rooms = {{capacity, false}};
    Sequences sequences(*decoder_, nullptr, device_, rooms);
    GreedyAnswers answers(sequences, stops);
    answers.ask(0, prompt_, max_tokens);
    answers.draft(0, std::move(draft));
    answers.finish();
    stopped_ = answers.answer(0).stopped;
    return answers.answer(0).tokens;
  }
  std::vector<int32_t> plain(int64_t max_tokens, std::vector<int32_t> stops = {},
                             int64_t capacity = 64) {
    Generator generator(*decoder_, nullptr, device_, capacity);
    const Generation said = generate(generator, prompt_, max_tokens, stops, {});
    stopped_ = said.stopped;
    return said.tokens;
  }

  Device device_{2};
  std::unique_ptr<Decoder> decoder_;
  std::vector<int32_t> prompt_ = {3, 1, 4, 1, 5, 9, 2};
  bool stopped_ = false;
};

TEST_P(GreedyAnswersOf, GivesWhatPlainGenerationGives) {
  const std::vector<int32_t> said = plain(13);
  ASSERT_EQ(said.size(), 13u);
  EXPECT_EQ(drafted({}, 13), said);
  EXPECT_EQ(drafted(said, 13), said);
  for (size_t wrong = 0; wrong < said.size(); ++wrong) {
    std::vector<int32_t> draft = said;
    draft[wrong] = (draft[wrong] + 1) % static_cast<int32_t>(decoder_->config().vocab_size);
    EXPECT_EQ(drafted(draft, 13), said) << wrong;
    draft.resize(wrong);
    EXPECT_EQ(drafted(draft, 13), said) << wrong;
  }
}

TEST_P(GreedyAnswersOf, KeepsToItsLimits) {
  const std::vector<int32_t> said = plain(13);
  EXPECT_EQ(drafted(said, 5), plain(5));
  EXPECT_EQ(drafted(said, 0), plain(0));
  EXPECT_EQ(drafted(said, -1), plain(-1));
  EXPECT_EQ(drafted(said, 13, {}, 11), plain(13, {}, 11));
  EXPECT_EQ(drafted(said, 13, {}, 7), plain(13, {}, 7));
}

TEST_P(GreedyAnswersOf, NeedsAPrompt) {
  prompt_.clear();
  EXPECT_THROW(plain(3), Error);
  EXPECT_THROW(drafted({1, 2}, 3), Error);
}

TEST_P(GreedyAnswersOf, StopsAtAStopToken) {
  const std::vector<int32_t> said = plain(13);
  const std::vector<int32_t> stops = {said[6]};
  const std::vector<int32_t> shorter = plain(13, stops);
  ASSERT_TRUE(stopped_);
  EXPECT_EQ(drafted(said, 13, stops), shorter);
  EXPECT_TRUE(stopped_);
}

TEST_P(GreedyAnswersOf, TakesADraftThatComesLate) {
  const std::vector<int32_t> said = plain(13);
  const std::vector<SequenceRoom> rooms = {{64, false}};
  Sequences sequences(*decoder_, nullptr, device_, rooms);
  GreedyAnswers answers(sequences, {});
  answers.ask(0, prompt_, 13);
  answers.append();
  sequences.read();
  answers.take();
  ASSERT_EQ(answers.answer(0).tokens.size(), 1u);
  answers.draft(0, said);
  answers.append();
  sequences.read();
  answers.take();
  EXPECT_TRUE(answers.are_finished());
  EXPECT_EQ(answers.answer(0).tokens, said);
}

TEST_P(GreedyAnswersOf, AnswersSideBySideAsAlone) {
  const std::vector<std::vector<int32_t>> prompts = {
      {3, 1, 4, 1, 5, 9, 2}, {3, 1, 4, 1, 5}, {3, 1, 4, 1, 5, 9, 2}, {7}, {3, 1, 4, 8, 8, 8}};
  std::vector<SequenceRoom> rooms = {{6, true}};
  for (size_t i = 0; i < prompts.size(); ++i) rooms.push_back({40, false});
  Sequences sequences(*decoder_, nullptr, device_, rooms);
  GreedyAnswers answers(sequences, {});
  for (size_t i = 0; i < prompts.size(); ++i) {
    answers.ask(i + 1, prompts[i], 5 + 3 * static_cast<int64_t>(i));
  }
  // A text that is read in the first pass too and has a beginning in common with three of them.
  const std::vector<int32_t> text = {3, 1, 4, 1, 6, 6};
  sequences.append(0, text);
  answers.finish();
  for (size_t i = 0; i < prompts.size(); ++i) {
    prompt_ = prompts[i];
    EXPECT_EQ(answers.answer(i).tokens, plain(5 + 3 * static_cast<int64_t>(i))) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Types, GreedyAnswersOf, testing::Values(DType::kF32, DType::kBF16));

}  // namespace
}  // namespace dlm
