// A base, alone or with an adapter, answering questions: what streams is what is returned, limits
// hold, and broken folders are refused by name.
#include "infer/session.h"

#include <gtest/gtest.h>

#include "support/error.h"
#include "support/interrupt.h"
#include "temporary_folder.h"
#include "tiny_base.h"

namespace dlm {
namespace {

class SessionTest : public ::testing::Test {
 protected:
  SessionTest() {
    base_.key = kTinyBaseKey;
    base_.folder = folder_ / kTinyBaseKey;
    write_tiny_base(base_.folder);
  }
  ~SessionTest() override { clear_interrupt(); }

  std::unique_ptr<Session> open(const fs::path& adapter = {}) {
    return Session::open(base_, adapter, device_);
  }
  template <typename Call>
  std::string fault(Call call) {
    try {
      call();
    } catch (const Error& error) {
      kind_ = error.kind();
      std::string text = error.what();
      const std::string root = folder_.path().string();
      for (size_t at; (at = text.find(root)) != text.npos;) text.replace(at, root.size(), "HERE");
      return text;
    }
    return "no error";
  }

  TemporaryFolder folder_;
  Base base_;
  Device device_{1};
  ErrorKind kind_ = ErrorKind::kInternal;
};

TEST_F(SessionTest, StreamsWhatItReturns) {
  const auto session = open();
  AnswerOptions options;
  options.max_tokens = 40;
  options.sampling.temperature = 2.0;  // the tiny base then says all kinds of bytes
  for (uint64_t seed = 0; seed < 5; ++seed) {
    options.sampling.seed = seed;
    std::string streamed;
    const Answer answer = session->answer("What swims?", options, [&](std::string_view text) {
      EXPECT_FALSE(text.empty());
      streamed += text;
    });
    EXPECT_EQ(streamed, answer.text);
    EXPECT_EQ(session->answer("What swims?", options).text, answer.text);
    EXPECT_LE(answer.answer_tokens, 40);
  }
}

TEST_F(SessionTest, CountsTokensAndStopsAtTheLimit) {
  const auto session = open();
  AnswerOptions options;
  options.max_tokens = 3;
  const Answer answer = session->answer("What swims?", options);
  EXPECT_EQ(answer.prompt_tokens,
            static_cast<int64_t>(session->format().prompt("What swims?", std::nullopt).size()));
  EXPECT_LE(answer.answer_tokens, 3);
  EXPECT_EQ(answer.stopped, answer.answer_tokens < 3);
}

TEST_F(SessionTest, TheSystemPromptIsPartOfThePrompt) {
  const auto session = open();
  AnswerOptions options;
  options.max_tokens = 1;
  const int64_t without = session->answer("q", options).prompt_tokens;
  options.system_prompt = "Be brief.";
  EXPECT_GT(session->answer("q", options).prompt_tokens, without);
}

TEST_F(SessionTest, TheContextIsTheLastLimit) {
  const auto session = open();
  AnswerOptions options;
  options.max_tokens = 1 << 20;
  const std::string question(480, 'q');
  const Answer answer = session->answer(question, options);
  EXPECT_LE(answer.prompt_tokens + answer.answer_tokens, 512);
}

TEST_F(SessionTest, RefusesAPromptThatLeavesNoRoom) {
  const auto session = open();
  const std::string text = fault([&] { session->answer(std::string(5000, 'q'), AnswerOptions()); });
  EXPECT_TRUE(text.starts_with("the prompt has ")) << text;
  EXPECT_TRUE(text.ends_with(" tokens, the base's context is 512")) << text;
  EXPECT_EQ(kind_, ErrorKind::kInference);
  // And answers the next question.
  EXPECT_EQ(fault([&] { session->answer("q", AnswerOptions()); }), "no error");
}

TEST_F(SessionTest, AFreshAdapterAnswersAsTheBase) {
  const auto decoder = Decoder::load(base_.folder, DType::kF32);
  fs::create_directories(folder_ / "adapter");
  LoraAdapter::create(*decoder, {}, 1)->save(folder_ / "adapter");
  AnswerOptions options;
  options.max_tokens = 16;
  EXPECT_EQ(open(folder_ / "adapter")->answer("What swims?", options).text,
            open()->answer("What swims?", options).text);
}

TEST_F(SessionTest, AnInterruptEndsTheAnswer) {
  const auto session = open();
  AnswerOptions options;
  options.max_tokens = 400;
  options.sampling.temperature = 5.0;
  int pieces = 0;
  EXPECT_EQ(fault([&] {
              session->answer("q", options, [&](std::string_view) {
                if (++pieces == 2) raise_interrupt();
              });
            }),
            "interrupted");
  EXPECT_EQ(pieces, 2);
}

TEST_F(SessionTest, RefusesAnAdapterThatIsNotThere) {
  const std::string text = fault([&] { open(folder_ / "no-adapter"); });
  EXPECT_NE(text.find("HERE/no-adapter"), text.npos) << text;
}

TEST_F(SessionTest, RefusesAnAdapterOfAnotherBase) {
  ModelConfig other = tiny_model_config();
  other.hidden_size = 32;
  const auto decoder = Decoder::random(other, DType::kF32, 1);
  fs::create_directories(folder_ / "adapter");
  LoraAdapter::create(*decoder, {}, 1)->save(folder_ / "adapter");
  const std::string text = fault([&] { open(folder_ / "adapter"); });
  EXPECT_NE(text.find("HERE/adapter/adapter_model.safetensors"), text.npos) << text;
  EXPECT_NE(kind_, ErrorKind::kInternal);
}

TEST_F(SessionTest, RefusesATokenizerWithTokensThatTheModelLacks) {
  ModelConfig small = tiny_model_config();
  small.vocab_size = 300;
  Decoder::random(small, DType::kF32, 1)->save(base_.folder);
  EXPECT_EQ(fault([&] { open(); }), "HERE/dlm-nano: the tokenizer has 319 tokens, the model 300");
  EXPECT_EQ(kind_, ErrorKind::kBase);
}

TEST_F(SessionTest, RefusesATemplateThatWritesNothing) {
  write_file_atomic(base_.folder / "tokenizer_config.json",
                    tiny_tokenizer_config("<|im_end|>", "{% if false %}x{% endif %}"));
  const auto session = open();
  EXPECT_EQ(fault([&] { session->answer("q", AnswerOptions()); }),
            "HERE/dlm-nano: the chat template writes nothing for a question");
  EXPECT_EQ(kind_, ErrorKind::kBase);
}

}  // namespace
}  // namespace dlm
