// Text to token ids and back, as a Hugging Face tokenizer.json describes it. Ids equal those of the
// reference implementation for BPE files; any part that is not supported is refused by name when
// the file is read. "truncation" and "padding" in the file are ignored: nothing is cut silently.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "support/file.h"
#include "support/json.h"
#include "text/vocabulary.h"

namespace dlm {

struct SkimmedFile;

// Cheap to copy (copies share the tables), immutable, safe to use from many threads.
class Tokenizer {
 public:
  // Throw Error(kFormat) with `path` as the place; load() also Error(kIo).
  static Tokenizer from_json(const Json& json, std::string_view path);
  static Tokenizer load(const fs::path& tokenizer_json);
  // `file` is what was read of `text`.
  static Tokenizer from_file(const SkimmedFile& file, std::string_view text, std::string_view path);
  // The ids that programs of such files give, control tokens in the text recognised. Throws
  // Error(kFormat) with `path` as the place.
  static Tokenizer from_vocabulary(const Vocabulary& vocabulary, std::string_view path);

  // Added tokens in the text are recognised. `add_special`: with the tokens that the file's
  // post-processor puts around a text. Throws Error(kEncoding) when `text` is not UTF-8.
  std::vector<int32_t> encode(std::string_view text, bool add_special) const;
  // The text as mere text: no special token comes out, whatever the text spells (but for the
  // unknown token, where a file knows neither all bytes nor all characters). Added tokens are not
  // recognised, but for those that are plain white space (runs of blanks in code), since they
  // control nothing and models were trained with them.
  std::vector<int32_t> encode_ordinary(std::string_view text) const;

  // Always valid UTF-8. Ids without a token are left out.
  std::string decode(std::span<const int32_t> ids, bool skip_special) const;

  // One more than the largest id of the vocabulary and the added tokens.
  size_t vocab_size() const;
  std::optional<int32_t> token_id(std::string_view token) const;
  // The spelling in the file (byte-level tokens in the byte alphabet); "" for ids without a token.
  const std::string& token_text(int32_t id) const;
  bool is_special(int32_t id) const;
  // Special or not: listed among the file's added tokens.
  bool is_added(int32_t id) const;

 private:
  friend class TokenStream;
  struct Tables;
  explicit Tokenizer(std::shared_ptr<const Tables> tables) : tables_(std::move(tables)) {}
  std::shared_ptr<const Tables> tables_;
};

// Decodes ids one at a time. The texts returned by push() and flush() together are decode() of all
// ids.
class TokenStream {
 public:
  explicit TokenStream(Tokenizer tokenizer, bool skip_special = true);

  // The text that is certain now: whole characters only, "" while one is incomplete.
  std::string push(int32_t id);
  // What is left; incomplete characters become U+FFFD. The stream then starts anew.
  std::string flush();

 private:
  std::string push_token(const std::string& token);

  Tokenizer tokenizer_;
  bool skip_special_;
  std::string bytes_;                // byte-level: bytes of an incomplete character
  std::vector<std::string> window_;  // otherwise: tokens of which num_done_ are already given out,
  size_t num_done_ = 0;              // kept because a decoder may look at its neighbours
};

}  // namespace dlm
