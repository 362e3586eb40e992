#include "export/template_parity.h"

#include <algorithm>

#include "support/error.h"

namespace dlm {

namespace {

using Outcome = ParityCase::Outcome;

std::string first_difference(const Tokenizer& tokenizer, const std::vector<int32_t>& base,
                             const std::vector<int32_t>& exported) {
  const auto at = std::mismatch(base.begin(), base.end(), exported.begin(), exported.end());
  const auto shown = [&](auto it, auto end) {
    return it == end ? std::string("the end")
                     : Json(tokenizer.decode(std::span(&*it, 1), false)).dump();
  };
  return "token " + std::to_string(at.first - base.begin()) + ": the base has " +
         shown(at.first, base.end()) + ", the export " + shown(at.second, exported.end());
}

// None where the template refuses the conversation; `refusal` then says why.
std::optional<std::string> rendered(const ChatFormat& format,
                                    const std::vector<ChatMessage>& messages,
                                    std::string& refusal) {
  try {
    return format.chat_template().render(messages_json(messages), true);
  } catch (const Error& e) {
    refusal = e.message();
    return std::nullopt;
  }
}

ParityCase compare(const ChatFormat& base, const ChatFormat& written,
                   const NamedConversation& conversation) {
  ParityCase result{conversation.name, Outcome::kEqual, conversation.is_core, ""};
  std::string refusal;
  const auto expected = rendered(base, conversation.messages, refusal);
  const bool base_refuses = !expected;
  const auto found = written.has_chat_template() ? rendered(written, conversation.messages, refusal)
                                                 : std::optional<std::string>();
  if (base_refuses && !found) {
    result.outcome = Outcome::kRefused;
    result.detail = refusal;
  } else if (base_refuses || !found) {
    result.outcome = Outcome::kDiffers;
    result.detail = base_refuses                  ? "the base's template refuses it"
                    : written.has_chat_template() ? "the export refuses it: " + refusal
                                                  : "the export has no template";
  } else {
    const std::vector<int32_t> ours = base.tokenizer().encode(*expected, false);
    const std::vector<int32_t> theirs = written.tokenizer().encode(*found, false);
    if (ours == theirs && *expected == *found) return result;
    result.outcome = Outcome::kDiffers;
    result.is_same_text = *expected == *found;
    result.detail = ours == theirs ? "another text of the same tokens"
                                   : first_difference(base.tokenizer(), ours, theirs);
  }
  return result;
}

ParityCase compare(const ChatFormat& format, const ChatShape& shape, const OllamaTemplate& go,
                   const std::vector<int32_t>& before, const NamedConversation& conversation) {
  ParityCase result{conversation.name, Outcome::kEqual, conversation.is_core, ""};
  std::string expected;
  try {
    expected = format.chat_template().render(
        messages_json(reference_messages(shape, conversation.messages)), true);
  } catch (const Error& e) {
    result.outcome = Outcome::kRefused;
    result.detail = e.message();
    return result;
  }
  const std::vector<int32_t> base = format.tokenizer().encode(expected, false);
  std::vector<int32_t> exported = before;
  for (const int32_t id : format.tokenizer().encode(go.render(conversation.messages), false)) {
    exported.push_back(id);
  }
  if (base != exported) {
    result.outcome = Outcome::kDiffers;
    result.detail = first_difference(format.tokenizer(), base, exported);
  }
  return result;
}

}  // namespace

const std::vector<NamedConversation>& parity_conversations() {
  static const std::string helpful = "You are a helpful assistant.";
  static const std::vector<NamedConversation> all = {
      {"one question", {{"user", "What is 2 + 2?"}}, true},
      {"several turns",
       {{"user", "What is 2 + 2?"}, {"assistant", "4"}, {"user", "And 3 + 3?"}},
       true},
      {"long",
       {{"user", "One\ntwo\n\nthree"},
        {"assistant", "- a\n- b"},
        {"user", "Grüße, 世界!"},
        {"assistant", "```\ndef f():\n    pass\n```\nx"},
        {"user", "{{ .System }} \"quoted\" 'text'"}},
       true},
      {"system-only", {{"system", helpful}, {"user", ""}}, false},
      {"single-turn", {{"system", helpful}, {"user", "What is 2 + 2?"}}, true},
      {"multi-turn",
       {{"system", helpful},
        {"user", "What is 2 + 2?"},
        {"assistant", "4"},
        {"user", "And 3 + 3?"}},
       true},
      {"tool-call",
       {{"system", "You can call tools."},
        {"user", "Call the get_weather tool for London."},
        {"assistant", "I'll call get_weather(city='London')."}},
       false},
      {"multi-system",
       {{"system", "You are concise."}, {"system", "You always greet first."}, {"user", "Hello!"}},
       false},
      {"empty-user",
       {{"system", "You handle empty user messages gracefully."}, {"user", ""}},
       false},
      {"empty system prompt", {{"system", ""}, {"user", "Hello!"}}, false},
      {"system prompt in the middle",
       {{"user", "Hello!"}, {"assistant", "Hi."}, {"system", "Be brief."}, {"user", "And now?"}},
       false},
      {"answer to go on from", {{"user", "Hello!"}, {"assistant", "Hi."}}, false},
      {"white space around texts",
       {{"system", "  Be brief.\n"},
        {"user", "\n Hello! \n"},
        {"assistant", " Hi.\n"},
        {"user", "Go. "}},
       false},
      {"system prompt of several lines",
       {{"system", "Line one.\n\n\"Line\" two: 100 %."}, {"user", "Hello!"}},
       true},
      {"thoughts in an earlier answer",
       {{"user", "Hello!"}, {"assistant", "<think>\nhm\n</think>\n\nHi."}, {"user", "And now?"}},
       false},
      {"mode words in the system prompt",
       {{"system", "Be brief. /no_think"}, {"user", "Hello!"}},
       false},
  };
  return all;
}

bool TemplateParity::holds() const {
  return std::all_of(cases.begin(), cases.end(), [&](const ParityCase& c) {
    // A Go template is made for what the base does not refuse; the base's own may refuse again.
    const bool may_refuse = dialect.empty() && c.outcome == Outcome::kRefused;
    return !c.is_core || c.outcome == Outcome::kEqual || may_refuse;
  });
}

std::vector<std::string> TemplateParity::faults(bool texts_alone) const {
  std::vector<std::string> all;
  for (const ParityCase& c : cases) {
    if (!c.is_core || c.outcome != Outcome::kDiffers || (texts_alone && c.is_same_text)) continue;
    all.push_back("the conversation \"" + c.name + "\" by " + file +
                  " differs from the base's own: " + c.detail);
  }
  return all;
}

int64_t TemplateParity::num_equal() const {
  return std::count_if(cases.begin(), cases.end(),
                       [](const ParityCase& c) { return c.outcome == Outcome::kEqual; });
}

std::vector<std::string> TemplateParity::differences() const {
  std::vector<std::string> all;
  if (adds_bos)
    all.push_back("the runtime puts a BOS token first, which the base's template does not");
  for (const ParityCase& c : cases) {
    if (c.outcome == Outcome::kDiffers) all.push_back(c.name + " (" + c.detail + ")");
  }
  return all;
}

Json TemplateParity::to_json() const {
  Json list = Json::array();
  for (const ParityCase& c : cases) {
    Json one = Json::object();
    one.set("conversation", c.name);
    one.set("outcome", c.outcome == Outcome::kEqual     ? "equal"
                       : c.outcome == Outcome::kDiffers ? "differs"
                                                        : "refused by the base's template");
    if (!c.detail.empty()) one.set("detail", c.detail);
    list.push_back(std::move(one));
  }
  Json json = Json::object();
  json.set("file", file);
  if (!dialect.empty()) {
    json.set("dialect", dialect);
    json.set("system_prompt_before_first_question", folds_system);
  }
  json.set("runtime_adds_bos", adds_bos);
  json.set("conversations", std::move(list));
  return json;
}

TemplateParity prove_template(const ChatFormat& format, bool bos_is_added) {
  const std::string* bos = format.chat_template().special_token("bos_token");
  const std::string bos_text = bos == nullptr ? "" : *bos;
  const ChatShape shape = find_chat_shape(format.chat_template(), bos_text);
  TemplateParity parity;
  parity.file = "Modelfile";
  parity.dialect = chat_dialect(shape);
  parity.source = go_chat_template(shape, bos_text, bos_is_added);
  parity.folds_system = shape.system_place == ChatShape::System::kFolded;
  std::vector<int32_t> added;
  if (bos_is_added) {
    if (const auto id = format.tokenizer().token_id(bos_text)) added.push_back(*id);
  }
  const OllamaTemplate go(parity.source);
  // A BOS that the base's template does not write is named once; it hides no other difference.
  parity.adds_bos = !added.empty() && !shape.begin.starts_with(bos_text);
  if (parity.adds_bos) added.clear();
  for (const NamedConversation& conversation : parity_conversations()) {
    parity.cases.push_back(compare(format, shape, go, added, conversation));
  }
  return parity;
}

bool has_any_template(const ChatFormat& format) {
  return format.has_chat_template() || !format.default_template().empty();
}

TemplateParity compare_templates(const ChatFormat& base, const ChatFormat& written,
                                 bool bos_is_added, const std::string& file) {
  TemplateParity parity;
  parity.file = file;
  for (const NamedConversation& conversation : parity_conversations()) {
    parity.cases.push_back(compare(base, written, conversation));
  }
  const std::string* bos = base.chat_template().special_token("bos_token");
  std::string refusal;
  const auto question = rendered(base, parity_conversations().front().messages, refusal);
  parity.adds_bos =
      bos_is_added && bos != nullptr && question.has_value() && !question->starts_with(*bos);
  return parity;
}

}  // namespace dlm
