// Real chat templates against recorded texts of the reference implementation; each folder of
// outside data is one test. Where a case is recorded as an error, an error is wanted.
#include <gtest/gtest.h>

#include "support/error.h"
#include "text/chat_template.h"
#include "text/outside_data.h"
#include "text/tokenizer.h"

namespace dlm {
namespace {

ChatTemplate load_template(const fs::path& folder) {
  const fs::path config = folder / "tokenizer_config.json";
  const fs::path jinja = folder / "chat_template.jinja";
  std::optional<std::string> text;
  if (fs::exists(jinja)) text = read_file(jinja);
  ChatTemplate chat = ChatTemplate::from_config(parse_json(read_file(config)), std::move(text));
  chat.set_date({2025, 1, 15, 12, 30, 0});
  return chat;
}

// The recorded variables: special tokens, tools and keyword arguments.
Json variables_of(const Json& vector) {
  Json extra = Json::object();
  for (const auto& [key, value] : vector.at("special_tokens").members()) extra.set(key, value);
  if (const Json* tools = vector.find("tools")) extra.set("tools", *tools);
  if (const Json* arguments = vector.find("kwargs")) {
    for (const auto& [key, value] : arguments->members()) extra.set(key, value);
  }
  return extra;
}

std::string render_or_error(const ChatTemplate& chat, const Json& messages, bool prompt,
                            const Json& extra) {
  try {
    return chat.render(messages, prompt, extra);
  } catch (const Error& error) {
    return "error: " + error.message();
  }
}

class RealTemplate : public testing::TestWithParam<std::string> {};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(RealTemplate);

TEST_P(RealTemplate, GivesTheRecordedTexts) {
  const fs::path folder = tokenizer_folder(GetParam());
  const ChatTemplate chat = load_template(folder);
  int num_vectors = 0;
  for (const Json& vector : read_json_lines(folder / "chat_vectors.jsonl")) {
    ++num_vectors;
    const Json& messages = vector.at("messages");
    const bool prompt = vector.at("add_generation_prompt").as_bool();
    const std::string text = render_or_error(chat, messages, prompt, variables_of(vector));
    if (vector.find("error") != nullptr) {
      EXPECT_TRUE(text.starts_with("error: the chat template refuses these messages")) << text;
      continue;
    }
    EXPECT_EQ(text, vector.at("text").as_string()) << messages.dump();
  }
  EXPECT_GT(num_vectors, 0);
}

TEST_P(RealTemplate, TakesItsSpecialTokensFromTheConfiguration) {
  const fs::path folder = tokenizer_folder(GetParam());
  const ChatTemplate chat = load_template(folder);
  for (const Json& vector : read_json_lines(folder / "chat_vectors.jsonl")) {
    if (vector.find("text") == nullptr || vector.find("kwargs") != nullptr ||
        vector.find("tools") != nullptr) {
      continue;
    }
    EXPECT_EQ(chat.render(vector.at("messages"), vector.at("add_generation_prompt").as_bool()),
              vector.at("text").as_string());
  }
}

TEST_P(RealTemplate, RenderedTextGivesTheRecordedIds) {
  const fs::path folder = tokenizer_folder(GetParam());
  if (!fs::exists(folder / "tokenizer.json"))
    GTEST_SKIP() << "skipped: a template without tokenizer";
  const Tokenizer tokenizer = Tokenizer::load(folder / "tokenizer.json");
  for (const Json& vector : read_json_lines(folder / "chat_vectors.jsonl")) {
    const Json* expected = vector.find("ids");
    if (expected == nullptr) continue;
    std::vector<Json> ids;
    for (const int32_t id : tokenizer.encode(vector.at("text").as_string(), false)) {
      ids.emplace_back(static_cast<int64_t>(id));
    }
    EXPECT_EQ(Json::array(ids).dump(), expected->dump());
  }
}

// Every span must hold its answer, whole and trimmed, and spans must not overlap.
TEST_P(RealTemplate, FindsTheAnswers) {
  const fs::path folder = tokenizer_folder(GetParam());
  const ChatTemplate chat = load_template(folder);
  int num_found = 0, num_refused = 0;
  for (const Json& vector : read_json_lines(folder / "chat_vectors.jsonl")) {
    if (vector.find("text") == nullptr || vector.find("tools") != nullptr) continue;
    const Json& messages = vector.at("messages");
    RenderedChat chat_text;
    try {
      chat_text = chat.render_with_spans(messages, variables_of(vector));
    } catch (const Error& error) {
      ++num_refused;
      continue;
    }
    size_t next = 0, last_end = 0;
    for (const Json& message : messages.items()) {
      if (message.at("role").as_string() != "assistant") continue;
      ASSERT_LT(next, chat_text.answers.size()) << messages.dump();
      const ByteSpan span = chat_text.answers[next++];
      ASSERT_LE(last_end, span.begin);
      ASSERT_LE(span.end, chat_text.text.size());
      last_end = span.end;
      const Json* content = message.find("content");
      if (content == nullptr || !content->is_string()) continue;
      std::string wanted = content->as_string();
      if (const size_t think = wanted.rfind("</think>"); think != std::string::npos) {
        wanted.erase(0, think + 8);
      }
      while (!wanted.empty() && (wanted.back() == '\n' || wanted.back() == ' ')) wanted.pop_back();
      while (!wanted.empty() && (wanted[0] == '\n' || wanted[0] == ' ')) wanted.erase(0, 1);
      const std::string answer = chat_text.text.substr(span.begin, span.end - span.begin);
      EXPECT_NE(answer.find(wanted), std::string::npos) << answer << "\nwanted: " << wanted;
    }
    if (next > 0) ++num_found;
  }

  RecordProperty("found", num_found);
  RecordProperty("refused", num_refused);
  EXPECT_GT(num_found, 0);
}

INSTANTIATE_TEST_SUITE_P(Folders, RealTemplate,
                         testing::ValuesIn(folders_with("chat_vectors.jsonl")),
                         [](const auto& folder) { return test_name(folder.param); });

TEST(RealTemplates, AreThere) {
  if (std::getenv("DLM_TEST_DATA") == nullptr) GTEST_SKIP() << "skipped: DLM_TEST_DATA is not set";
  EXPECT_FALSE(folders_with("chat_vectors.jsonl").empty());
}

TEST(RealTemplates, GiveTheTextsOfManyModels) {
  if (std::getenv("DLM_TEST_DATA") == nullptr) GTEST_SKIP() << "skipped: DLM_TEST_DATA is not set";
  const fs::path file = tokenizer_folder("_chat_e2e") / "hfjs_e2e.jsonl";
  if (!fs::exists(file)) GTEST_SKIP() << "skipped: no _chat_e2e folder";
  for (const Json& vector : read_json_lines(file)) {
    // This one's recorded text has JSON without blanks, which the reference does not write.
    if (vector.at("name").as_string() == "MadeAgents/Hammer2.1") continue;
    ChatTemplate chat =
        ChatTemplate::from_config(Json::object(), vector.at("chat_template").as_string());
    chat.set_date({2025, 7, 10});
    Json extra = vector.at("data");
    // Recorded without the variable, which this template then takes for true.
    if (vector.at("name").as_string() == "ai21labs/AI21-Jamba-Large-1.6") {
      extra.set("add_generation_prompt", true);
    }
    EXPECT_EQ(render_or_error(chat, extra.at("messages"), false, extra),
              vector.at("target").as_string())
        << vector.at("name").as_string();
  }
}

}  // namespace
}  // namespace dlm
