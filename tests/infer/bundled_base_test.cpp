// The base that comes with the program: its control tokens are trained, and it ends a chat turn by
// itself. Its weights are part of the project: without them these tests fail.
#include <gtest/gtest.h>

#include <cmath>

#include "infer/session.h"
#include "support/error.h"

namespace dlm {
namespace {

class BundledBase : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(DLM_SOURCE_ROOT) / "assets" / "dlm-nano";
    ASSERT_TRUE(path_exists(folder_ / "model.safetensors")) << "assets/dlm-nano has no weights";
  }

  fs::path folder_;
};

double norm_of_row(Decoder& decoder, int32_t token) {
  const Tensor& table = decoder.embedding().value;
  const int64_t hidden = table.dim(1);
  double sum = 0;
  for (int64_t i = 0; i < hidden; ++i) {
    const auto x = static_cast<double>(table.f32()[token * hidden + i]);
    sum += x * x;
  }
  return std::sqrt(sum);
}

TEST_F(BundledBase, HasTheShapesThatTheRegistryNames) {
  const ModelConfig config = load_model_config(folder_);
  EXPECT_EQ(config.hidden_size, 256);
  EXPECT_EQ(config.num_layers, 8);
  EXPECT_EQ(config.vocab_size, 8192);
  EXPECT_EQ(config.max_positions, 512);
  EXPECT_TRUE(config.tie_word_embeddings);
  EXPECT_LT(fs::file_size(folder_ / "model.safetensors"), 20'000'000u);
}

TEST_F(BundledBase, ItsControlTokensAreTrained) {
  const ChatFormat format = ChatFormat::load(folder_);
  const auto decoder = Decoder::load(folder_, DType::kF32);
  // No row of the training data holds <|pad|>, so as an input its row has the initial scale; as an
  // output of the tied head it only moved away from what comes.
  const double pad = norm_of_row(*decoder, format.tokenizer().token_id("<|pad|>").value());
  for (const char* token : {"<|endoftext|>", "<|im_start|>", "<|im_end|>"}) {
    const double norm = norm_of_row(*decoder, format.tokenizer().token_id(token).value());
    EXPECT_GT(std::abs(norm - pad), 0.1 * pad) << token << " " << norm << ", <|pad|> " << pad;
  }
}

TEST_F(BundledBase, EndsAChatTurnByItself) {
  Device device;
  const auto session = Session::open({"dlm-nano", folder_, {}}, {}, device);
  const char* prompts[] = {"What is your name?",     "Tell me about the sea.",
                           "Who was the king?",      "What did she say?",
                           "Where did they go?",     "Why was he afraid?",
                           "How does a clock work?", "Write one sentence about winter."};
  AnswerOptions options;
  options.max_tokens = 128;
  int num_stopped = 0;
  for (const char* prompt : prompts) num_stopped += session->answer(prompt, options).stopped;
  EXPECT_GE(num_stopped, 6);
}

}  // namespace
}  // namespace dlm
