// Path patterns of source directives: `**` is any run of characters, a '/' right behind it is
// swallowed; `*` is a run without '/'; `?` is one character but '/'; all else stands for itself.
// There are no classes, braces or escapes. A pattern is matched against a whole path.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace dlm {

class Glob {
 public:
  // Throws Error(kParse) for a pattern of more than 1,024 characters.
  explicit Glob(std::string_view pattern);

  // Paths are relative, with '/', in UTF-8. Time is at most the product of both lengths.
  bool matches(std::string_view path) const;
  // Whether every path below the folder matches.
  bool matches_all_below(std::string_view folder) const;
  // Whether there could be a path below the folder that matches.
  bool may_match_below(std::string_view folder) const;

  const std::string& pattern() const { return pattern_; }
  bool is_literal() const { return prefix_.size() == pattern_.size(); }

 private:
  enum class TokenKind : uint8_t { kCharacter, kOneInName, kRunInName, kRun };
  struct Token {
    TokenKind kind;
    uint32_t character = 0;
  };
  using States = std::vector<uint8_t>;  // [i]: all tokens before the i-th are used up

  States run(std::string_view text) const;
  void skip_runs(States& states) const;
  bool can_be_rejected(std::string_view path) const;

  std::string pattern_;
  std::vector<Token> tokens_;
  // Literal text that each matching path begins with, ends with and holds: most paths fail one of
  // them, which takes no simulation.
  std::string prefix_;
  std::string suffix_;
  std::string inner_;
};

// Whether any of the patterns matches.
bool matches_any(const std::vector<Glob>& globs, std::string_view path);

}  // namespace dlm
