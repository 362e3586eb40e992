#include "data/chat_format.h"

#include <algorithm>
#include <span>
#include <utility>

#include "data/prose_chunks.h"
#include "support/error.h"
#include "support/text.h"

namespace dlm {

namespace {

constexpr const char* kHint = "the base's folder is incomplete; copy all of its files again";

// Control tokens that end a turn or a text in any model that has them.
constexpr const char* kEndTexts[] = {"<|eot_id|>",    "<|im_end|>",      "<|end|>",
                                     "<|endoftext|>", "<|end_of_text|>", "<end_of_turn>",
                                     "</s>",          "<eos>",           "<|eom_id|>"};

Json read_json(const fs::path& path) {
  return parse_json(read_file(path, size_t{64} << 20), path.string());
}

// The contents of a conversation in order, an empty system prompt left out.
std::vector<std::string> contents_of(const std::optional<std::string>& system_prompt,
                                     std::initializer_list<std::string_view> spoken) {
  std::vector<std::string> contents;
  if (system_prompt && !system_prompt->empty()) contents.push_back(*system_prompt);
  for (const std::string_view content : spoken) contents.emplace_back(content);
  return contents;
}

Json messages_of(const std::vector<std::string>& contents,
                 const std::optional<std::string>& system_prompt) {
  Json messages = Json::array();
  const char* next = system_prompt && !system_prompt->empty() ? "system" : "user";
  for (const std::string& content : contents) {
    messages.push_back(Json::object({{"role", Json(next)}, {"content", Json(content)}}));
    next = std::string_view(next) == "user" ? "assistant" : "user";
  }
  return messages;
}

struct Piece {
  std::string text;
  bool is_content;
};

// `text` cut at its stand-ins, each replaced by its content.
std::vector<Piece> cut_out(std::string_view text,
                           std::span<const std::pair<std::string, std::string>> cuts) {
  std::vector<Piece> pieces;
  while (!text.empty()) {
    size_t at = text.npos;
    const std::pair<std::string, std::string>* next = nullptr;
    for (const auto& cut : cuts) {
      const size_t found = text.find(cut.first);
      if (found >= at) continue;
      at = found;
      next = &cut;
    }
    pieces.push_back({std::string(text.substr(0, at)), false});
    if (next == nullptr) break;
    pieces.push_back({next->second, true});
    text.remove_prefix(at + next->first.size());
  }
  return pieces;
}

std::string joined(std::span<const Piece> pieces) {
  std::string text;
  for (const Piece& piece : pieces) text += piece.text;
  return text;
}

}  // namespace

std::optional<std::string> named_token(const Json& tokenizer_config, const char* key) {
  const Json* value = tokenizer_config.find(key);
  if (value != nullptr && value->is_object()) value = value->find("content");
  if (value == nullptr || !value->is_string()) return std::nullopt;
  return value->as_string();
}

ChatFormat ChatFormat::load(const fs::path& folder) {
  try {
    return read(folder);
  } catch (const Error& e) {
    // A damaged file of a base is a fault of the base, whatever its format calls it.
    if (e.kind() != ErrorKind::kFormat) throw;
    throw Error(ErrorKind::kBase, e.message(), e.hint().empty() ? kHint : e.hint(), e.place());
  }
}

ChatFormat ChatFormat::read(const fs::path& folder) {
  for (const char* name : {"tokenizer.json", "tokenizer_config.json"}) {
    if (path_exists(folder / name)) continue;
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
  if (const auto eos = named_token(config, "eos_token")) {
    format.end_of_text_ = require_token(*eos, "eos_token");
    format.add_stop(*format.end_of_text_);
  }
  if (const fs::path path = folder / "generation_config.json"; path_exists(path)) {
    const Json generation = read_json(path);
    const Json* eos = generation.find("eos_token_id");
    const auto add_id = [&](const Json& id) {
      if (id.is_int() && id.as_int() >= 0 &&
          id.as_int() < static_cast<int64_t>(format.tokenizer_.vocab_size())) {
        format.add_stop(static_cast<int32_t>(id.as_int()));
      }
    };
    if (eos != nullptr && eos->is_array()) {
      for (const Json& id : eos->items()) add_id(id);
    } else if (eos != nullptr) {
      add_id(*eos);
    }
  }
  std::optional<std::string> jinja;
  if (path_exists(folder / "chat_template.jinja"))
    jinja = read_file(folder / "chat_template.jinja");
  format.finish(config, std::move(jinja));
  return format;
}

ChatFormat ChatFormat::from_vocabulary(const Vocabulary& v, const fs::path& path) {
  ChatFormat format(Tokenizer::from_vocabulary(v, path.string()));
  format.folder_ = path.string();
  Json config = Json::object();
  const auto name_token = [&](const char* key, std::optional<int32_t> id) {
    if (id) config.set(key, v.tokens[static_cast<size_t>(*id)]);
  };
  name_token("bos_token", v.bos);
  name_token("eos_token", v.eos);
  name_token("unk_token", v.unknown);
  name_token("pad_token", v.padding);
  format.end_of_text_ = v.eos;
  for (const auto& id : {v.eos, v.eot, v.eom}) {
    if (id) format.add_stop(*id);
  }
  for (const char* text : kEndTexts) {
    const auto id = format.tokenizer_.token_id(text);
    if (id && format.tokenizer_.is_special(*id)) format.add_stop(*id);
  }
  std::optional<std::string> jinja;
  if (!v.chat_template.empty()) jinja = v.chat_template;
  try {
    format.finish(config, std::move(jinja));
  } catch (const Error& error) {
    throw Error(ErrorKind::kFormat, "the file's chat template: " + error.message(),
                "the file is damaged, or its template of a kind that dlm does not run",
                {path.string(), 0, 0});
  }
  return format;
}

void ChatFormat::add_stop(int32_t id) {
  if (std::find(stop_tokens_.begin(), stop_tokens_.end(), id) == stop_tokens_.end()) {
    stop_tokens_.push_back(id);
  }
}

void ChatFormat::finish(const Json& config, std::optional<std::string> jinja) {
  // A text ends with <|endoftext|> where the vocabulary has it: in ChatML models eos_token ends a
  // turn.
  if (const auto id = tokenizer_.token_id("<|endoftext|>")) end_of_text_ = *id;

  const std::vector<int32_t> bare = tokenizer_.encode("a", false);
  const std::vector<int32_t> wrapped = tokenizer_.encode("a", true);
  const auto at = std::search(wrapped.begin(), wrapped.end(), bare.begin(), bare.end());
  if (at != wrapped.end()) text_prefix_.assign(wrapped.begin(), at);
  if (!bare.empty()) {
    const std::string& first = tokenizer_.token_text(bare.front());
    puts_blank_before_text_ = first.starts_with("\u2581") || first.starts_with("\u0120");
  }
  if (!jinja && !ChatTemplate::is_in_config(config)) {
    if (const auto stand_in = choose_default(config)) {
      default_template_ = stand_in->name;
      jinja = stand_in->jinja;
    }
  }
  if (!jinja && !ChatTemplate::is_in_config(config)) return;
  chat_template_ = ChatTemplate::from_config(config, jinja);
  // A base may name the end of texts only, and its template ends turns with another token.
  try {
    add_stop(conversation("a", "b", std::nullopt).tokens.back());
  } catch (const Error&) {
    // A template that cannot render or end a turn says so where it is used; prose needs none.
  }
}

std::optional<DefaultTemplate> ChatFormat::choose_default(const Json& config) const {
  if (tokenizer_.token_id("<|im_start|>") && tokenizer_.token_id("<|im_end|>")) {
    return chatml_template();
  }
  if (!named_token(config, "eos_token")) return std::nullopt;
  return plain_template(!text_prefix_.empty() && named_token(config, "bos_token").has_value());
}

const ChatTemplate& ChatFormat::chat_template() const {
  if (chat_template_) return *chat_template_;
  throw Error(ErrorKind::kBase,
              "the base has no chat template, and its tokenizer no token that could end a turn",
              "instruction sections and prompts need a base that was trained for chat",
              {folder_, 0, 0});
}

// Where a content spells a control token, it is cut out and encoded as mere text. Its place is
// found by rendering a stand-in for it, since the text of a content may also occur in the template.
std::vector<int32_t> ChatFormat::encode_rendered(const Render& render,
                                                 const std::vector<std::string>& contents) const {
  const std::string text = render(contents);
  std::vector<std::string> probed = contents;
  std::vector<std::pair<std::string, std::string>> cuts;  // stand-in, content
  for (size_t i = 0; i < contents.size(); ++i) {
    if (tokenizer_.encode(contents[i], false) == tokenizer_.encode_ordinary(contents[i])) continue;
    probed[i] = "dlm-content-" + std::to_string(i) + "-7f3d9a";
    cuts.emplace_back(probed[i], contents[i]);
  }
  if (cuts.empty()) return tokenizer_.encode(text, false);

  std::vector<Piece> pieces = cut_out(render(probed), cuts);
  if (joined(pieces) != text) {
    // Many templates trim what they are given.
    for (Piece& piece : pieces) {
      if (piece.is_content) piece.text = trim(piece.text);
    }
  }
  if (joined(pieces) != text) {
    throw Error(ErrorKind::kTrain,
                "a text spells a control token, and the chat template changes it",
                "remove the control token from the text");
  }
  std::vector<int32_t> ids;
  for (const Piece& piece : pieces) {
    const std::vector<int32_t> more = piece.is_content ? tokenizer_.encode_ordinary(piece.text)
                                                       : tokenizer_.encode(piece.text, false);
    ids.insert(ids.end(), more.begin(), more.end());
  }
  return ids;
}

std::vector<int32_t> ChatFormat::prompt(std::string_view question,
                                        const std::optional<std::string>& system_prompt) const {
  const ChatTemplate& chat = chat_template();
  std::vector<int32_t> ids = encode_rendered(
      [&](const std::vector<std::string>& contents) {
        return chat.render(messages_of(contents, system_prompt), true);
      },
      contents_of(system_prompt, {question}));
  if (ids.empty()) {
    throw Error(ErrorKind::kBase, "the chat template writes nothing for a question", kHint,
                {folder_, 0, 0});
  }
  return ids;
}

TokenRow ChatFormat::conversation(std::string_view question, std::string_view answer,
                                  const std::optional<std::string>& system_prompt) const {
  const ChatTemplate& chat = chat_template();
  const std::vector<std::string> contents = contents_of(system_prompt, {question, answer});
  bool continues_prompt = false;
  // Up to the end of the answer, or the answer alone.
  const auto render = [&](bool whole) {
    return encode_rendered(
        [&](const std::vector<std::string>& c) {
          const RenderedChat rendered = chat.render_with_spans(messages_of(c, system_prompt));
          check(!rendered.answers.empty(), "a conversation without an answer span");
          const ByteSpan span = rendered.answers.back();
          std::vector<std::string> asked = c;
          asked.pop_back();
          const std::string before = chat.render(messages_of(asked, system_prompt), true);
          continues_prompt = span.begin == before.size() && rendered.text.starts_with(before);
          const size_t begin = whole ? 0 : span.begin;
          return rendered.text.substr(begin, span.end - begin);
        },
        contents);
  };
  std::vector<int32_t> ids = prompt(question, system_prompt);
  const size_t answer_begin = ids.size();
  // The text as one, as the base saw it; but where a token would span prompt and answer, or the
  // prompt is not how the conversation begins, the answer is encoded alone.
  std::vector<int32_t> whole = render(true);
  if (continues_prompt && whole.size() > answer_begin &&
      std::equal(ids.begin(), ids.end(), whole.begin())) {
    ids = std::move(whole);
  } else {
    for (const int32_t id : render(false)) ids.push_back(id);
  }
  // The template must end the turn with a control token, or the model can never learn to stop. What
  // some templates write behind it, such as the end of the text, a model that stops never writes.
  size_t end = 0;
  for (size_t i = ids.size(); i > answer_begin; --i) {
    const int32_t id = ids[i - 1];
    const bool is_blank = trim(tokenizer_.decode(std::span(&id, 1), false)).empty();
    if (!is_blank && !tokenizer_.is_added(id)) break;
    if (!is_blank) end = i;
  }
  if (end == 0) {
    throw Error(
        ErrorKind::kBase, "the chat template does not end an answer with a control token",
        "a model trained with it would never stop; use a base whose template ends its turns",
        {folder_, 0, 0});
  }
  ids.resize(end);
  TokenRow row;
  row.tokens = std::move(ids);
  row.loss_begin = static_cast<uint32_t>(answer_begin);
  return row;
}

// Tokenizers that put a blank before each text would put one into the middle of a text that is
// encoded in pieces; behind a line end they do not.
std::vector<int32_t> ChatFormat::encode_within(std::string_view text, size_t begin,
                                               size_t end) const {
  const std::string_view piece = text.substr(begin, end - begin);
  if (begin == 0 || !puts_blank_before_text_) return tokenizer_.encode_ordinary(piece);
  const std::vector<int32_t> line_end = tokenizer_.encode_ordinary("\n");
  std::vector<int32_t> ids = tokenizer_.encode_ordinary("\n" + std::string(piece));
  if (ids.size() < line_end.size() || !std::equal(line_end.begin(), line_end.end(), ids.begin())) {
    return tokenizer_.encode_ordinary(piece);
  }
  ids.erase(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(line_end.size()));
  return ids;
}

void ChatFormat::for_each_text_row(std::string_view text, int64_t max_tokens,
                                   const std::function<void(TokenRow)>& on_row) const {
  const size_t prefix = text_prefix_.size();
  const auto room = std::max<int64_t>(1, max_tokens - static_cast<int64_t>(prefix));
  // The row before, whose last label is the first token of the next.
  std::optional<TokenRow> last;
  const auto end_last = [&](std::optional<int32_t> next) {
    if (!last) return;
    last->next = next.value_or(-1);
    if (last->num_labels() > 0) on_row(*std::exchange(last, std::nullopt));
  };
  const auto add = [&](std::span<const int32_t> ids, const ProseChunk& chunk) {
    TokenRow row;
    row.tokens = text_prefix_;
    row.tokens.insert(row.tokens.end(), ids.begin(), ids.end());
    row.loss_begin = static_cast<uint32_t>(last ? prefix + 1 : prefix);
    row.text_begin = static_cast<uint32_t>(chunk.begin);
    row.text_end = static_cast<uint32_t>(chunk.end);
    end_last(ids.front());
    last = std::move(row);
  };
  cut_prose(
      text, room, [&](size_t begin, size_t end) { return encode_within(text, begin, end); },
      [&](const ProseChunk& chunk, std::span<const int32_t> ids) {
        while (!ids.empty()) {  // once, but for a character of more tokens than a row may have
          const size_t count = std::min(ids.size(), static_cast<size_t>(room));
          add(ids.first(count), chunk);
          ids = ids.subspan(count);
        }
      });
  end_last(end_of_text_);
}

std::vector<int32_t> ChatFormat::text_row_tokens(std::string_view text,
                                                 const RowOutline& outline) const {
  std::vector<int32_t> ids = encode_within(text, outline.text_begin, outline.text_end);
  ids.erase(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(
                                           std::min<size_t>(outline.first_token, ids.size())));
  ids.insert(ids.begin(), text_prefix_.begin(), text_prefix_.end());
  if (ids.size() > outline.num_tokens) ids.resize(outline.num_tokens);
  return ids;
}

std::string default_template_warning(const ChatFormat& format) {
  return "the base has no chat template; conversations are written in dlm's own, '" +
         format.default_template() + "'";
}

}  // namespace dlm
