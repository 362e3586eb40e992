// Cuts a template's source into text and the tokens of its tags, with white space control as Jinja
// does it under trim_blocks and lstrip_blocks. It knows no grammar.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace dlm::jinja {

enum class TokenKind {
  kText,        // outside of tags; `text` is what to print
  kBlockBegin,  // {%
  kBlockEnd,
  kPrintBegin,  // {{
  kPrintEnd,
  kName,
  kString,    // `text` is the value
  kInteger,   // `integer`
  kFloat,     // `number`
  kOperator,  // `text` is the operator
  kEnd,
};

struct Token {
  TokenKind kind;
  int line;
  std::string text;
  int64_t integer = 0;
  double number = 0;
};

// The last token is kEnd. Throws Error(kFormat) with the line.
std::vector<Token> lex(std::string_view source);

}  // namespace dlm::jinja
