// Greedy generation along a draft: the same tokens as without where no two are nearly equally
// likely, wherever the draft is wrong.
#include <gtest/gtest.h>

#include "engine/cpu/gemm.h"
#include "engine/cpu/isa.h"
#include "model/generate.h"
#include "model/tiny_decoder.h"
#include "support/error.h"

namespace dlm {
namespace {

class Drafted : public testing::TestWithParam<DType> {
 protected:
  Drafted() : decoder_(Decoder::random(tiny_config(false), GetParam(), 5)) {}
  void SetUp() override {
    if (GetParam() == DType::kBF16 && !has_bf16_products(isa_tier())) {
      GTEST_SKIP() << "skipped: no bf16 products on this tier";
    }
  }

  std::vector<int32_t> drafted(std::vector<int32_t> draft, int64_t max_tokens,
                               std::vector<int32_t> stops = {}, int64_t capacity = 64) {
    Generator generator(*decoder_, nullptr, device_, capacity);
    const Generation said = generate_drafted(generator, prompt_, draft, max_tokens, stops);
    stopped_ = said.stopped;
    return said.tokens;
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

TEST_P(Drafted, GivesWhatPlainGenerationGives) {
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

TEST_P(Drafted, KeepsToItsLimits) {
  const std::vector<int32_t> said = plain(13);
  EXPECT_EQ(drafted(said, 5), plain(5));
  EXPECT_EQ(drafted(said, 0), plain(0));
  EXPECT_EQ(drafted(said, -1), plain(-1));
  EXPECT_EQ(drafted(said, 13, {}, 11), plain(13, {}, 11));
  EXPECT_EQ(drafted(said, 13, {}, 7), plain(13, {}, 7));
}

TEST_P(Drafted, NeedsAPrompt) {
  prompt_.clear();
  EXPECT_THROW(plain(3), Error);
  EXPECT_THROW(drafted({1, 2}, 3), Error);
}

TEST_P(Drafted, StopsAtAStopToken) {
  const std::vector<int32_t> said = plain(13);
  const std::vector<int32_t> stops = {said[6]};
  const std::vector<int32_t> shorter = plain(13, stops);
  ASSERT_TRUE(stopped_);
  EXPECT_EQ(drafted(said, 13, stops), shorter);
  EXPECT_TRUE(stopped_);
}

TEST_P(Drafted, LeavesTheLogitsBehindWhatItTook) {
  const std::vector<int32_t> said = plain(6);
  std::vector<int32_t> draft = said;
  draft[4] = (draft[4] + 1) % static_cast<int32_t>(decoder_->config().vocab_size);
  Generator generator(*decoder_, nullptr, device_, 64);
  ASSERT_EQ(generator.prefill(prompt_, draft), 4);
  EXPECT_EQ(generator.length(), static_cast<int64_t>(prompt_.size()) + 4);
  EXPECT_EQ(argmax(generator.logits()), said[4]);
  EXPECT_EQ(argmax(generator.step(said[4])), said[5]);
}

INSTANTIATE_TEST_SUITE_P(Types, Drafted, testing::Values(DType::kF32, DType::kBF16));

}  // namespace
}  // namespace dlm
