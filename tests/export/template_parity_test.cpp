// Prompts of exported templates against the base's own, token for token, for templates of every
// family, and against texts that are written out.
#include "export/template_parity.h"

#include <gtest/gtest.h>

#include "outside_bases.h"
#include "support/error.h"

namespace dlm {
namespace {

ChatTemplate chat_of(const std::string& jinja, const std::string& bos = "") {
  Json config = Json::object();
  if (!bos.empty()) config.set("bos_token", bos);
  config.set("eos_token", "</s>");
  return ChatTemplate::from_config(config, jinja);
}

std::string go_prompt(const std::string& jinja, const std::string& bos, bool bos_is_added,
                      const std::vector<ChatMessage>& messages) {
  const ChatShape shape = find_chat_shape(chat_of(jinja, bos), bos);
  return OllamaTemplate(go_chat_template(shape, bos, bos_is_added)).render(messages);
}

const std::vector<ChatMessage> kMultiTurn = {{"system", "You are a helpful assistant."},
                                             {"user", "What is 2 + 2?"},
                                             {"assistant", "4"},
                                             {"user", "And 3 + 3?"}};
const std::vector<ChatMessage> kQuestion = {{"user", "Hello!"}};

constexpr const char* kChatml =
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nBe kind.<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + "
    "message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

TEST(GoChatTemplate, IsReadableForChatml) {
  const ChatShape shape = find_chat_shape(chat_of(kChatml), "");
  EXPECT_EQ(go_chat_template(shape, "", false),
            "{{ range $i, $m := .Messages }}{{ if and (eq $i 0) (ne $m.Role \"system\") }}"
            "<|im_start|>system\nBe kind.<|im_end|>\n{{ end }}"
            "{{ if eq $m.Role \"system\" }}<|im_start|>system\n{{ $m.Content }}<|im_end|>\n"
            "{{ else if eq $m.Role \"user\" }}<|im_start|>user\n{{ $m.Content }}<|im_end|>\n"
            "{{ else if eq $m.Role \"assistant\" }}<|im_start|>assistant\n{{ $m.Content }}"
            "<|im_end|>\n{{ end }}{{ end }}<|im_start|>assistant\n");
  EXPECT_EQ(chat_dialect(shape), "chatml");
}

TEST(GoChatTemplate, WritesOneSystemBlock) {
  EXPECT_EQ(go_prompt(kChatml, "", false, kMultiTurn),
            "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\nWhat is "
            "2 + 2?<|im_end|>\n<|im_start|>assistant\n4<|im_end|>\n<|im_start|>user\nAnd 3 + "
            "3?<|im_end|>\n<|im_start|>assistant\n");
}

TEST(GoChatTemplate, InsertsTheDefaultSystemPrompt) {
  EXPECT_EQ(go_prompt(kChatml, "", false, kQuestion),
            "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nHello!<|im_end|>\n"
            "<|im_start|>assistant\n");
}

constexpr const char* kGemma =
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}"
    "{% endif %}{% for m in messages %}{{ '<start_of_turn>' + ('model' if m['role'] == 'assistant' "
    "else m['role']) + '\n' + m['content'] | trim + '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{'<start_of_turn>model\n'}}{% endif %}";

TEST(GoChatTemplate, PutsTheSystemTextBeforeTheFirstQuestionWhereTheBaseKnowsNone) {
  const std::string expected =
      "<start_of_turn>user\nYou are a helpful assistant.\n\nWhat is 2 + 2?<end_of_turn>\n"
      "<start_of_turn>model\n4<end_of_turn>\n<start_of_turn>user\nAnd 3 + 3?<end_of_turn>\n"
      "<start_of_turn>model\n";
  EXPECT_EQ(go_prompt(kGemma, "<bos>", true, kMultiTurn), expected);
  EXPECT_EQ(go_prompt(kGemma, "<bos>", false, kMultiTurn), "<bos>" + expected);
}

TEST(GoChatTemplate, KeepsBlanksOfMistral) {
  const std::string jinja =
      "{{ bos_token }}{% set s = '' %}{% if messages[0]['role'] == 'system' %}{% set s = "
      "messages[0]['content'] + '\n\n' %}{% set messages = messages[1:] %}{% endif %}"
      "{% for m in messages %}{% if m['role'] == 'user' %}{{ ' [INST] ' + (s if loop.first else "
      "'') "
      "+ m['content'] + ' [/INST]' }}{% else %}{{ ' ' + m['content'] + eos_token }}{% endif %}"
      "{% endfor %}";
  EXPECT_EQ(
      go_prompt(jinja, "<s>", true, kMultiTurn),
      " [INST] You are a helpful assistant.\n\nWhat is 2 + 2? [/INST] 4</s> [INST] And 3 + 3? "
      "[/INST]");
  EXPECT_EQ(go_prompt(jinja, "<s>", true, kQuestion), " [INST] Hello! [/INST]");
}

TEST(GoChatTemplate, EndsTheLastAnswerAsOlmoDoes) {
  const std::string jinja =
      "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'assistant' %}{{ '<|assistant|>\n' "
      "+ m['content'] + '<|endoftext|>' + ('' if loop.last else '\n') }}{% else %}{{ '<|' + "
      "m['role'] + '|>\n' + m['content'] + '\n' }}{% endif %}{% endfor %}"
      "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}";
  EXPECT_EQ(go_prompt(jinja, "<|endoftext|>", false,
                      {{"user", "a"}, {"assistant", "b"}, {"user", "c"}, {"assistant", "d"}}),
            "<|endoftext|><|user|>\na\n<|assistant|>\nb<|endoftext|>\n<|user|>\nc\n<|assistant|>\n"
            "d<|endoftext|><|assistant|>\n");
}

TEST(GoChatTemplate, QuotesBracesOfTheBase) {
  const std::string jinja =
      "{% for m in messages %}{{ '{{' + m['role'] + '}} {' + m['content'] + '}{' }}{% endfor %}";
  EXPECT_EQ(go_prompt(jinja, "", false, kQuestion), "{{user}} {Hello!}{");
}

TEST(ChatShape, RefusesATemplateThatDependsOnThePlace) {
  EXPECT_THROW(find_chat_shape(chat_of("{% for m in messages %}{{ m['content'] ~ loop.index }}"
                                       "{% endfor %}"),
                               ""),
               Error);
  EXPECT_THROW(find_chat_shape(chat_of("{{ messages | length }}"), ""), Error);
}

class OutsideParity : public ::testing::TestWithParam<std::string> {};

// Templates that look at more than the roles of neighbours: none of the plain conversations may
// differ all the same.
TEST_P(OutsideParity, PlainConversationsAreEqualTokenForToken) {
  const TemporaryFolder made;
  const ChatFormat format = ChatFormat::load(base_folder(GetParam(), made));
  for (const bool bos_is_added : {false, true}) {
    const TemplateParity parity = prove_template(format, bos_is_added);
    for (const ParityCase& c : parity.cases) {
      if (!c.is_core) continue;
      EXPECT_EQ(c.outcome, ParityCase::Outcome::kEqual) << c.name << ": " << c.detail << "\n"
                                                        << parity.source;
    }
    EXPECT_GE(parity.num_equal(), 10) << ::testing::PrintToString(parity.differences());
  }
}

INSTANTIATE_TEST_SUITE_P(Data, OutsideParity, ::testing::ValuesIn(bases_with_template()),
                         [](const auto& test) {
                           std::string name = test.param;
                           for (char& c : name) {
                             if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
                           }
                           return name;
                         });
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(OutsideParity);

}  // namespace
}  // namespace dlm
