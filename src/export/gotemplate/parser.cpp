#include "export/gotemplate/parser.h"

#include "export/gotemplate/lexer.h"
#include "support/error.h"

namespace dlm::gotemplate {

namespace {

constexpr int kMaxDepth = 100;

class Parser {
 public:
  explicit Parser(std::string_view source) : tokens_(tokenize(source)) {}

  std::vector<Node> run() {
    std::string stop;
    std::vector<Node> nodes = list(stop);
    if (!stop.empty()) fail("\"" + stop + "\" without its beginning");
    return nodes;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw Error(ErrorKind::kFormat, "Go template: " + what, {}, {"TEMPLATE", here().line, 0});
  }
  const Token& here() const { return tokens_[at_]; }
  bool is(TokenKind kind) const { return here().kind == kind; }
  bool is_symbol(std::string_view text) const {
    return is(TokenKind::kSymbol) && here().text == text;
  }
  void skip_blanks() {
    while (is(TokenKind::kBlank)) ++at_;
  }
  void expect_end() {
    skip_blanks();
    if (!is(TokenKind::kEnd)) fail("unexpected \"" + here().text + "\"");
    ++at_;
  }

  // Nodes up to {{end}}, {{else ...}} or the end; `stop` says which ("end", "else", "").
  std::vector<Node> list(std::string& stop) {
    if (++depth_ > kMaxDepth) fail("blocks are nested too deep");
    std::vector<Node> nodes;
    stop.clear();
    while (!is(TokenKind::kEof)) {
      if (is(TokenKind::kText)) {
        Node node;
        node.text = tokens_[at_++].text;
        nodes.push_back(std::move(node));
        continue;
      }
      ++at_;  // {{
      skip_blanks();
      if (is(TokenKind::kWord) && (here().text == "end" || here().text == "else")) {
        stop = tokens_[at_++].text;
        break;
      }
      nodes.push_back(action());
    }
    --depth_;
    return nodes;
  }

  Node action() {
    Node node;
    const std::string word = is(TokenKind::kWord) ? here().text : "";
    if (word == "if" || word == "with" || word == "range") return block(word);
    if (word == "define" || word == "template" || word == "block") {
      fail("\"" + word + "\" is not supported");
    }
    if (word == "break" || word == "continue") {
      if (loops_ == 0) fail("\"" + word + "\" outside of a range");
      node.kind = word == "break" ? Node::Kind::kBreak : Node::Kind::kContinue;
      ++at_;
    } else {
      node.kind = Node::Kind::kAction;
      node.pipeline = pipeline(1);
    }
    expect_end();
    return node;
  }

  Node block(const std::string& word) {
    ++at_;
    Node node;
    node.kind = word == "if"     ? Node::Kind::kIf
                : word == "with" ? Node::Kind::kWith
                                 : Node::Kind::kRange;
    node.pipeline = pipeline(word == "range" ? 2 : 1);
    expect_end();
    std::string stop;
    if (word == "range") ++loops_;
    node.body = list(stop);
    if (word == "range") --loops_;
    if (stop == "else") {
      skip_blanks();
      if (is(TokenKind::kWord) && here().text == word && word != "range") {
        node.otherwise.push_back(block(word));  // takes the {{end}} of all
        return node;
      }
      expect_end();
      node.otherwise = list(stop);
    }
    if (stop != "end") fail("\"" + word + "\" is not ended");
    expect_end();
    return node;
  }

  // `max_variables`: how many a declaration may have here.
  Pipeline pipeline(size_t max_variables) {
    if (++depth_ > kMaxDepth) fail("parentheses are nested too deep");
    skip_blanks();
    Pipeline result;
    result.line = here().line;
    declaration(result, max_variables);
    while (true) {
      result.commands.push_back(command());
      skip_blanks();
      if (!is_symbol("|")) break;
      ++at_;
    }
    --depth_;
    return result;
  }

  void declaration(Pipeline& result, size_t max_variables) {
    const size_t begin = at_;
    while (is(TokenKind::kVariable)) {
      result.variables.push_back(tokens_[at_++].text);
      skip_blanks();
      if (is_symbol(":=") || is_symbol("=")) {
        if (result.variables.size() > max_variables) fail("too many variables are declared");
        result.declares = tokens_[at_++].text == ":=";
        return;
      }
      if (!is_symbol(",")) break;
      ++at_;
      skip_blanks();
    }
    result.variables.clear();
    at_ = begin;
  }

  Command command() {
    Command words;
    skip_blanks();
    while (true) {
      words.push_back(operand());
      if (!is(TokenKind::kBlank)) break;
      skip_blanks();
      if (is(TokenKind::kEnd) || is(TokenKind::kSymbol)) {
        if (!is_symbol("(")) break;
      }
    }
    return words;
  }

  Operand operand() {
    Operand result;
    const Token token = here();
    ++at_;
    switch (token.kind) {
      case TokenKind::kString:
        result.constant = Value(token.text);
        break;
      case TokenKind::kNumber:
        if (token.text.size() > 18) fail("the number " + token.text + " is too large");
        result.constant = Value(static_cast<int64_t>(std::stoll(token.text)));
        break;
      case TokenKind::kDot:
        result.kind = Operand::Kind::kDot;
        break;
      case TokenKind::kField:
        result.kind = Operand::Kind::kDot;
        result.fields.push_back(token.text);
        break;
      case TokenKind::kVariable:
        result.kind = Operand::Kind::kVariable;
        result.name = token.text;
        break;
      case TokenKind::kWord:
        if (token.text == "true" || token.text == "false") {
          result.constant = Value(token.text == "true");
        } else if (token.text == "nil") {
          result.constant = Value();
        } else {
          result.kind = Operand::Kind::kFunction;
          result.name = token.text;
        }
        break;
      case TokenKind::kSymbol:
        if (token.text == "(") {
          result.kind = Operand::Kind::kPipeline;
          result.pipeline = std::make_shared<const Pipeline>(pipeline(0));
          if (!is_symbol(")")) fail("a parenthesis is not closed");
          ++at_;
          break;
        }
        [[fallthrough]];
      default:
        fail(token.text.empty() ? "an action is empty" : "unexpected \"" + token.text + "\"");
    }
    while (is(TokenKind::kField)) result.fields.push_back(tokens_[at_++].text);
    return result;
  }

  std::vector<Token> tokens_;
  size_t at_ = 0;
  int depth_ = 0;
  int loops_ = 0;
};

}  // namespace

std::vector<Node> parse(std::string_view source) {
  return Parser(source).run();
}

}  // namespace dlm::gotemplate
