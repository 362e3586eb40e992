// Chat templates. Answers are found without knowing the template: what it writes for the messages
// before an answer, with the generation prompt, must be how the whole text begins; the answer
// follows.
#include "text/chat_template.h"

#include "support/error.h"
#include "support/text.h"
#include "text/jinja/parser.h"

namespace dlm {

struct ChatTemplate::Parsed {
  explicit Parsed(std::string text)
      : source(std::move(text)), tree(jinja::parse_template(source)) {}
  std::string source;
  jinja::Template tree;
};

namespace {

// Stands for an answer when only what comes behind an answer matters. No template treats it
// specially.
constexpr std::string_view kProbe = "dlmprobe7f3a";

bool is_assistant(const Json& message) {
  const Json* role = message.find("role");
  return role != nullptr && role->is_string() && role->as_string() == "assistant";
}

// Special tokens are written as a string or as {"content": "..."}.
const std::string* token_text(const Json& value) {
  if (value.is_string()) return &value.as_string();
  const Json* content = value.find("content");
  return content != nullptr && content->is_string() ? &content->as_string() : nullptr;
}

std::string_view trim_end(std::string_view text) {
  const std::string_view trimmed = trim(text);
  if (trimmed.empty()) return {};
  return text.substr(0, static_cast<size_t>(trimmed.data() - text.data()) + trimmed.size());
}

// "chat_template" is one template, or a list of {"name": ..., "template": ...}.
const std::string* find_template(const Json& config, std::string_view name) {
  const Json* found = config.find("chat_template");
  if (found == nullptr) return nullptr;
  if (found->is_string()) return name == "default" ? &found->as_string() : nullptr;
  if (!found->is_array()) return nullptr;
  for (const Json& entry : found->items()) {
    const Json* entry_name = entry.find("name");
    const Json* text = entry.find("template");
    if (entry_name == nullptr || text == nullptr || !text->is_string()) continue;
    if (entry_name->is_string() && entry_name->as_string() == name) return &text->as_string();
  }
  return nullptr;
}

}  // namespace

bool ChatTemplate::is_in_config(const Json& tokenizer_config) {
  return find_template(tokenizer_config, "default") != nullptr;
}

ChatTemplate ChatTemplate::from_config(const Json& tokenizer_config,
                                       std::optional<std::string> chat_template_jinja) {
  ChatTemplate result;
  if (chat_template_jinja) {
    result.default_ = std::make_shared<const Parsed>(std::move(*chat_template_jinja));
  } else {
    const std::string* text = find_template(tokenizer_config, "default");
    if (text == nullptr || trim(*text).empty()) {
      throw Error(ErrorKind::kFormat, "the tokenizer has no chat template",
                  "use a base with a chat template, or put a chat_template.jinja beside its "
                  "tokenizer_config.json");
    }
    result.default_ = std::make_shared<const Parsed>(*text);
    const std::string* for_tools = find_template(tokenizer_config, "tool_use");
    if (for_tools != nullptr) result.for_tools_ = std::make_shared<const Parsed>(*for_tools);
  }
  if (!tokenizer_config.is_object()) return result;
  for (const auto& [key, value] : tokenizer_config.members()) {
    if (!key.ends_with("_token")) continue;
    if (const std::string* token = token_text(value))
      result.special_tokens_.emplace_back(key, *token);
  }
  return result;
}

const std::string& ChatTemplate::source() const {
  return default_->source;
}

const std::string* ChatTemplate::special_token(std::string_view key) const {
  for (const auto& [name, token] : special_tokens_) {
    if (name == key) return &token;
  }
  return nullptr;
}

jinja::Rendering ChatTemplate::run(const Json& messages, bool add_generation_prompt,
                                   const Json& extra) const {
  using jinja::Value;
  std::vector<std::pair<std::string, Value>> globals = {
      {"messages", Value::from_json(messages)},
      {"tools", Value::none()},
      {"documents", Value::none()},
      {"add_generation_prompt", Value::boolean(add_generation_prompt)},
  };
  for (const auto& [key, token] : special_tokens_) globals.emplace_back(key, Value::string(token));
  bool has_tools = false;
  if (extra.is_object()) {
    for (const auto& [key, value] : extra.members()) {
      has_tools = has_tools || (key == "tools" && !value.is_null());
      globals.emplace_back(key, Value::from_json(value));
    }
  }
  const Parsed& parsed = has_tools && for_tools_ != nullptr ? *for_tools_ : *default_;
  return jinja::render(parsed.tree, std::move(globals), date_);
}

std::string ChatTemplate::render(const Json& messages, bool add_generation_prompt,
                                 const Json& extra) const {
  return run(messages, add_generation_prompt, extra).text;
}

RenderedChat ChatTemplate::render_with_spans(const Json& messages, const Json& extra) const {
  jinja::Rendering whole = run(messages, false, extra);
  if (auto spans = spans_by_prefix(messages, extra, whole.text)) {
    return {std::move(whole.text), std::move(*spans)};
  }
  if (default_->tree.has_generation) return {std::move(whole.text), std::move(whole.generations)};
  if (auto spans = spans_by_probe(messages, extra, whole.text)) {
    return {std::move(whole.text), std::move(*spans)};
  }
  throw Error(ErrorKind::kFormat,
              "the chat template rewrites earlier turns, so the assistant's answers cannot be told "
              "from the rest",
              "mark them with {% generation %} blocks in the chat template, or use one answer per "
              "conversation",
              {jinja::kTemplatePlace});
}

std::optional<std::vector<ByteSpan>> ChatTemplate::spans_by_prefix(const Json& messages,
                                                                   const Json& extra,
                                                                   const std::string& text) const {
  std::vector<ByteSpan> spans;
  std::vector<Json> before;
  size_t last_end = 0;
  for (const Json& message : messages.items()) {
    if (!is_assistant(message)) {
      before.push_back(message);
      continue;
    }
    // Few templates can render no message at all.
    if (before.empty()) return std::nullopt;
    const std::string prompt = run(Json::array(before), true, extra).text;
    if (!text.starts_with(prompt) || prompt.size() < last_end) return std::nullopt;
    const std::string mark = end_of_turn(before, extra);
    before.push_back(message);
    const std::string so_far = run(Json::array(before), false, extra).text;

    size_t end = text.size();
    if (so_far.size() >= prompt.size() && text.starts_with(so_far)) {
      end = so_far.size();
    } else {
      // A later turn changed how this answer is written, but it ends where its mark does.
      const size_t at = mark.empty() ? std::string::npos : text.find(mark, prompt.size());
      if (at == std::string::npos) return std::nullopt;
      end = at + mark.size();
    }
    const std::string_view answer =
        std::string_view(text).substr(prompt.size(), end - prompt.size());
    end = prompt.size() + trim_end(answer).size();
    spans.push_back({prompt.size(), end});
    last_end = end;
  }
  return spans;
}

// Where the generation prompt is not how answers begin (a reasoning prompt): each answer in turn is
// replaced by the probe. What stays the same on both sides is not the answer.
std::optional<std::vector<ByteSpan>> ChatTemplate::spans_by_probe(const Json& messages,
                                                                  const Json& extra,
                                                                  const std::string& text) const {
  std::vector<ByteSpan> spans;
  std::vector<Json> before;
  for (size_t i = 0; i < messages.size(); ++i) {
    const Json& message = messages.items()[i];
    if (is_assistant(message)) {
      std::vector<Json> probed = messages.items();
      probed[i].set("content", kProbe);
      const std::string other = run(Json::array(std::move(probed)), false, extra).text;
      const size_t begin = other.find(kProbe);
      if (begin == std::string::npos) return std::nullopt;
      const std::string_view head = std::string_view(other).substr(0, begin);
      const std::string_view tail = std::string_view(other).substr(begin + kProbe.size());
      if (begin + tail.size() > text.size() || !text.starts_with(head) || !text.ends_with(tail)) {
        return std::nullopt;
      }
      const std::string mark = end_of_turn(before, extra);
      const size_t end = text.size() - tail.size();
      const size_t mark_at = tail.find(mark);
      const bool has_mark = !mark.empty() && mark_at != std::string_view::npos &&
                            trim(tail.substr(0, mark_at)).empty();
      spans.push_back({begin, has_mark ? end + mark_at + mark.size() : end});
    }
    before.push_back(message);
  }
  return spans;
}

// What the template writes behind an answer that comes after these messages: "<|im_end|>".
std::string ChatTemplate::end_of_turn(const std::vector<Json>& before, const Json& extra) const {
  std::vector<Json> messages = before;
  messages.push_back(Json::object({{"role", "assistant"}, {"content", kProbe}}));
  const std::string text = run(Json::array(std::move(messages)), false, extra).text;
  const size_t at = text.rfind(kProbe);
  if (at == std::string::npos) return {};
  return std::string(trim(std::string_view(text).substr(at + kProbe.size())));
}

}  // namespace dlm
