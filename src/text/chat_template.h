// Chat messages to the text that a base was trained on, by the Jinja template in its tokenizer
// files. It also finds which bytes of that text are the assistant's, for the loss mask. It runs
// templates sealed off from files, clock and network; it does not tokenize.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/json.h"
#include "text/jinja/interpreter.h"

namespace dlm {

using ByteSpan = jinja::Span;  // begin, end: bytes of the rendered text

struct RenderedChat {
  std::string text;
  // One span for each assistant message, in order: what the assistant says, with the end-of-turn
  // token that the template writes after it and without white space behind that.
  std::vector<ByteSpan> answers;
};

// Immutable, cheap to copy, safe to use from many threads.
class ChatTemplate {
 public:
  // `tokenizer_config` is the tokenizer_config.json: special tokens, and the template unless
  // `chat_template_jinja` (the content of chat_template.jinja) is given. Throws Error(kFormat): no
  // template, or one that cannot be parsed, with its line.
  static ChatTemplate from_config(const Json& tokenizer_config,
                                  std::optional<std::string> chat_template_jinja = std::nullopt);
  // Whether there is a template that from_config could read.
  static bool is_in_config(const Json& tokenizer_config);

  // `messages` is an array of {"role": ..., "content": ...}. The members of `extra` (such as
  // "tools", "documents", "enable_thinking") are variables of the template and hide special tokens
  // of the same name. Throws Error(kFormat) for what the template refuses.
  std::string render(const Json& messages, bool add_generation_prompt,
                     const Json& extra = {}) const;

  // The text of a whole conversation and where its answers are. Throws Error(kFormat) when the
  // template rewrites earlier turns so that the answers cannot be told.
  RenderedChat render_with_spans(const Json& messages, const Json& extra = {}) const;

  // The date that templates see. It is fixed, since a text that changes from day to day would
  // change adapters; the default is the one that Llama 3 templates fall back to without a clock.
  void set_date(const jinja::DateTime& date) { date_ = date; }

  // A special token of the configuration by its key, such as "eos_token"; null when it has none.
  const std::string* special_token(std::string_view key) const;
  const std::string& source() const;

 private:
  struct Parsed;

  jinja::Rendering run(const Json& messages, bool add_generation_prompt, const Json& extra) const;
  std::optional<std::vector<ByteSpan>> spans_by_prefix(const Json& messages, const Json& extra,
                                                       const std::string& text) const;
  std::optional<std::vector<ByteSpan>> spans_by_probe(const Json& messages, const Json& extra,
                                                      const std::string& text) const;
  std::string end_of_turn(const std::vector<Json>& before, const Json& extra) const;

  std::shared_ptr<const Parsed> default_;
  std::shared_ptr<const Parsed> for_tools_;  // some configurations have a second one for tools
  std::vector<std::pair<std::string, std::string>> special_tokens_;
  jinja::DateTime date_{2024, 7, 26};
};

}  // namespace dlm
