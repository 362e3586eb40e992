// The normalizer of a tokenizer.json: Unicode normal forms, Prepend, Replace, Strip and sequences
// of them. It refuses other kinds by name, since a skipped normalizer would give wrong ids
// silently.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "support/json.h"
#include "text/regex.h"

namespace dlm {

class Normalizer {
 public:
  Normalizer() = default;  // changes nothing
  // Throws Error(kFormat).
  static Normalizer from_json(const Json& json);

  // `text` is valid UTF-8; so is the result. Throws Error(kFormat) when the result would be more
  // than 16 times as long as the text (plus 1 KiB).
  std::string apply(std::string_view text) const;
  bool is_identity() const { return steps_.empty(); }

 private:
  enum class Kind { kNfc, kNfd, kNfkc, kNfkd, kPrepend, kReplace, kReplaceRegex, kStrip };
  struct Step {
    Kind kind;
    std::string from;
    std::string to;  // Prepend: what; Replace: content
    std::optional<Regex> regex;
    bool strip_left = false;
    bool strip_right = false;
  };

  void add(const Json& json, const std::string& where, int depth);
  static std::string apply_step(const Step& step, std::string text);

  std::vector<Step> steps_;
};

// Every occurrence of `from` (not empty) replaced from left to right.
std::string replace_all(std::string_view text, std::string_view from, std::string_view to);
std::string replace_matches(const Regex& regex, std::string_view text, std::string_view to);

}  // namespace dlm
