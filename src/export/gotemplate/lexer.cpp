#include "export/gotemplate/lexer.h"

#include <algorithm>

#include "support/error.h"
#include "support/text.h"

namespace dlm::gotemplate {

namespace {

bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_name(char c) {
  return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) ||
         static_cast<unsigned char>(c) >= 0x80;
}

std::string_view trim_left(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  return text;
}
std::string_view trim_right(std::string_view text) {
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(source) {}

  std::vector<Token> run() {
    bool trims_next = false;
    while (true) {
      const size_t open = source_.find("{{", at_);
      std::string_view text = source_.substr(at_, open == source_.npos ? open : open - at_);
      const size_t end = at_ + text.size();
      if (trims_next) text = trim_left(text);
      if (open != source_.npos && trims_before(open)) text = trim_right(text);
      if (!text.empty()) add(TokenKind::kText, std::string(text));
      at_ = end;
      if (open == source_.npos) break;
      at_ = open + (trims_before(open) ? 3 : 2);
      trims_next = action();
    }
    add(TokenKind::kEof, "");
    return std::move(tokens_);
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw Error(ErrorKind::kFormat, "Go template: " + what, {}, {"TEMPLATE", line(), 0});
  }
  int line() const {
    const std::string_view before = source_.substr(0, std::min(at_, source_.size()));
    return 1 + static_cast<int>(std::count(before.begin(), before.end(), '\n'));
  }
  void add(TokenKind kind, std::string text) { tokens_.push_back({kind, std::move(text), line()}); }

  // "{{-" is a trim marker only where a blank follows; else it begins a negative number.
  bool trims_before(size_t open) const {
    return open + 3 < source_.size() && source_[open + 2] == '-' && is_blank(source_[open + 3]);
  }
  bool starts(std::string_view word) const { return source_.substr(at_).starts_with(word); }
  // Whether the action ends here; 2 bytes, or 4 with a trim marker (the blank before counts).
  size_t end_length() const {
    if (starts("}}")) return 2;
    if (at_ < source_.size() && is_blank(source_[at_]) &&
        source_.substr(at_ + 1).starts_with("-}}"))
      return 4;
    return 0;
  }

  // Returns whether the text behind is trimmed.
  bool action() {
    size_t inside = at_;
    while (inside < source_.size() && is_blank(source_[inside])) ++inside;
    if (source_.substr(inside).starts_with("/*")) return comment(inside);
    add(TokenKind::kBegin, "{{");
    while (true) {
      if (at_ >= source_.size()) fail("an action is not closed");
      if (const size_t n = end_length()) {
        add(TokenKind::kEnd, "}}");
        at_ += n;
        return n == 4;
      }
      next_token();
    }
  }

  bool comment(size_t begin) {
    const size_t close = source_.find("*/", begin + 2);
    if (close == source_.npos) fail("a comment is not closed");
    at_ = close + 2;
    const size_t n = end_length();
    if (n == 0) fail("a comment ends before its action");
    at_ += n;
    return n == 4;
  }

  void next_token() {
    const char c = source_[at_];
    if (is_blank(c)) {
      while (at_ < source_.size() && is_blank(source_[at_]) && end_length() == 0) ++at_;
      add(TokenKind::kBlank, " ");
    } else if (c == '"') {
      quoted();
    } else if (c == '`') {
      const size_t close = source_.find('`', at_ + 1);
      if (close == source_.npos) fail("a raw string is not closed");
      add(TokenKind::kString, std::string(source_.substr(at_ + 1, close - at_ - 1)));
      at_ = close + 1;
    } else if (is_digit(c) ||
               (c == '-' && at_ + 1 < source_.size() && is_digit(source_[at_ + 1]))) {
      size_t end = at_ + 1;
      while (end < source_.size() && is_digit(source_[end])) ++end;
      if (end < source_.size() && (is_name(source_[end]) || source_[end] == '.')) {
        fail("only decimal integers are numbers here");
      }
      add(TokenKind::kNumber, std::string(source_.substr(at_, end - at_)));
      at_ = end;
    } else if (c == '.') {
      ++at_;
      const std::string name = take_name();
      add(name.empty() ? TokenKind::kDot : TokenKind::kField, name);
    } else if (c == '$') {
      ++at_;
      add(TokenKind::kVariable, "$" + take_name());
    } else if (is_name(c)) {
      add(TokenKind::kWord, take_name());
    } else if (starts(":=")) {
      add(TokenKind::kSymbol, ":=");
      at_ += 2;
    } else if (std::string_view("|(),=").find(c) != std::string_view::npos) {
      add(TokenKind::kSymbol, std::string(1, c));
      ++at_;
    } else {
      fail(std::string("unexpected \"") + c + "\" in an action");
    }
  }

  std::string take_name() {
    const size_t begin = at_;
    while (at_ < source_.size() && is_name(source_[at_])) ++at_;
    return std::string(source_.substr(begin, at_ - begin));
  }

  void quoted() {
    std::string text;
    for (++at_;; ++at_) {
      if (at_ >= source_.size() || source_[at_] == '\n') fail("a string is not closed");
      const char c = source_[at_];
      if (c == '"') break;
      if (c != '\\') {
        text += c;
        continue;
      }
      ++at_;
      switch (at_ < source_.size() ? source_[at_] : '\0') {
        case 'n':
          text += '\n';
          break;
        case 't':
          text += '\t';
          break;
        case 'r':
          text += '\r';
          break;
        case '"':
          text += '"';
          break;
        case '\\':
          text += '\\';
          break;
        default:
          fail("an escape that is not supported");
      }
    }
    ++at_;
    add(TokenKind::kString, std::move(text));
  }

  std::string_view source_;
  size_t at_ = 0;
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> tokenize(std::string_view source) {
  return Lexer(source).run();
}

}  // namespace dlm::gotemplate
