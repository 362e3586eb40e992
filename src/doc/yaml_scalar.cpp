// The YAML 1.1 scalar resolver. See the header.
#include "doc/yaml_scalar.h"

#include <limits>
#include <optional>
#include <string>

#include "doc/python_text.h"
#include "support/text.h"

namespace dlm {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// A word in lower, Title or UPPER case, but in no other mixture.
bool is_word(std::string_view text, std::string_view lower) {
  if (text.size() != lower.size() || lower_ascii(text) != lower) return false;
  const auto is_upper = [](char c) { return c >= 'A' && c <= 'Z'; };
  bool rest_upper = true;
  bool rest_lower = true;
  for (const char c : text.substr(1)) (is_upper(c) ? rest_lower : rest_upper) = false;
  return rest_lower || (rest_upper && is_upper(text[0]));
}

std::optional<bool> boolean_word(std::string_view text) {
  for (const char* word : {"yes", "true", "on"}) {
    if (is_word(text, word)) return true;
  }
  for (const char* word : {"no", "false", "off"}) {
    if (is_word(text, word)) return false;
  }
  return std::nullopt;
}

// Adds one digit of the given base; past 64 bits the value saturates and `fits` becomes false.
void add_digit(YamlScalar& scalar, int64_t base, int64_t digit) {
  int64_t value = 0;
  if (__builtin_mul_overflow(scalar.integer, base, &value) ||
      __builtin_add_overflow(value, digit, &value)) {
    scalar.integer_fits = false;
    value = std::numeric_limits<int64_t>::max();
  }
  scalar.integer = value;
}

bool read_digits(YamlScalar& scalar, std::string_view text, int base) {
  bool any = false;
  for (const char c : text) {
    if (c == '_') continue;
    int digit = base;
    if (is_digit(c)) digit = c - '0';
    if (c >= 'a' && c <= 'f') digit = c - 'a' + 10;
    if (c >= 'A' && c <= 'F') digit = c - 'A' + 10;
    if (digit >= base) return false;
    add_digit(scalar, base, digit);
    any = true;
  }
  return any;
}

// The parts of d:d:d after the first: one or two digits below 60 each.
bool read_base60_tail(YamlScalar& scalar, std::string_view text) {
  while (!text.empty()) {
    text.remove_prefix(1);  // the colon
    const std::string_view part = text.substr(0, text.find(':'));
    const bool two_digits =
        part.size() == 2 && part[0] >= '0' && part[0] <= '5' && is_digit(part[1]);
    if (!two_digits && !(part.size() == 1 && is_digit(part[0]))) return false;
    add_digit(scalar, 60, two_digits ? (part[0] - '0') * 10 + (part[1] - '0') : part[0] - '0');
    text.remove_prefix(part.size());
  }
  return true;
}

std::optional<YamlScalar> read_int(std::string_view text) {
  YamlScalar scalar;
  scalar.kind = YamlKind::kInt;
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  if (text.empty() || !is_digit(text[0])) return std::nullopt;
  bool ok = false;
  if (text == "0") {
    ok = true;
  } else if (text.starts_with("0b")) {
    ok = read_digits(scalar, text.substr(2), 2);
  } else if (text.starts_with("0x")) {
    ok = read_digits(scalar, text.substr(2), 16);
  } else if (text[0] == '0') {
    ok = read_digits(scalar, text, 8);
  } else {
    const size_t colon = text.find(':');
    ok = read_digits(scalar, text.substr(0, colon), 10) &&
         (colon == std::string_view::npos || read_base60_tail(scalar, text.substr(colon)));
  }
  if (!ok) return std::nullopt;
  if (negative) scalar.integer = -scalar.integer;
  return scalar;
}

// d.d with an optional signed exponent, .d, d:d.d in base 60, .inf and .nan; a dot is always
// needed.
std::optional<double> read_float(std::string_view text) {
  const bool is_signed = text.starts_with('-') || text.starts_with('+');
  const double sign = text.starts_with('-') ? -1 : 1;
  const std::string_view body = text.substr(is_signed ? 1 : 0);
  const size_t dot = body.find('.');
  if (dot == std::string_view::npos) return std::nullopt;
  if (is_word(body.substr(1), "inf") && dot == 0) {
    return sign * std::numeric_limits<double>::infinity();
  }
  if (body == ".nan" || body == ".NaN" || body == ".NAN") {
    return is_signed ? std::nullopt
                     : std::optional<double>(std::numeric_limits<double>::quiet_NaN());
  }
  const std::string_view whole = body.substr(0, dot);
  std::string_view fraction = body.substr(dot + 1);
  std::string_view exponent;
  if (const size_t e = fraction.find_first_of("eE"); e != std::string_view::npos) {
    exponent = fraction.substr(e + 1);
    fraction = fraction.substr(0, e);
    if (exponent.size() < 2 || (exponent[0] != '+' && exponent[0] != '-')) return std::nullopt;
    for (const char c : exponent.substr(1)) {
      if (!is_digit(c)) return std::nullopt;
    }
  }
  for (const char c : fraction) {
    if (!is_digit(c) && c != '_') return std::nullopt;
  }
  if (whole.empty() && (is_signed || fraction.empty() || fraction[0] == '_')) return std::nullopt;
  if (!whole.empty() && !is_digit(whole[0])) return std::nullopt;

  std::string digits;
  double base60 = 0;
  const size_t colon = whole.find(':');
  if (colon != std::string_view::npos) {
    YamlScalar scalar;
    if (!exponent.empty() || !read_digits(scalar, whole.substr(0, colon), 10) ||
        !read_base60_tail(scalar, whole.substr(colon))) {
      return std::nullopt;
    }
    base60 = static_cast<double>(scalar.integer);
  } else {
    for (const char c : whole) {
      if (!is_digit(c) && c != '_') return std::nullopt;
      if (c != '_') digits += c;
    }
  }
  digits += '.';
  for (const char c : fraction) {
    if (c != '_') digits += c;
  }
  if (digits == ".") digits = "0.";
  if (!exponent.empty()) digits.append("e").append(exponent);
  const auto value = parse_python_float(digits);
  if (!value) return std::nullopt;
  return sign * (base60 + *value);
}

// Skips between min and max digits; false when there are fewer.
bool skip_digits(std::string_view& text, size_t min, size_t max) {
  size_t n = 0;
  while (n < max && n < text.size() && is_digit(text[n])) ++n;
  text.remove_prefix(n);
  return n >= min;
}

bool skip_char(std::string_view& text, std::string_view any_of) {
  if (text.empty() || any_of.find(text[0]) == std::string_view::npos) return false;
  text.remove_prefix(1);
  return true;
}

bool is_timestamp(std::string_view text) {
  const size_t length = text.size();
  std::string_view rest = text;
  if (!skip_digits(rest, 4, 4) || !skip_char(rest, "-")) return false;
  if (!skip_digits(rest, 1, 2) || !skip_char(rest, "-") || !skip_digits(rest, 1, 2)) return false;
  if (rest.empty()) return length == 10;
  if (!skip_char(rest, "Tt")) {
    if (!skip_char(rest, " \t")) return false;
    while (skip_char(rest, " \t")) {
    }
  }
  if (!skip_digits(rest, 1, 2) || !skip_char(rest, ":") || !skip_digits(rest, 2, 2)) return false;
  if (!skip_char(rest, ":") || !skip_digits(rest, 2, 2)) return false;
  if (skip_char(rest, ".")) skip_digits(rest, 0, rest.size());
  while (skip_char(rest, " \t")) {
  }
  if (rest.empty() || rest == "Z") return true;
  if (!skip_char(rest, "+-") || !skip_digits(rest, 1, 2)) return false;
  return rest.empty() || (skip_char(rest, ":") && skip_digits(rest, 2, 2) && rest.empty());
}

}  // namespace

YamlScalar resolve_plain(std::string_view text) {
  YamlScalar scalar;
  if (text.empty() || text == "~" || is_word(text, "null")) {
    scalar.kind = YamlKind::kNull;
  } else if (const auto word = boolean_word(text)) {
    scalar.kind = YamlKind::kBool;
    scalar.boolean = *word;
  } else if (const auto integer = read_int(text)) {
    scalar = *integer;
  } else if (const auto number = read_float(text)) {
    scalar.kind = YamlKind::kFloat;
    scalar.number = *number;
  } else if (is_timestamp(text)) {
    scalar.kind = YamlKind::kTimestamp;
  }
  return scalar;
}

const char* kind_words(YamlKind kind) {
  switch (kind) {
    case YamlKind::kNull:
      return "null";
    case YamlKind::kBool:
      return "a boolean";
    case YamlKind::kInt:
      return "an integer";
    case YamlKind::kFloat:
      return "a number";
    case YamlKind::kString:
      return "text";
    case YamlKind::kTimestamp:
      return "a date";
    case YamlKind::kSequence:
      return "a list";
    case YamlKind::kMapping:
      break;
  }
  return "a mapping";
}

}  // namespace dlm
