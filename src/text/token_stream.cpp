// Streaming decode. Byte-level tokens are bytes, so only an incomplete character is held back.
// Other decoders look at neighbouring tokens: the text of a window is decoded, and what an earlier,
// shorter window already gave is cut off.
#include "support/error.h"
#include "text/byte_alphabet.h"
#include "text/tokenizer_tables.h"

namespace dlm {

TokenStream::TokenStream(Tokenizer tokenizer, bool skip_special)
    : tokenizer_(std::move(tokenizer)), skip_special_(skip_special) {}

std::string TokenStream::push(int32_t id) {
  const std::string& token = tokenizer_.token_text(id);
  if (token.empty() || (skip_special_ && tokenizer_.is_special(id))) return {};
  if (!tokenizer_.tables_->decoder.is_plain_byte_level()) return push_token(token);
  append_bytes_of(token, bytes_);
  const size_t ready = bytes_.size() - incomplete_utf8_tail(bytes_);
  std::string text = to_valid_utf8(std::string_view(bytes_).substr(0, ready));
  bytes_.erase(0, ready);
  return text;
}

std::string TokenStream::push_token(const std::string& token) {
  const Decoder& decoder = tokenizer_.tables_->decoder;
  window_.push_back(token);
  // Whether a run of byte tokens is text is known when the run ends.
  if (decoder.joins_byte_tokens() && byte_token_value(token)) return {};
  const std::string done =
      num_done_ == 0
          ? ""
          : decoder.decode({window_.begin(), window_.begin() + static_cast<ptrdiff_t>(num_done_)});
  std::string text = decoder.decode(window_);
  if (!text.starts_with(done)) return {};
  text.erase(0, done.size());
  // One token stays as the left neighbour; the first token of all matters to decoders that strip
  // it, and is such a neighbour as long as some of it has become text.
  if (!text.empty()) window_.erase(window_.begin(), window_.end() - 1);
  num_done_ = window_.size();
  return text;
}

std::string TokenStream::flush() {
  const Decoder& decoder = tokenizer_.tables_->decoder;
  std::string text = to_valid_utf8(bytes_);
  if (num_done_ < window_.size()) {
    const std::vector<std::string> before(window_.begin(),
                                          window_.begin() + static_cast<ptrdiff_t>(num_done_));
    const std::string done = before.empty() ? "" : decoder.decode(before);
    text = decoder.decode(window_).substr(done.size());
  }
  bytes_.clear();
  window_.clear();
  num_done_ = 0;
  return text;
}

}  // namespace dlm
