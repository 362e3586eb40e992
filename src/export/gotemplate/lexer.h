// Cuts a Go template (text/template) into its texts and the tokens of its actions, with the trim
// markers done: "{{- " takes the white space before it away, " -}}" that behind it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace dlm::gotemplate {

enum class TokenKind : uint8_t {
  kText,      // outside of actions
  kBegin,     // {{
  kEnd,       // }}
  kWord,      // if, range, eq, true, ...
  kField,     // ".Role": the text is "Role"
  kDot,       // "." alone
  kVariable,  // "$" or "$name", with its dollar
  kString,
  kNumber,
  kBlank,   // separates arguments
  kSymbol,  // | ( ) , = :=
  kEof,
};

struct Token {
  TokenKind kind;
  std::string text;
  int line = 0;
};

// Throws Error(kFormat) with the line.
std::vector<Token> tokenize(std::string_view source);

}  // namespace dlm::gotemplate
