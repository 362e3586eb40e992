// Expressions, by recursive descent, one function per level of precedence from the weakest to the
// strongest: condition, or, and, not, comparison, sum, ~, product, power, sign, postfix, filter.
#include <algorithm>

#include "text/jinja/token_cursor.h"

namespace dlm::jinja {

namespace {

// Evaluation recurses along the tree, and so does freeing it.
constexpr int kMaxTreeDepth = 250;

ExprPtr make(Expr::Kind kind, int line, std::string text = {}) {
  auto expr = std::make_unique<Expr>();
  expr->kind = kind;
  expr->line = line;
  expr->text = std::move(text);
  return expr;
}

void deepen(Expr& parent, const Expr& child) {
  parent.depth = std::max(parent.depth, child.depth + 1);
  if (parent.depth > kMaxTreeDepth) fail_at(parent.line, "the expression is too long");
}

void adopt(Expr& parent, ExprPtr child) {
  if (child != nullptr) deepen(parent, *child);
  parent.children.push_back(std::move(child));
}

void adopt_named(Expr& parent, std::string name, ExprPtr child) {
  deepen(parent, *child);
  parent.named.emplace_back(std::move(name), std::move(child));
}

ExprPtr constant(int line, Value value) {
  ExprPtr expr = make(Expr::Kind::kConstant, line);
  expr->constant = std::move(value);
  return expr;
}

ExprPtr parse_unary(TokenCursor& cursor, bool with_filters);

ExprPtr binary(int line, std::string op, ExprPtr left, ExprPtr right) {
  ExprPtr expr = make(Expr::Kind::kBinary, line, std::move(op));
  adopt(*expr, std::move(left));
  adopt(*expr, std::move(right));
  return expr;
}

void parse_arguments(TokenCursor& cursor, Expr& call) {
  cursor.expect_operator("(");
  while (!cursor.is_operator(")")) {
    const int line = cursor.current().line;
    if (cursor.skip_operator("*")) {
      ExprPtr unpack = make(Expr::Kind::kUnpack, line);
      adopt(*unpack, parse_expression(cursor));
      adopt(call, std::move(unpack));
    } else if (cursor.skip_operator("**")) {
      adopt_named(call, "**", parse_expression(cursor));
    } else if (cursor.is(TokenKind::kName) && cursor.ahead().text == "=" &&
               cursor.ahead().kind == TokenKind::kOperator) {
      std::string name = cursor.next().text;
      cursor.next();
      adopt_named(call, std::move(name), parse_expression(cursor));
    } else {
      if (!call.named.empty()) cursor.fail("a positional argument follows a named one");
      adopt(call, parse_expression(cursor));
    }
    if (!cursor.skip_operator(",")) break;
  }
  cursor.expect_operator(")");
}

ExprPtr parse_dict(TokenCursor& cursor) {
  ExprPtr expr = make(Expr::Kind::kDict, cursor.current().line);
  cursor.expect_operator("{");
  while (!cursor.is_operator("}")) {
    adopt(*expr, parse_expression(cursor));
    cursor.expect_operator(":");
    adopt(*expr, parse_expression(cursor));
    if (!cursor.skip_operator(",")) break;
  }
  cursor.expect_operator("}");
  return expr;
}

ExprPtr parse_list(TokenCursor& cursor) {
  ExprPtr expr = make(Expr::Kind::kList, cursor.current().line);
  cursor.expect_operator("[");
  while (!cursor.is_operator("]")) {
    adopt(*expr, parse_expression(cursor));
    if (!cursor.skip_operator(",")) break;
  }
  cursor.expect_operator("]");
  return expr;
}

ExprPtr parse_name(TokenCursor& cursor) {
  const Token token = cursor.next();
  if (token.text == "true" || token.text == "True") {
    return constant(token.line, Value::boolean(true));
  }
  if (token.text == "false" || token.text == "False") {
    return constant(token.line, Value::boolean(false));
  }
  if (token.text == "none" || token.text == "None") return constant(token.line, Value::none());
  return make(Expr::Kind::kName, token.line, token.text);
}

ExprPtr parse_primary(TokenCursor& cursor) {
  const Token token = cursor.current();
  switch (token.kind) {
    case TokenKind::kName:
      return parse_name(cursor);
    case TokenKind::kString: {
      std::string text;
      while (cursor.is(TokenKind::kString)) text += cursor.next().text;
      return constant(token.line, Value::string(std::move(text)));
    }
    case TokenKind::kInteger:
      cursor.next();
      return constant(token.line, Value::integer(token.integer));
    case TokenKind::kFloat:
      cursor.next();
      return constant(token.line, Value::number(token.number));
    default:
      break;
  }
  if (cursor.is_operator("[")) return parse_list(cursor);
  if (cursor.is_operator("{")) return parse_dict(cursor);
  if (cursor.skip_operator("(")) {
    ExprPtr expr =
        cursor.is_operator(")") ? make(Expr::Kind::kTuple, token.line) : parse_tuple(cursor);
    cursor.expect_operator(")");
    return expr;
  }
  cursor.fail("expected an expression, found " + cursor.found());
}

// [index] or [begin:end:step]
ExprPtr parse_subscript(TokenCursor& cursor, ExprPtr object) {
  const int line = cursor.current().line;
  cursor.expect_operator("[");
  ExprPtr parts[3];
  int num_colons = 0;
  while (!cursor.is_operator("]")) {
    if (cursor.skip_operator(":")) {
      if (++num_colons > 2) cursor.fail("a slice has at most two ':'");
    } else {
      if (parts[num_colons] != nullptr) cursor.fail("expected ']', found " + cursor.found());
      parts[num_colons] = parse_expression(cursor);
    }
  }
  cursor.expect_operator("]");
  if (num_colons == 0 && parts[0] == nullptr) fail_at(line, "a subscript is empty");
  ExprPtr expr = make(num_colons == 0 ? Expr::Kind::kSubscript : Expr::Kind::kSlice, line);
  adopt(*expr, std::move(object));
  for (int i = 0; i < (num_colons == 0 ? 1 : 3); ++i) adopt(*expr, std::move(parts[i]));
  return expr;
}

ExprPtr parse_dot(TokenCursor& cursor, ExprPtr object) {
  const int line = cursor.next().line;
  if (cursor.is(TokenKind::kInteger)) {
    ExprPtr expr = make(Expr::Kind::kSubscript, line);
    adopt(*expr, std::move(object));
    adopt(*expr, constant(line, Value::integer(cursor.next().integer)));
    return expr;
  }
  ExprPtr expr = make(Expr::Kind::kAttribute, line, cursor.expect_name());
  adopt(*expr, std::move(object));
  return expr;
}

ExprPtr parse_call(TokenCursor& cursor, ExprPtr callee) {
  ExprPtr expr = make(Expr::Kind::kCall, cursor.current().line);
  adopt(*expr, std::move(callee));
  parse_arguments(cursor, *expr);
  return expr;
}

ExprPtr parse_postfix(TokenCursor& cursor, ExprPtr expr) {
  while (true) {
    if (cursor.is_operator(".")) {
      expr = parse_dot(cursor, std::move(expr));
    } else if (cursor.is_operator("[")) {
      expr = parse_subscript(cursor, std::move(expr));
    } else if (cursor.is_operator("(")) {
      expr = parse_call(cursor, std::move(expr));
    } else {
      return expr;
    }
  }
}

// A test may take one argument without brackets: "x is divisibleby 3".
bool begins_test_argument(const TokenCursor& cursor) {
  switch (cursor.current().kind) {
    case TokenKind::kString:
    case TokenKind::kInteger:
    case TokenKind::kFloat:
      return true;
    case TokenKind::kName:
      for (const std::string_view word : {"else", "or", "and", "if", "in", "not", "is"}) {
        if (cursor.is_name(word)) return false;
      }
      return true;
    default:
      return cursor.is_operator("[") || cursor.is_operator("{");
  }
}

ExprPtr parse_test(TokenCursor& cursor, ExprPtr input) {
  const int line = cursor.next().line;
  const bool is_negated = cursor.skip_name("not");
  std::string name = cursor.expect_name();
  while (cursor.skip_operator(".")) name += "." + cursor.expect_name();
  ExprPtr test = make(Expr::Kind::kTest, line, std::move(name));
  adopt(*test, std::move(input));
  if (cursor.is_operator("(")) {
    parse_arguments(cursor, *test);
  } else if (begins_test_argument(cursor)) {
    adopt(*test, parse_postfix(cursor, parse_primary(cursor)));
  }
  if (!is_negated) return test;
  ExprPtr negation = make(Expr::Kind::kUnary, line, "not");
  adopt(*negation, std::move(test));
  return negation;
}

ExprPtr parse_filter_expression(TokenCursor& cursor, ExprPtr expr) {
  while (true) {
    if (cursor.is_operator("|")) {
      expr = parse_filters(cursor, std::move(expr));
    } else if (cursor.is_name("is")) {
      expr = parse_test(cursor, std::move(expr));
    } else if (cursor.is_operator("(")) {
      expr = parse_call(cursor, std::move(expr));
    } else {
      return expr;
    }
  }
}

ExprPtr parse_unary(TokenCursor& cursor, bool with_filters) {
  const TokenCursor::Level level(cursor);
  ExprPtr expr;
  if (cursor.is_operator("-") || cursor.is_operator("+")) {
    const Token token = cursor.next();
    expr = make(Expr::Kind::kUnary, token.line, token.text);
    adopt(*expr, parse_unary(cursor, false));
  } else {
    expr = parse_primary(cursor);
  }
  expr = parse_postfix(cursor, std::move(expr));
  return with_filters ? parse_filter_expression(cursor, std::move(expr)) : std::move(expr);
}

ExprPtr parse_power(TokenCursor& cursor) {
  ExprPtr left = parse_unary(cursor, true);
  while (cursor.is_operator("**")) {
    const int line = cursor.next().line;
    left = binary(line, "**", std::move(left), parse_unary(cursor, true));
  }
  return left;
}

ExprPtr parse_product(TokenCursor& cursor) {
  ExprPtr left = parse_power(cursor);
  while (cursor.is_operator("*") || cursor.is_operator("/") || cursor.is_operator("//") ||
         cursor.is_operator("%")) {
    const Token token = cursor.next();
    left = binary(token.line, token.text, std::move(left), parse_power(cursor));
  }
  return left;
}

ExprPtr parse_concat(TokenCursor& cursor) {
  ExprPtr first = parse_product(cursor);
  if (!cursor.is_operator("~")) return first;
  ExprPtr expr = make(Expr::Kind::kConcat, cursor.current().line);
  adopt(*expr, std::move(first));
  while (cursor.skip_operator("~")) adopt(*expr, parse_product(cursor));
  return expr;
}

ExprPtr parse_sum(TokenCursor& cursor) {
  ExprPtr left = parse_concat(cursor);
  while (cursor.is_operator("+") || cursor.is_operator("-")) {
    const Token token = cursor.next();
    left = binary(token.line, token.text, std::move(left), parse_concat(cursor));
  }
  return left;
}

std::string comparison_operator(TokenCursor& cursor) {
  for (const std::string_view op : {"==", "!=", "<", "<=", ">", ">="}) {
    if (cursor.is_operator(op)) return cursor.next().text;
  }
  if (cursor.is_name("in")) return cursor.next().text;
  if (cursor.is_name("not") && cursor.ahead().kind == TokenKind::kName &&
      cursor.ahead().text == "in") {
    cursor.next();
    cursor.next();
    return "not in";
  }
  return {};
}

ExprPtr parse_comparison(TokenCursor& cursor) {
  const int line = cursor.current().line;
  ExprPtr first = parse_sum(cursor);
  std::string op = comparison_operator(cursor);
  if (op.empty()) return first;
  ExprPtr expr = make(Expr::Kind::kCompare, line);
  adopt(*expr, std::move(first));
  for (; !op.empty(); op = comparison_operator(cursor)) {
    expr->operators.push_back(op);
    adopt(*expr, parse_sum(cursor));
  }
  return expr;
}

ExprPtr parse_not(TokenCursor& cursor) {
  if (!cursor.is_name("not")) return parse_comparison(cursor);
  const TokenCursor::Level level(cursor);
  ExprPtr expr = make(Expr::Kind::kUnary, cursor.next().line, "not");
  adopt(*expr, parse_not(cursor));
  return expr;
}

ExprPtr parse_and(TokenCursor& cursor) {
  ExprPtr left = parse_not(cursor);
  while (cursor.is_name("and")) {
    const int line = cursor.next().line;
    left = binary(line, "and", std::move(left), parse_not(cursor));
  }
  return left;
}

ExprPtr parse_or(TokenCursor& cursor) {
  ExprPtr left = parse_and(cursor);
  while (cursor.is_name("or")) {
    const int line = cursor.next().line;
    left = binary(line, "or", std::move(left), parse_and(cursor));
  }
  return left;
}

}  // namespace

ExprPtr parse_expression(TokenCursor& cursor, bool with_condition) {
  const TokenCursor::Level level(cursor);
  ExprPtr expr = parse_or(cursor);
  while (with_condition && cursor.is_name("if")) {
    ExprPtr condition = make(Expr::Kind::kCondition, cursor.next().line);
    ExprPtr test = parse_or(cursor);
    adopt(*condition, std::move(expr));
    adopt(*condition, std::move(test));
    adopt(*condition, cursor.skip_name("else") ? parse_expression(cursor) : nullptr);
    expr = std::move(condition);
  }
  return expr;
}

ExprPtr parse_tuple(TokenCursor& cursor, bool with_condition) {
  const int line = cursor.current().line;
  ExprPtr first = parse_expression(cursor, with_condition);
  if (!cursor.is_operator(",")) return first;
  ExprPtr tuple = make(Expr::Kind::kTuple, line);
  adopt(*tuple, std::move(first));
  while (cursor.skip_operator(",")) {
    if (cursor.is(TokenKind::kBlockEnd) || cursor.is(TokenKind::kPrintEnd) ||
        cursor.is_operator(")") || cursor.is_operator("=")) {
      break;
    }
    adopt(*tuple, parse_expression(cursor, with_condition));
  }
  return tuple;
}

ExprPtr parse_filters(TokenCursor& cursor, ExprPtr input) {
  while (cursor.skip_operator("|")) {
    ExprPtr filter = make(Expr::Kind::kFilter, cursor.current().line, cursor.expect_name());
    while (cursor.skip_operator(".")) filter->text += "." + cursor.expect_name();
    adopt(*filter, std::move(input));
    if (cursor.is_operator("(")) parse_arguments(cursor, *filter);
    input = std::move(filter);
  }
  return input;
}

ExprPtr parse_filter_chain(TokenCursor& cursor, ExprPtr input) {
  ExprPtr filter = make(Expr::Kind::kFilter, cursor.current().line, cursor.expect_name());
  adopt(*filter, std::move(input));
  if (cursor.is_operator("(")) parse_arguments(cursor, *filter);
  return parse_filters(cursor, std::move(filter));
}

}  // namespace dlm::jinja
