// The decoder of a tokenizer.json: token spellings back to text. It refuses kinds that it does not
// know.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "support/json.h"
#include "text/regex.h"

namespace dlm {

class Decoder {
 public:
  Decoder() = default;  // joins tokens with a space, as the format asks for files without a decoder
  // Throws Error(kFormat).
  static Decoder from_json(const Json& json);

  // Always valid UTF-8: bytes that form no character become U+FFFD.
  std::string decode(std::vector<std::string> tokens) const;

  // One ByteLevel step and nothing else: the text is the tokens' bytes one after the other.
  bool is_plain_byte_level() const;
  // A step turns runs of tokens like <0xE2> into text, so a run must be decoded as a whole.
  bool joins_byte_tokens() const;
  // No step at all.
  bool is_absent() const { return steps_.empty(); }

 private:
  enum class Kind { kByteLevel, kReplace, kReplaceRegex, kByteFallback, kFuse, kStrip, kMetaspace };
  struct Step {
    Kind kind;
    std::string from;  // kReplace; kStrip: the character; kMetaspace: the replacement character
    std::string to;
    std::optional<Regex> regex;
    size_t num_start = 0;  // kStrip: at most this many at the start of a token
    size_t num_stop = 0;
    bool drops_first = false;  // kMetaspace: no space for the first character of the first token
  };

  void add(const Json& json, const std::string& where, int depth);
  static void run(const Step& step, std::vector<std::string>& tokens);

  std::vector<Step> steps_;
};

// The value of a token spelled <0xHH>, or none.
std::optional<unsigned char> byte_token_value(std::string_view token);

}  // namespace dlm
