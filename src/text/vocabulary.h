// A tokenizer as run-time files (GGUF) hold it: a list of tokens with their kinds, merges or
// scores, the name of a way to split texts, and flags. A plain value; Tokenizer::from_vocabulary()
// judges it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dlm {

// Numbers are those of the file.
enum class TokenKind : int32_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6,
};

struct Vocabulary {
  bool is_byte_level = true;  // BPE over bytes; else SentencePiece's, by scores
  std::string split;          // byte-level: the name of the pre-tokenizer
  std::vector<std::string> tokens;
  std::vector<TokenKind> kinds;     // one a token
  std::vector<float> scores;        // SentencePiece: one a token
  std::vector<std::string> merges;  // byte-level: "left right", by rank
  std::optional<int32_t> bos, eos, eot, eom, unknown, padding;
  // Nothing said: as programs take it for this kind of vocabulary.
  std::optional<bool> adds_bos, adds_eos, adds_space_prefix;
  // White space behind control tokens belongs to them (Phi 3).
  bool control_tokens_strip = false;
  std::string chat_template;  // Jinja; "": none

  // The flag, or what its absence means.
  bool puts_bos() const;
  bool puts_eos() const { return adds_eos.value_or(false); }
  bool puts_space_prefix() const { return adds_space_prefix.value_or(!is_byte_level); }
};

// How a byte-level vocabulary splits texts, by the name in its file.
struct NamedSplit {
  std::vector<std::string_view> patterns;  // applied in turn, each to the pieces of the one before
  bool takes_whole_words = false;          // a piece that is a token is not built from merges
  bool puts_bos = false;                   // unless the file says otherwise
};

// None for names that are not known.
std::optional<NamedSplit> find_split(std::string_view name);
std::vector<std::string_view> split_names();

}  // namespace dlm
