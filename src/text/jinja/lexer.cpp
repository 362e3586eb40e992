// The lexer. Text is cut at the next tag; a tag's signs (-, +) and the two block settings decide
// which white space beside it goes.
#include "text/jinja/lexer.h"

#include <charconv>

#include "support/text.h"
#include "text/jinja/meter.h"

namespace dlm::jinja {

namespace {

constexpr size_t kMaxSourceBytes = 1 << 20;

bool is_name_start(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_blank(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// One line end for all, and without the last one of the file.
std::string prepare(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      out += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    } else {
      out += source[i];
    }
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

std::string_view trim_right(std::string_view text) {
  const std::string_view trimmed = trim(text);
  return trimmed.empty()
             ? std::string_view{}
             : text.substr(0, static_cast<size_t>(trimmed.data() - text.data()) + trimmed.size());
}

class Lexer {
 public:
  explicit Lexer(std::string source) : source_(std::move(source)) {}

  std::vector<Token> run() {
    while (at_ < source_.size()) read_text();
    push(TokenKind::kEnd);
    return std::move(tokens_);
  }

 private:
  void push(TokenKind kind, std::string text = {}) {
    tokens_.push_back({kind, line_, std::move(text)});
  }

  void advance(size_t count) {
    for (size_t i = 0; i < count; ++i) line_ += source_[at_ + i] == '\n';
    at_ += count;
  }

  bool looking_at(std::string_view text) const {
    return std::string_view(source_).substr(at_).starts_with(text);
  }

  // Text up to the next tag, then the tag.
  void read_text() {
    const size_t begin = at_;
    size_t tag = begin;
    while (true) {
      tag = source_.find('{', tag);
      if (tag == std::string::npos || tag + 1 >= source_.size()) {
        tag = std::string::npos;
        break;
      }
      const char next = source_[tag + 1];
      if (next == '%' || next == '{' || next == '#') break;
      ++tag;
    }
    if (tag == std::string::npos) {
      push_text(std::string_view(source_).substr(begin));
      return advance(source_.size() - begin);
    }
    const char type = source_[tag + 1];
    const char sign = tag + 2 < source_.size() ? source_[tag + 2] : ' ';
    push_text(before_tag(begin, tag, sign, type != '{'));
    advance(tag - begin + 2 + (sign == '-' || sign == '+' ? 1 : 0));
    if (type == '#') return read_comment();
    if (type == '{') return read_tag(TokenKind::kPrintBegin, TokenKind::kPrintEnd, "}}");
    if (!read_raw()) read_tag(TokenKind::kBlockBegin, TokenKind::kBlockEnd, "%}");
  }

  // The text between two places without the white space that the tag behind it takes away.
  std::string_view before_tag(size_t begin, size_t tag, char sign, bool takes_margin) const {
    const std::string_view text = std::string_view(source_).substr(begin, tag - begin);
    if (sign == '-') return trim_right(text);
    if (sign == '+' || !takes_margin) return text;
    const size_t line_begin = text.rfind('\n') + 1;  // npos + 1 is 0
    const bool has_line_begin = line_begin > 0 || begin == 0 || source_[begin - 1] == '\n';
    return has_line_begin && trim(text.substr(line_begin)).empty() ? text.substr(0, line_begin)
                                                                   : text;
  }

  void push_text(std::string_view text) {
    if (!text.empty()) push(TokenKind::kText, std::string(text));
  }

  void skip_blanks() {
    while (at_ < source_.size() && is_unicode_space(code_point())) {
      advance(static_cast<size_t>(utf8_length(static_cast<unsigned char>(source_[at_]))));
    }
  }
  uint32_t code_point() const { return decode_utf8(std::string_view(source_).substr(at_, 4))[0]; }

  // If `end` (with an optional sign) is here, goes behind it and the white space that it takes
  // along.
  bool read_end(std::string_view end, bool takes_newline) {
    const char sign = source_[at_];
    const bool has_sign = sign == '-' || (sign == '+' && takes_newline);
    if (!std::string_view(source_).substr(at_ + (has_sign ? 1 : 0)).starts_with(end)) return false;
    advance((has_sign ? 1 : 0) + end.size());
    if (sign == '-') {
      skip_blanks();
    } else if (takes_newline && sign != '+' && looking_at("\n")) {
      advance(1);
    }
    return true;
  }

  void read_comment() {
    const int begin_line = line_;
    while (at_ < source_.size()) {
      const char c = source_[at_];
      if ((c == '#' || c == '-' || c == '+') && read_end("#}", true)) return;
      advance(1);
    }
    fail_at(begin_line, "a comment is not closed; \"#}\" is missing");
  }

  // {% raw %} up to {% endraw %} is text.
  bool read_raw() {
    const size_t saved_at = at_;
    const int saved_line = line_;
    skip_blanks();
    if (looking_at("raw")) {
      advance(3);
      skip_blanks();
      if (at_ < source_.size() && read_end("%}", false)) {
        read_raw_text(saved_line);
        return true;
      }
    }
    at_ = saved_at;
    line_ = saved_line;
    return false;
  }

  void read_raw_text(int begin_line) {
    const size_t begin = at_;
    while (at_ < source_.size()) {
      if (!looking_at("{%")) {
        advance(1);
        continue;
      }
      const size_t tag = at_;
      advance(2);
      const char sign = at_ < source_.size() ? source_[at_] : ' ';
      if (sign == '-' || sign == '+') advance(1);
      skip_blanks();
      if (!looking_at("endraw")) continue;
      advance(6);
      skip_blanks();
      if (at_ >= source_.size() || !read_end("%}", true)) continue;
      return push_text(before_tag(begin, tag, sign, true));
    }
    fail_at(begin_line, "a raw block is not closed; \"{% endraw %}\" is missing");
  }

  void read_tag(TokenKind begin, TokenKind end, std::string_view closing) {
    const int begin_line = line_;
    push(begin);
    std::string open;  // brackets that are not closed yet
    while (true) {
      while (at_ < source_.size() && is_blank(source_[at_])) advance(1);
      if (at_ >= source_.size()) {
        fail_at(begin_line, "a tag is not closed; \"" + std::string(closing) + "\" is missing");
      }
      if (open.empty()) {
        const int line = line_;
        if (read_end(closing, closing == "%}")) {
          tokens_.push_back({end, line, {}});
          return;
        }
      }
      read_token(open);
    }
  }

  void read_token(std::string& open) {
    const char c = source_[at_];
    if (is_name_start(c)) return read_name();
    if (is_digit(c)) return read_number();
    if (c == '\'' || c == '"') return read_string(c);
    static constexpr std::string_view kOperators[] = {"**", "//", "==", "!=", "<=", ">="};
    for (const std::string_view two : kOperators) {
      if (looking_at(two)) {
        push(TokenKind::kOperator, std::string(two));
        return advance(2);
      }
    }
    if (std::string_view("+-*/%~<>=.,:|()[]{};").find(c) == std::string_view::npos) {
      fail_at(line_, std::string("unexpected character '") + c + "' in a tag");
    }
    if (c == '(' || c == '[' || c == '{') {
      open += c == '(' ? ')' : c == '[' ? ']' : '}';
    } else if (c == ')' || c == ']' || c == '}') {
      if (open.empty() || open.back() != c) fail_at(line_, std::string("unexpected '") + c + "'");
      open.pop_back();
    }
    push(TokenKind::kOperator, std::string(1, c));
    advance(1);
  }

  void read_name() {
    const size_t begin = at_;
    size_t end = at_;
    while (end < source_.size() && (is_name_start(source_[end]) || is_digit(source_[end]))) ++end;
    push(TokenKind::kName, source_.substr(begin, end - begin));
    advance(end - begin);
  }

  void read_number() {
    size_t end = at_;
    std::string digits;
    bool is_float = false;
    const auto take_digits = [&] {
      while (end < source_.size() && (is_digit(source_[end]) || source_[end] == '_')) {
        if (source_[end] != '_') digits += source_[end];
        ++end;
      }
    };
    take_digits();
    if (end + 1 < source_.size() && source_[end] == '.' && is_digit(source_[end + 1])) {
      is_float = true;
      digits += source_[end++];
      take_digits();
    }
    if (end < source_.size() && (source_[end] == 'e' || source_[end] == 'E')) {
      size_t sign = end + 1;
      if (sign < source_.size() && (source_[sign] == '+' || source_[sign] == '-')) ++sign;
      if (sign < source_.size() && is_digit(source_[sign])) {
        is_float = true;
        digits += source_.substr(end, sign - end);
        end = sign;
        take_digits();
      }
    }
    Token token{is_float ? TokenKind::kFloat : TokenKind::kInteger, line_, digits};
    const char* last = digits.data() + digits.size();
    const auto result = is_float ? std::from_chars(digits.data(), last, token.number)
                                 : std::from_chars(digits.data(), last, token.integer);
    if (result.ec != std::errc() || result.ptr != last) {
      fail_at(line_, "the number " + digits + " is out of range");
    }
    tokens_.push_back(std::move(token));
    advance(end - at_);
  }

  void read_string(char quote) {
    const int begin_line = line_;
    std::string value;
    size_t i = at_ + 1;
    while (i < source_.size() && source_[i] != quote) {
      if (source_[i] != '\\' || i + 1 >= source_.size()) {
        value += source_[i++];
        continue;
      }
      i += read_escape(i, value);
    }
    if (i >= source_.size()) fail_at(begin_line, "a string is not closed");
    push(TokenKind::kString, std::move(value));
    advance(i + 1 - at_);
  }

  // Python's escapes; unknown ones stay as they are. Returns how many source bytes it took.
  size_t read_escape(size_t i, std::string& value) const {
    const char c = source_[i + 1];
    static constexpr std::string_view kFrom = "\\'\"abfnrtv", kTo = "\\'\"\a\b\f\n\r\t\v";
    if (const size_t simple = kFrom.find(c); simple != std::string_view::npos) {
      value += kTo[simple];
      return 2;
    }
    if (c == '\n') return 2;
    const size_t num_digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    uint32_t code_point = 0;
    if (num_digits > 0 && i + 2 + num_digits <= source_.size()) {
      bool all_hex = true;
      for (size_t d = 0; d < num_digits; ++d) {
        const int digit = hex_value(source_[i + 2 + d]);
        if (digit < 0) all_hex = false;
        code_point = code_point << 4 | static_cast<uint32_t>(digit & 0xF);
      }
      if (all_hex) {
        append_utf8(value, code_point);
        return 2 + num_digits;
      }
    }
    if (c >= '0' && c <= '7') {
      size_t length = 0;
      for (; length < 3 && i + 1 + length < source_.size(); ++length) {
        const char digit = source_[i + 1 + length];
        if (digit < '0' || digit > '7') break;
        code_point = code_point << 3 | static_cast<uint32_t>(digit - '0');
      }
      append_utf8(value, code_point);
      return 1 + length;
    }
    value += '\\';
    return 1;
  }

  std::string source_;
  size_t at_ = 0;
  int line_ = 1;
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> lex(std::string_view source) {
  if (source.size() > kMaxSourceBytes) fail_at(0, "the template is larger than 1 MiB");
  if (const auto fault = find_utf8_fault(source)) {
    fail_at(0, "the template is not UTF-8 at byte " + std::to_string(fault->byte_offset));
  }
  return Lexer(prepare(source)).run();
}

}  // namespace dlm::jinja
