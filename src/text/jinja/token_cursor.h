// A place in the list of tokens; what the two halves of the parser share.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/jinja/ast.h"
#include "text/jinja/lexer.h"
#include "text/jinja/meter.h"

namespace dlm::jinja {

// Nested blocks, brackets and operators in the source.
inline constexpr int kMaxSourceDepth = 120;

class TokenCursor {
 public:
  explicit TokenCursor(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  const Token& current() const { return tokens_[at_]; }
  const Token& ahead() const { return tokens_[at_ + 1 < tokens_.size() ? at_ + 1 : at_]; }
  Token next() {
    Token token = tokens_[at_];
    if (at_ + 1 < tokens_.size()) ++at_;
    return token;
  }

  bool is(TokenKind kind) const { return current().kind == kind; }
  bool is_operator(std::string_view text) const {
    return is(TokenKind::kOperator) && current().text == text;
  }
  bool is_name(std::string_view text) const {
    return is(TokenKind::kName) && current().text == text;
  }
  bool skip_operator(std::string_view text) {
    if (!is_operator(text)) return false;
    next();
    return true;
  }
  bool skip_name(std::string_view text) {
    if (!is_name(text)) return false;
    next();
    return true;
  }
  void expect_operator(std::string_view text) {
    if (!skip_operator(text)) fail("expected '" + std::string(text) + "', found " + found());
  }
  std::string expect_name() {
    if (!is(TokenKind::kName)) fail("expected a name, found " + found());
    return next().text;
  }
  void expect(TokenKind kind, std::string_view what) {
    if (!is(kind)) fail("expected " + std::string(what) + ", found " + found());
    next();
  }

  [[noreturn]] void fail(std::string message) const { fail_at(current().line, std::move(message)); }
  std::string found() const {
    switch (current().kind) {
      case TokenKind::kEnd:
        return "the end of the template";
      case TokenKind::kBlockEnd:
        return "'%}'";
      case TokenKind::kPrintEnd:
        return "'}}'";
      case TokenKind::kString:
        return "a string";
      default:
        return "'" + current().text + "'";
    }
  }

  class Level {
   public:
    explicit Level(TokenCursor& cursor) : cursor_(cursor) {
      if (++cursor_.depth_ > kMaxSourceDepth) {
        --cursor_.depth_;
        cursor_.fail("the template nests too deeply");
      }
    }
    ~Level() { --cursor_.depth_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

   private:
    TokenCursor& cursor_;
  };

 private:
  std::vector<Token> tokens_;
  size_t at_ = 0;
  int depth_ = 0;
};

// The expression half of the parser.
ExprPtr parse_expression(TokenCursor& cursor, bool with_condition = true);
// One expression, or several with commas as a tuple. `with_condition` as above.
ExprPtr parse_tuple(TokenCursor& cursor, bool with_condition = true);
// | filter | filter: applied to `input` (null in filter blocks).
ExprPtr parse_filters(TokenCursor& cursor, ExprPtr input);
// The first filter without its '|'.
ExprPtr parse_filter_chain(TokenCursor& cursor, ExprPtr input);

}  // namespace dlm::jinja
