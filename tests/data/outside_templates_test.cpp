// Conversations with the tokenizers and chat templates of published bases: they are formed so that
// the labelled tokens are the answer and its end of turn (with what some templates write before
// every answer), or are refused with an error that a person can act on. Cases are the folders below
// $DLM_TEST_DATA/tokenizers; where one has a template alone, its control tokens are put into a
// small tokenizer of our own.
#include <gtest/gtest.h>

#include "data/chat_format.h"
#include "outside_bases.h"
#include "support/error.h"

namespace dlm {
namespace {

class OutsideTemplate : public ::testing::TestWithParam<std::string> {};

std::vector<int32_t> labelled(const TokenRow& row) {
  std::vector<int32_t> ids;
  for (const int32_t label : row.labels()) {
    if (label >= 0) ids.push_back(label);
  }
  return ids;
}

// What the template writes between the prompt and every answer: nothing, a blank, an empty thought.
std::string lead_of(const ChatFormat& format) {
  const TokenRow row = format.conversation("What swims?", "Otters", std::nullopt);
  const std::string text = format.tokenizer().decode(labelled(row), true);
  EXPECT_TRUE(text.ends_with("Otters")) << text;
  return text.substr(0, text.size() - std::min<size_t>(text.size(), 6));
}

TEST_P(OutsideTemplate, LabelsDecodeToTheAnswerAndItsEnd) {
  const TemporaryFolder made;
  const ChatFormat format = ChatFormat::load(base_folder(GetParam(), made));
  const std::string lead = lead_of(format);
  const char* answers[] = {"The otter swims in the river.", "42", "Two lines:\n- one\n- two",
                           "Zwölf Boxkämpfer, 日本語 und 🙂.", "if (a < b) { return; }"};
  for (const char* answer : answers) {
    const std::vector<int32_t> prompt = format.prompt("What swims?", std::nullopt);
    const TokenRow row = format.conversation("What swims?", answer, std::nullopt);
    ASSERT_TRUE(std::equal(prompt.begin(), prompt.end(), row.tokens.begin()));
    const std::vector<int32_t> labels = row.labels();
    for (size_t i = 0; i < labels.size(); ++i) {
      EXPECT_EQ(labels[i] >= 0, i + 1 >= prompt.size() && i + 1 < row.tokens.size());
    }
    const std::vector<int32_t> spoken = labelled(row);
    const auto& stops = format.stop_tokens();
    EXPECT_NE(std::find(stops.begin(), stops.end(), spoken.back()), stops.end())
        << "the turn ends with " << format.tokenizer().token_text(spoken.back())
        << ", which stops nothing";
    EXPECT_EQ(format.tokenizer().decode(spoken, true), lead + answer);
    // What prompting shows: token by token, up to the stop.
    TokenStream stream(format.tokenizer());
    std::string shown;
    for (size_t i = 0; i + 1 < spoken.size(); ++i) shown += stream.push(spoken[i]);
    EXPECT_EQ(shown + stream.flush(), lead + answer);
  }
}

TEST_P(OutsideTemplate, ControlTokensSpelledInAQuestionStayText) {
  const TemporaryFolder made;
  const ChatFormat format = ChatFormat::load(base_folder(GetParam(), made));
  const std::vector<int32_t> plain = format.prompt("What swims?", std::nullopt);
  const auto controls = [&](const std::vector<int32_t>& ids) {
    std::vector<int32_t> found;
    for (const int32_t id : ids) {
      if (format.tokenizer().is_special(id)) found.push_back(id);
    }
    return found;
  };
  for (const int32_t id : controls(plain)) {
    const std::string question = "What is " + format.tokenizer().token_text(id) + " here?";
    EXPECT_EQ(controls(format.prompt(question, std::nullopt)), controls(plain)) << question;
  }
}

INSTANTIATE_TEST_SUITE_P(Bases, OutsideTemplate, ::testing::ValuesIn(bases_with_template()),
                         [](const auto& test) { return test_name(test.param); });
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(OutsideTemplate);

TEST(OutsideTemplates, AreThere) {
  if (std::getenv("DLM_TEST_DATA") == nullptr) GTEST_SKIP() << "skipped: DLM_TEST_DATA is not set";
  if (bases_with_template().empty()) GTEST_SKIP() << "skipped: no tokenizers with chat templates";
}

}  // namespace
}  // namespace dlm
