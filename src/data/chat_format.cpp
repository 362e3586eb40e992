#include "data/chat_format.h"

#include <algorithm>

#include "support/error.h"

namespace dlm {

namespace {

constexpr const char* kHint = "the base's folder is incomplete; copy all of its files again";

Json read_json(const fs::path& path) {
  return parse_json(read_file(path, size_t{64} << 20), path.string());
}

// A token named by tokenizer_config.json, as text or as {"content": text}; none when it is not set.
std::optional<std::string> token_text(const Json& config, const char* key) {
  const Json* value = config.find(key);
  if (value != nullptr && value->is_object()) value = value->find("content");
  if (value == nullptr || !value->is_string()) return std::nullopt;
  return value->as_string();
}

Json message(const char* role, std::string_view content) {
  return Json::object({{"role", Json(role)}, {"content", Json(content)}});
}

}  // namespace

int64_t TokenRow::num_labels() const {
  return std::count_if(labels.begin(), labels.end(), [](int32_t l) { return l >= 0; });
}

ChatFormat ChatFormat::load(const fs::path& folder) {
  for (const char* name : {"tokenizer.json", "tokenizer_config.json"}) {
    if (fs::exists(folder / name)) continue;
    throw Error(ErrorKind::kBase, std::string("the base has no ") + name, kHint,
                {folder.string(), 0, 0});
  }
  ChatFormat format(Tokenizer::load(folder / "tokenizer.json"));
  format.folder_ = folder.string();
  const fs::path config_path = folder / "tokenizer_config.json";
  const Json config = read_json(config_path);

  const auto require_token = [&](const std::string& text, const char* what) {
    const auto id = format.tokenizer_.token_id(text);
    if (!id) {
      throw Error(ErrorKind::kBase,
                  std::string(what) + " \"" + text + "\" is not in tokenizer.json",
                  "tokenizer.json and tokenizer_config.json do not belong together",
                  {config_path.string(), 0, 0});
    }
    return *id;
  };
  const auto add_stop = [&](int32_t id) {
    if (std::find(format.stop_tokens_.begin(), format.stop_tokens_.end(), id) ==
        format.stop_tokens_.end()) {
      format.stop_tokens_.push_back(id);
    }
  };
  if (const auto eos = token_text(config, "eos_token")) {
    format.end_of_text_ = require_token(*eos, "eos_token");
    add_stop(*format.end_of_text_);
  }
  if (const fs::path path = folder / "generation_config.json"; fs::exists(path)) {
    const Json generation = read_json(path);
    const Json* eos = generation.find("eos_token_id");
    const auto add_id = [&](const Json& id) {
      if (id.is_int() && id.as_int() >= 0 &&
          id.as_int() < static_cast<int64_t>(format.tokenizer_.vocab_size())) {
        add_stop(static_cast<int32_t>(id.as_int()));
      }
    };
    if (eos != nullptr && eos->is_array()) {
      for (const Json& id : eos->items()) add_id(id);
    } else if (eos != nullptr) {
      add_id(*eos);
    }
  }
  // A text ends with <|endoftext|> where the vocabulary has it: in ChatML models eos_token ends a
  // turn.
  if (const auto id = format.tokenizer_.token_id("<|endoftext|>")) format.end_of_text_ = *id;

  const std::vector<int32_t> bare = format.tokenizer_.encode("a", false);
  const std::vector<int32_t> wrapped = format.tokenizer_.encode("a", true);
  const auto at = std::search(wrapped.begin(), wrapped.end(), bare.begin(), bare.end());
  if (at != wrapped.end()) format.text_prefix_.assign(wrapped.begin(), at);

  std::optional<std::string> jinja;
  if (fs::exists(folder / "chat_template.jinja")) jinja = read_file(folder / "chat_template.jinja");
  if (jinja || ChatTemplate::is_in_config(config)) {
    format.chat_template_ = ChatTemplate::from_config(config, jinja);
  }
  return format;
}

// Encodes text that a template rendered. Where one of the contents spells a control token, it is
// cut out and encoded as mere text.
std::vector<int32_t> ChatFormat::encode_template_text(
    std::string_view text, const std::vector<std::string_view>& contents) const {
  std::vector<int32_t> ids;
  const auto append = [&](const std::vector<int32_t>& more) {
    ids.insert(ids.end(), more.begin(), more.end());
  };
  size_t done = 0;
  for (const std::string_view content : contents) {
    if (content.empty() ||
        tokenizer_.encode(content, false) == tokenizer_.encode_ordinary(content)) {
      continue;
    }
    const size_t at = text.find(content, done);
    if (at == std::string_view::npos) {
      throw Error(ErrorKind::kTrain,
                  "a text spells a control token, and the chat template changes it",
                  "remove the control token from the text");
    }
    append(tokenizer_.encode(text.substr(done, at - done), false));
    append(tokenizer_.encode_ordinary(content));
    done = at + content.size();
  }
  append(tokenizer_.encode(text.substr(done), false));
  return ids;
}

std::vector<int32_t> ChatFormat::prompt(std::string_view question,
                                        const std::optional<std::string>& system_prompt) const {
  if (!chat_template_) {
    throw Error(ErrorKind::kBase, "the base has no chat template",
                "instruction sections and prompts need a base that was trained for chat",
                {folder_, 0, 0});
  }
  Json messages = Json::array();
  std::vector<std::string_view> contents;
  if (system_prompt && !system_prompt->empty()) {
    messages.push_back(message("system", *system_prompt));
    contents.push_back(*system_prompt);
  }
  messages.push_back(message("user", question));
  contents.push_back(question);
  return encode_template_text(chat_template_->render(messages, true), contents);
}

TokenRow ChatFormat::conversation(std::string_view question, std::string_view answer,
                                  const std::optional<std::string>& system_prompt) const {
  TokenRow row;
  row.tokens = prompt(question, system_prompt);
  const size_t answer_begin = row.tokens.size();
  Json messages = Json::array();
  if (system_prompt && !system_prompt->empty())
    messages.push_back(message("system", *system_prompt));
  messages.push_back(message("user", question));
  messages.push_back(message("assistant", answer));
  const RenderedChat rendered = chat_template_->render_with_spans(messages);
  check(!rendered.answers.empty(), "a conversation without an answer span");
  const ByteSpan span = rendered.answers.back();
  const std::string_view spoken =
      std::string_view(rendered.text).substr(span.begin, span.end - span.begin);
  for (const int32_t id : encode_template_text(spoken, {answer})) row.tokens.push_back(id);
  // The template must end the turn with a control token, or the model can never learn to stop.
  if (row.tokens.size() == answer_begin || !tokenizer_.is_added(row.tokens.back())) {
    throw Error(
        ErrorKind::kBase, "the chat template does not end an answer with a control token",
        "a model trained with it would never stop; use a base whose template ends its turns",
        {folder_, 0, 0});
  }
  row.labels.assign(row.tokens.size(), -1);
  for (size_t i = answer_begin; i < row.tokens.size(); ++i) row.labels[i - 1] = row.tokens[i];
  return row;
}

std::vector<TokenRow> ChatFormat::text_rows(std::string_view text, int64_t max_tokens) const {
  std::vector<int32_t> ids = text_prefix_;
  for (const int32_t id : tokenizer_.encode_ordinary(text)) ids.push_back(id);
  if (end_of_text_) ids.push_back(*end_of_text_);
  std::vector<TokenRow> rows;
  const auto total = static_cast<int64_t>(ids.size());
  for (int64_t first = 0; first + 1 < total; first += max_tokens) {
    const int64_t last = std::min(first + max_tokens, total - 1);
    TokenRow row;
    row.tokens.assign(ids.begin() + first, ids.begin() + last);
    row.labels.assign(ids.begin() + first + 1, ids.begin() + last + 1);
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace dlm
