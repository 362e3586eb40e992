// Conversations and prose as token rows with a loss mask. Text that people wrote never becomes a
// control token, whatever it spells; the loss of a conversation covers the answer and the token
// that ends the turn, nothing else.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/token_row.h"
#include "support/file.h"
#include "text/chat_template.h"
#include "text/default_template.h"
#include "text/tokenizer.h"

namespace dlm {

// A base's tokenizer, chat template and end tokens, as one thing.
class ChatFormat {
 public:
  // Reads tokenizer.json, tokenizer_config.json, chat_template.jinja and generation_config.json of
  // a base. Throws Error(kBase) for missing or damaged files and for special tokens that the
  // tokenizer lacks.
  static ChatFormat load(const fs::path& base_folder);
  // The same of a run-time file's lists, flags and template. Turns and texts end with the tokens
  // that it names for that, and with control tokens that programs know by their text. Throws
  // Error(kFormat) with `path` as the place.
  static ChatFormat from_vocabulary(const Vocabulary& vocabulary, const fs::path& path);

  const Tokenizer& tokenizer() const { return tokenizer_; }
  // Whether the base brings its own.
  bool has_chat_template() const { return chat_template_ && default_template_.empty(); }
  // The name of the template that stands in where the base brings none; "" where it does, and where
  // its vocabulary has no token that could end a turn.
  const std::string& default_template() const { return default_template_; }
  // The template: the base's own or the one that stands in. Throws Error(kBase) without any.
  const ChatTemplate& chat_template() const;
  // Tokens that end a turn or a text: those that the base names, and the one that its template
  // writes behind an answer.
  const std::vector<int32_t>& stop_tokens() const { return stop_tokens_; }
  // Ends a text: the tokenizer's end-of-text token.
  std::optional<int32_t> end_of_text() const { return end_of_text_; }

  // The prompt of one question, up to where the answer begins. Throws Error(kBase) without any
  // template.
  std::vector<int32_t> prompt(std::string_view question,
                              const std::optional<std::string>& system_prompt) const;
  // The same followed by the answer and the turn's end; labels as in TokenRow.
  TokenRow conversation(std::string_view question, std::string_view answer,
                        const std::optional<std::string>& system_prompt) const;
  // A text with its end token, cut at borders of sentences or lines into rows of at most
  // `max_tokens` that follow on each other. Each row begins with what the tokenizer puts before
  // texts; every token of the text is a label once, but for the first where nothing stands before
  // it.
  void for_each_text_row(std::string_view text, int64_t max_tokens,
                         const std::function<void(TokenRow)>& on_row) const;
  // How many tokens each of them begins with that are not the text's.
  size_t text_prefix_size() const { return text_prefix_.size(); }
  // The tokens of one of them again, from its outline.
  std::vector<int32_t> text_row_tokens(std::string_view text, const RowOutline& outline) const;

 private:
  static ChatFormat read(const fs::path& base_folder);
  void add_stop(int32_t id);
  // What follows from the tokenizer, its configuration and the template, if the base has one.
  void finish(const Json& config, std::optional<std::string> jinja);
  ChatFormat(Tokenizer tokenizer) : tokenizer_(std::move(tokenizer)) {}
  // The text that the template makes of messages with these contents.
  using Render = std::function<std::string(const std::vector<std::string>& contents)>;
  std::vector<int32_t> encode_rendered(const Render& render,
                                       const std::vector<std::string>& contents) const;
  // Of text[begin, end), as it is tokenized within the text.
  std::vector<int32_t> encode_within(std::string_view text, size_t begin, size_t end) const;
  std::optional<DefaultTemplate> choose_default(const Json& config) const;

  Tokenizer tokenizer_;
  std::optional<ChatTemplate> chat_template_;
  std::string default_template_;
  std::vector<int32_t> stop_tokens_;
  std::optional<int32_t> end_of_text_;
  std::vector<int32_t> text_prefix_;  // what the tokenizer puts before every text, such as BOS
  bool puts_blank_before_text_ = false;
  std::string folder_;
};

// A token named by tokenizer_config.json ("eos_token"), as text or as {"content": text}; none when
// it is not set.
std::optional<std::string> named_token(const Json& tokenizer_config, const char* key);

// What is said where a default template is used.
std::string default_template_warning(const ChatFormat& format);

}  // namespace dlm
