// Statements.
#include "text/jinja/parser.h"

#include <algorithm>
#include <initializer_list>

#include "text/jinja/token_cursor.h"

namespace dlm::jinja {

namespace {

class Parser {
 public:
  explicit Parser(std::vector<Token> tokens) : cursor_(std::move(tokens)) {}

  Template run() {
    Template result;
    result.body = parse_body({});
    result.has_generation = has_generation_;
    return result;
  }

 private:
  // Statements up to one of the tags in `ends`, whose name is left in end_name_ with the cursor
  // behind it. With no ends: up to the end of the template.
  Block parse_body(std::initializer_list<std::string_view> ends) {
    const TokenCursor::Level level(cursor_);
    const int begin_line = cursor_.current().line;
    Block body;
    while (true) {
      const Token token = cursor_.current();
      switch (token.kind) {
        case TokenKind::kText:
          body.push_back(node(Node::Kind::kText));
          body.back().text = cursor_.next().text;
          break;
        case TokenKind::kPrintBegin:
          cursor_.next();
          body.push_back(node(Node::Kind::kPrint));
          body.back().expr = parse_tuple(cursor_);
          cursor_.expect(TokenKind::kPrintEnd, "'}}'");
          break;
        case TokenKind::kBlockBegin: {
          cursor_.next();
          const std::string name = cursor_.current().text;
          if (cursor_.is(TokenKind::kName) &&
              std::find(ends.begin(), ends.end(), name) != ends.end()) {
            cursor_.next();
            end_name_ = name;
            return body;
          }
          body.push_back(parse_statement());
          break;
        }
        default:
          if (ends.size() == 0) return body;
          fail_at(begin_line, "a block is not closed; \"{% " + std::string(*(ends.end() - 1)) +
                                  " %}\" is missing");
      }
    }
  }

  // The last one of `ends` closes the block; its tag ends here.
  Block parse_closed_body(std::initializer_list<std::string_view> ends) {
    Block body = parse_body(ends);
    cursor_.expect(TokenKind::kBlockEnd, "'%}'");
    return body;
  }

  Node node(Node::Kind kind) const {
    Node made;
    made.kind = kind;
    made.line = cursor_.current().line;
    return made;
  }

  void expect_block_end() { cursor_.expect(TokenKind::kBlockEnd, "'%}'"); }

  Node parse_statement() {
    if (!cursor_.is(TokenKind::kName)) {
      cursor_.fail("expected a statement, found " + cursor_.found());
    }
    const std::string name = cursor_.current().text;
    if (name == "if") return parse_if();
    if (name == "for") return parse_for();
    if (name == "set") return parse_set();
    if (name == "macro") return parse_macro();
    if (name == "call") return parse_call();
    if (name == "filter") return parse_filter();
    if (name == "with") return parse_with();
    if (name == "generation") return parse_generation();
    if (name == "break" || name == "continue") {
      if (num_loops_ == 0) cursor_.fail("{% " + name + " %} is outside of a loop");
      Node jump = node(name == "break" ? Node::Kind::kBreak : Node::Kind::kContinue);
      cursor_.next();
      expect_block_end();
      return jump;
    }
    cursor_.fail("the statement '" + name + "' is not supported here");
  }

  Node parse_if() {
    Node result = node(Node::Kind::kIf);
    cursor_.next();
    while (true) {
      Node::Branch branch;
      if (end_name_ != "else" || result.branches.empty()) branch.test = parse_tuple(cursor_, false);
      expect_block_end();
      const bool is_else = branch.test == nullptr;
      branch.body = is_else ? parse_body({"endif"}) : parse_body({"elif", "else", "endif"});
      result.branches.push_back(std::move(branch));
      if (end_name_ == "endif") break;
    }
    expect_block_end();
    return result;
  }

  Node parse_for() {
    Node result = node(Node::Kind::kFor);
    cursor_.next();
    result.target = parse_target("in");
    if (!cursor_.skip_name("in")) cursor_.fail("expected 'in', found " + cursor_.found());
    result.expr = parse_tuple(cursor_, false);
    if (cursor_.skip_name("if")) result.test = parse_expression(cursor_);
    if (cursor_.is_name("recursive")) cursor_.fail("recursive loops are not supported");
    expect_block_end();
    ++num_loops_;
    result.body = parse_body({"else", "endfor"});
    --num_loops_;
    expect_block_end();
    if (end_name_ == "else") result.else_body = parse_closed_body({"endfor"});
    return result;
  }

  // One target, or several with commas. `end` is the word or operator behind it.
  Target parse_target(std::string_view end) {
    const TokenCursor::Level level(cursor_);
    Target first = parse_single_target();
    if (!cursor_.is_operator(",")) return first;
    Target tuple;
    tuple.parts.push_back(std::move(first));
    while (cursor_.skip_operator(",")) {
      if (cursor_.is_name(end) || cursor_.is_operator(end)) break;
      tuple.parts.push_back(parse_single_target());
    }
    return tuple;
  }

  Target parse_single_target() {
    if (cursor_.skip_operator("(")) {
      Target inner = parse_target(")");
      cursor_.expect_operator(")");
      return inner;
    }
    Target target;
    target.name = cursor_.expect_name();
    if (cursor_.skip_operator(".")) target.attribute = cursor_.expect_name();
    return target;
  }

  Node parse_set() {
    Node result = node(Node::Kind::kSet);
    cursor_.next();
    result.target = parse_target("=");
    if (cursor_.skip_operator("=")) {
      result.expr = parse_tuple(cursor_);
      expect_block_end();
      return result;
    }
    result.kind = Node::Kind::kSetBlock;
    if (cursor_.is_operator("|")) result.expr = parse_filters(cursor_, nullptr);
    expect_block_end();
    result.body = parse_closed_body({"endset"});
    return result;
  }

  void parse_parameters(Node& result) {
    cursor_.expect_operator("(");
    while (!cursor_.is_operator(")")) {
      std::string name = cursor_.expect_name();
      ExprPtr fallback;
      if (cursor_.skip_operator("=")) fallback = parse_expression(cursor_);
      result.parameters.emplace_back(std::move(name), std::move(fallback));
      if (!cursor_.skip_operator(",")) break;
    }
    cursor_.expect_operator(")");
  }

  // A loop around a macro is not the loop that a break inside of it could leave.
  Block parse_function_body(std::string_view end) {
    const int saved = std::exchange(num_loops_, 0);
    Block body = parse_closed_body({end});
    num_loops_ = saved;
    return body;
  }

  Node parse_macro() {
    Node result = node(Node::Kind::kMacro);
    cursor_.next();
    result.text = cursor_.expect_name();
    parse_parameters(result);
    expect_block_end();
    result.body = parse_function_body("endmacro");
    return result;
  }

  Node parse_call() {
    Node result = node(Node::Kind::kCallBlock);
    cursor_.next();
    if (cursor_.is_operator("(")) parse_parameters(result);
    result.expr = parse_expression(cursor_);
    if (result.expr->kind != Expr::Kind::kCall) cursor_.fail("a call block needs a call");
    expect_block_end();
    result.body = parse_function_body("endcall");
    return result;
  }

  Node parse_filter() {
    Node result = node(Node::Kind::kFilter);
    cursor_.next();
    result.expr = parse_filter_chain(cursor_, nullptr);
    expect_block_end();
    result.body = parse_closed_body({"endfilter"});
    return result;
  }

  Node parse_with() {
    Node result = node(Node::Kind::kWith);
    cursor_.next();
    while (!cursor_.is(TokenKind::kBlockEnd)) {
      Target target = parse_target("=");
      cursor_.expect_operator("=");
      result.assignments.emplace_back(std::move(target), parse_expression(cursor_));
      if (!cursor_.skip_operator(",")) break;
    }
    expect_block_end();
    result.body = parse_closed_body({"endwith"});
    return result;
  }

  Node parse_generation() {
    Node result = node(Node::Kind::kGeneration);
    cursor_.next();
    expect_block_end();
    result.body = parse_closed_body({"endgeneration"});
    has_generation_ = true;
    return result;
  }

  TokenCursor cursor_;
  std::string end_name_;
  int num_loops_ = 0;
  bool has_generation_ = false;
};

}  // namespace

Template parse_template(std::string_view source) {
  return Parser(lex(source)).run();
}

}  // namespace dlm::jinja
