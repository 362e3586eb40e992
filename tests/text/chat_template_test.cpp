// Chat templates: where they come from, what they see, and where the answers are.
#include "text/chat_template.h"

#include <gtest/gtest.h>

#include <functional>

#include "support/error.h"

namespace dlm {
namespace {

constexpr const char* kChatMl =
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

ChatTemplate chatml() {
  return ChatTemplate::from_config(Json::object(), kChatMl);
}

Json conversation(const std::string& text) {
  return parse_json(text);
}

// The answers' texts, joined by '|'.
std::string answers_of(const RenderedChat& chat) {
  std::string joined;
  for (const ByteSpan& span : chat.answers) {
    if (!joined.empty()) joined += "|";
    joined += chat.text.substr(span.begin, span.end - span.begin);
  }
  return joined;
}

void expect_error(const std::function<void()>& action, const std::string& message) {
  try {
    action();
    FAIL() << "no error; wanted: " << message;
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kFormat);
    EXPECT_EQ(error.message(), message);
    EXPECT_FALSE(error.hint().empty());
  }
}

const char* const kTwoTurns = R"([{"role": "user", "content": "Hi"},
  {"role": "assistant", "content": "Hello."}, {"role": "user", "content": "Bye"},
  {"role": "assistant", "content": "See you."}])";

TEST(ChatTemplate, RendersChatMl) {
  EXPECT_EQ(chatml().render(conversation(R"([{"role": "user", "content": "Hi"}])"), true),
            "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
  EXPECT_EQ(chatml().render(conversation(R"([{"role": "user", "content": "Hi"}])"), false),
            "<|im_start|>user\nHi<|im_end|>\n");
}

TEST(ChatTemplate, SpansHoldTheAnswerAndItsEndToken) {
  const RenderedChat chat = chatml().render_with_spans(conversation(kTwoTurns));
  EXPECT_EQ(chat.text,
            "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello.<|im_end|>\n"
            "<|im_start|>user\nBye<|im_end|>\n<|im_start|>assistant\nSee you.<|im_end|>\n");
  EXPECT_EQ(chat.answers, (std::vector<ByteSpan>{{52, 68}, {122, 140}}));
  EXPECT_EQ(answers_of(chat), "Hello.<|im_end|>|See you.<|im_end|>");
}

TEST(ChatTemplate, SpansAreByBytes) {
  const RenderedChat chat = chatml().render_with_spans(conversation(
      R"([{"role": "user", "content": "你"}, {"role": "assistant", "content": "好 é"}])"));
  EXPECT_EQ(answers_of(chat), "好 é<|im_end|>");
}

TEST(ChatTemplate, GivesNoSpanWithoutAnswers) {
  EXPECT_TRUE(chatml()
                  .render_with_spans(conversation(R"([{"role": "user", "content": "Hi"}])"))
                  .answers.empty());
}

TEST(ChatTemplate, FindsAnAnswerThatBeginsTheConversation) {
  const RenderedChat chat = chatml().render_with_spans(conversation(
      R"([{"role": "assistant", "content": "First"}, {"role": "user", "content": "x"}])"));
  EXPECT_EQ(answers_of(chat), "First<|im_end|>");
}

TEST(ChatTemplate, FindsAnswersThatALaterTurnRewrites) {
  // Reasoning is written for the last answer only.
  const ChatTemplate chat = ChatTemplate::from_config(
      Json::object(),
      "{% for m in messages %}<{{ m.role }}>{% if m.role == 'assistant' and loop.last %}"
      "<think></think>{% endif %}{{ m.content }}<end>\n{% endfor %}"
      "{% if add_generation_prompt %}<assistant>{% endif %}");
  EXPECT_EQ(answers_of(chat.render_with_spans(conversation(kTwoTurns))),
            "Hello.<end>|<think></think>See you.<end>");
}

TEST(ChatTemplate, FindsAnswersBehindAReasoningPrompt) {
  const ChatTemplate chat = ChatTemplate::from_config(
      Json::object(),
      "{% for m in messages %}<{{ m.role }}>{{ m.content }}<end>{% endfor %}"
      "{% if add_generation_prompt %}<assistant><think>{% endif %}");
  EXPECT_EQ(answers_of(chat.render_with_spans(conversation(kTwoTurns))),
            "Hello.<end>|See you.<end>");
}

TEST(ChatTemplate, TakesGenerationBlocksWhenThePromptIsNoPrefix) {
  const ChatTemplate chat = ChatTemplate::from_config(
      Json::object(),
      "{% for m in messages %}<{{ m.role }}>{% if m.role == 'assistant' %}{% generation %}"
      "{{ m.content }}<end>{% endgeneration %}{% else %}{{ m.content }}<end>{% endif %}{% endfor %}"
      "{% if add_generation_prompt %}<assistant><think>{% endif %}");
  EXPECT_EQ(answers_of(chat.render_with_spans(conversation(kTwoTurns))),
            "Hello.<end>|See you.<end>");
}

TEST(ChatTemplate, RefusesToGuessAnswers) {
  const ChatTemplate chat = ChatTemplate::from_config(
      Json::object(), "{% for m in messages %}{{ m.content | upper }}{% endfor %}!");
  expect_error(
      [&] { chat.render_with_spans(conversation(kTwoTurns)); },
      "the chat template rewrites earlier turns, so the assistant's answers cannot be told "
      "from the rest");
}

TEST(ChatTemplate, ReadsTemplateAndTokensFromTheConfiguration) {
  const ChatTemplate chat = ChatTemplate::from_config(parse_json(
      R"({"chat_template": "{{ bos_token }}{{ eos_token }}{{ pad_token is defined }}",
          "bos_token": "<s>", "eos_token": {"content": "</s>", "lstrip": false}, "pad_token": null,
          "add_bos_token": true})"));
  EXPECT_EQ(chat.render(Json::array(), false), "<s></s>False");
  EXPECT_EQ(*chat.special_token("eos_token"), "</s>");
  EXPECT_EQ(chat.special_token("pad_token"), nullptr);
  EXPECT_EQ(chat.special_token("add_bos_token"), nullptr);
}

TEST(ChatTemplate, PrefersTheFileOverTheConfiguration) {
  const Json config = parse_json(R"({"chat_template": "old"})");
  EXPECT_EQ(ChatTemplate::from_config(config, "new").render(Json::array(), false), "new");
  EXPECT_EQ(ChatTemplate::from_config(config).render(Json::array(), false), "old");
}

TEST(ChatTemplate, ChoosesTheToolTemplateWhenThereAreTools) {
  const ChatTemplate chat = ChatTemplate::from_config(
      parse_json(R"({"chat_template": [{"name": "default", "template": "plain"},
                     {"name": "tool_use", "template": "{{ tools | length }} tools"}]})"));
  EXPECT_EQ(chat.render(Json::array(), false), "plain");
  EXPECT_EQ(chat.render(Json::array(), false, parse_json(R"({"tools": [{}, {}]})")), "2 tools");
  EXPECT_EQ(chat.render(Json::array(), false, parse_json(R"({"tools": null})")), "plain");
}

TEST(ChatTemplate, PassesExtraVariables) {
  const ChatTemplate chat =
      ChatTemplate::from_config(parse_json(R"({"bos_token": "<s>"})"),
                                "{{ bos_token }}{{ enable_thinking }}{{ tools is none }}");
  EXPECT_EQ(chat.render(Json::array(), false, parse_json(R"({"enable_thinking": false})")),
            "<s>FalseTrue");
  EXPECT_EQ(chat.render(Json::array(), false, parse_json(R"({"bos_token": "<b>"})")), "<b>True");
}

TEST(ChatTemplate, SeesAFixedDate) {
  ChatTemplate chat = ChatTemplate::from_config(Json::object(), "{{ strftime_now('%d %b %Y') }}");
  EXPECT_EQ(chat.render(Json::array(), false), "26 Jul 2024");
  chat.set_date({2030, 1, 2});
  EXPECT_EQ(chat.render(Json::array(), false), "02 Jan 2030");
}

TEST(ChatTemplate, RefusesAConfigurationWithoutTemplate) {
  for (const char* config : {"{}", R"({"chat_template": null})", R"({"chat_template": "  "})",
                             R"({"chat_template": [{"name": "rag", "template": "x"}]})"}) {
    expect_error([&] { ChatTemplate::from_config(parse_json(config)); },
                 "the tokenizer has no chat template");
  }
  EXPECT_FALSE(ChatTemplate::is_in_config(parse_json("{}")));
  EXPECT_TRUE(ChatTemplate::is_in_config(parse_json(R"({"chat_template": "x"})")));
}

TEST(ChatTemplate, NamesTheLineOfAnError) {
  try {
    ChatTemplate::from_config(Json::object(), "a\n{% if %}");
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "chat template:2: expected an expression, found '%}'");
  }
}

TEST(ChatTemplate, PassesOnWhatATemplateRefuses) {
  const ChatTemplate chat = ChatTemplate::from_config(
      Json::object(),
      "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}"
      "{% endif %}");
  expect_error([&] { chat.render(conversation(R"([{"role": "system", "content": "x"}])"), true); },
               "the chat template refuses these messages: System role not supported");
}

TEST(ChatTemplate, ShowsMessagesThatTryToBeTemplates) {
  EXPECT_EQ(chatml().render(conversation(R"([{"role": "user", "content": "{{ 1 + 1 }}"}])"), false),
            "<|im_start|>user\n{{ 1 + 1 }}<|im_end|>\n");
}

}  // namespace
}  // namespace dlm
