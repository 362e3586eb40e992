// The patterns' alternatives in their order, with what backtracking would find written out.
#include "text/word_scanner.h"

#include <utf8proc.h>

#include <array>
#include <cstdint>

namespace dlm {

namespace {

constexpr std::string_view kCl100kPattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwenPattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

enum class Kind : uint8_t { kOther, kLetter, kNumber, kSpace };

// Unicode's White_Space.
bool is_white_space(uint32_t c) {
  return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

Kind kind_of(uint32_t code_point) {
  if (is_white_space(code_point)) return Kind::kSpace;
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(code_point));
  if (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO) return Kind::kLetter;
  if (category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO) return Kind::kNumber;
  return Kind::kOther;
}

// Kinds of the Basic Multilingual Plane, which holds nearly all text.
const std::array<Kind, 0x10000>& bmp_kinds() {
  static const std::array<Kind, 0x10000> table = [] {
    std::array<Kind, 0x10000> built;
    for (uint32_t c = 0; c < built.size(); ++c) built[c] = kind_of(c);
    return built;
  }();
  return table;
}

class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text), kinds_(bmp_kinds()) {}

  // The kind of the character at `at`, which must not be the end, and where the next one begins.
  Kind read(size_t at, size_t& next) const {
    const auto byte = [&](size_t i) { return static_cast<unsigned char>(text_[at + i]); };
    const unsigned char lead = byte(0);
    next = at + 1;
    if (lead < 0x80) return kinds_[lead];
    next = at + 2;
    if (lead < 0xE0) return kinds_[(lead & 0x1Fu) << 6 | (byte(1) & 0x3Fu)];
    next = at + 3;
    if (lead < 0xF0) {
      return kinds_[(lead & 0x0Fu) << 12 | (byte(1) & 0x3Fu) << 6 | (byte(2) & 0x3Fu)];
    }
    next = at + 4;
    return kind_of((lead & 0x07u) << 18 | (byte(1) & 0x3Fu) << 12 | (byte(2) & 0x3Fu) << 6 |
                   (byte(3) & 0x3Fu));
  }

  bool is(Kind wanted, size_t at) const {
    size_t next;
    return at < text_.size() && read(at, next) == wanted;
  }

  // Where a run of this kind ends that begins at `at` or is empty.
  size_t skip(Kind wanted, size_t at) const {
    for (size_t next = at; at < text_.size() && read(at, next) == wanted; at = next) {
    }
    return at;
  }

  // White space as `\s+(?!\S)|\s+` cuts it: the last one goes with the word behind, if that leaves
  // any.
  size_t end_of_space(size_t at) const {
    size_t last = at;  // where the last white space of the run begins
    size_t end = at;
    for (size_t next = at; end < text_.size() && read(end, next) == Kind::kSpace; end = next) {
      last = end;
    }
    return end < text_.size() && last > at ? last : end;
  }

 private:
  std::string_view text_;
  const std::array<Kind, 0x10000>& kinds_;
};

// The length of 's 't 're 've 'm 'll 'd at `at`, or 0. `any_case` takes capitals and the long s,
// which Unicode folds to s.
size_t contraction_length(std::string_view text, size_t at, bool any_case) {
  if (text[at] != '\'' || at + 1 == text.size()) return 0;
  const auto letter = [&](size_t i) {
    const char c = at + i < text.size() ? text[at + i] : '\0';
    return any_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
  };
  const char first = letter(1);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return 2;
  const char second = letter(2);
  if ((first == 'r' || first == 'v') && second == 'e') return 3;
  if (first == 'l' && second == 'l') return 3;
  return any_case && text.substr(at + 1, 2) == "\u017F" ? 3 : 0;
}

}  // namespace

std::optional<WordScanner> WordScanner::for_pattern(std::string_view pattern) {
  if (pattern == kByteLevelPattern) return WordScanner(true, 0);
  if (pattern == kCl100kPattern) return WordScanner(false, 3);
  if (pattern == kQwenPattern) return WordScanner(false, 1);
  return std::nullopt;
}

size_t WordScanner::end_in_gpt2(std::string_view text, size_t at) {
  const Reader reader(text);
  if (const size_t length = contraction_length(text, at, false)) return at + length;
  // A blank goes with the word behind it.
  const bool is_blank = text[at] == ' ' && at + 1 < text.size();
  const size_t start = is_blank ? at + 1 : at;
  size_t next;
  const Kind kind = reader.read(start, next);
  return kind == Kind::kSpace ? reader.end_of_space(at) : reader.skip(kind, next);
}

size_t WordScanner::end_in_cl100k(std::string_view text, size_t at) const {
  const Reader reader(text);
  if (const size_t length = contraction_length(text, at, true)) return at + length;
  size_t next;
  const Kind kind = reader.read(at, next);
  if (kind == Kind::kLetter) return reader.skip(Kind::kLetter, next);
  if (kind == Kind::kNumber) {
    for (size_t count = 1; count < max_digits_ && reader.is(Kind::kNumber, next); ++count) {
      const size_t digit = next;
      reader.read(digit, next);
    }
    return next;
  }
  // Any one character but a line end goes with the letters behind it.
  const bool is_line_end = text[at] == '\n' || text[at] == '\r';
  if (!is_line_end && reader.is(Kind::kLetter, next)) return reader.skip(Kind::kLetter, next);
  const bool is_blank_before_other = text[at] == ' ' && reader.is(Kind::kOther, next);
  if (kind == Kind::kOther || is_blank_before_other) {
    size_t end = reader.skip(Kind::kOther, next);
    while (end < text.size() && (text[end] == '\n' || text[end] == '\r')) ++end;
    return end;
  }
  // White space: up to its last line end, if it has one.
  const size_t run_end = reader.skip(Kind::kSpace, next);
  const size_t line_end = text.substr(at, run_end - at).find_last_of("\r\n");
  return line_end != std::string_view::npos ? at + line_end + 1 : reader.end_of_space(at);
}

}  // namespace dlm
