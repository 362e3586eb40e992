// Numbers, booleans and lines as text, by the rules of the Python program. See the header.
#include "doc/python_text.h"

#include <array>
#include <charconv>
#include <cmath>
#include <limits>

#include "support/text.h"

namespace dlm {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// Removes underscores that stand between two digits; none when one stands elsewhere.
std::optional<std::string> without_underscores(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      out += text[i];
      continue;
    }
    if (i == 0 || i + 1 == text.size() || !is_digit(text[i - 1]) || !is_digit(text[i + 1])) {
      return std::nullopt;
    }
  }
  return out;
}

// [digits][.digits][e[sign]digits] with at least one digit before the exponent.
bool is_decimal(std::string_view text) {
  size_t i = 0;
  size_t digits = 0;
  for (; i < text.size() && is_digit(text[i]); ++i) ++digits;
  if (i < text.size() && text[i] == '.') {
    for (++i; i < text.size() && is_digit(text[i]); ++i) ++digits;
  }
  if (digits == 0) return false;
  if (i == text.size()) return true;
  if (text[i] != 'e' && text[i] != 'E') return false;
  ++i;
  if (i < text.size() && (text[i] == '+' || text[i] == '-')) ++i;
  if (i == text.size()) return false;
  for (; i < text.size(); ++i) {
    if (!is_digit(text[i])) return false;
  }
  return true;
}

// from_chars leaves the value alone when it is out of range; the exponent's sign and the leading
// digits say on which side.
double out_of_range_value(std::string_view text) {
  const size_t e = text.find_first_of("eE");
  const std::string_view mantissa = text.substr(0, e);
  if (mantissa.find_first_not_of("0.") == std::string_view::npos) return 0.0;
  const bool tiny =
      (e != std::string_view::npos && text[e + 1] == '-') ||
      mantissa.substr(0, mantissa.find('.')).find_first_not_of('0') == std::string_view::npos;
  return tiny ? 0.0 : std::numeric_limits<double>::infinity();
}

// The length of the line end at text[i] (0 when there is none).
size_t line_end_length(std::string_view text, size_t i) {
  const auto byte = [&](size_t k) {
    return k < text.size() ? static_cast<unsigned char>(text[k]) : 0u;
  };
  const unsigned first = byte(i);
  if (first == '\r') return byte(i + 1) == '\n' ? 2 : 1;
  if ((first >= 0x0A && first <= 0x0C) || (first >= 0x1C && first <= 0x1E)) return 1;
  if (first == 0xC2 && byte(i + 1) == 0x85) return 2;
  if (first == 0xE2 && byte(i + 1) == 0x80 && (byte(i + 2) == 0xA8 || byte(i + 2) == 0xA9))
    return 3;
  return 0;
}

}  // namespace

std::optional<int64_t> parse_python_int(std::string_view text) {
  const auto plain = without_underscores(trim(text));
  if (!plain) return std::nullopt;
  std::string_view digits = *plain;
  if (digits.starts_with('+')) {
    digits.remove_prefix(1);
    if (digits.starts_with('-')) return std::nullopt;
  }
  int64_t value = 0;
  const char* end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, value);
  if (error != std::errc() || stop != end) return std::nullopt;
  return value;
}

std::optional<double> parse_python_float(std::string_view text) {
  const auto plain = without_underscores(trim(text));
  if (!plain) return std::nullopt;
  std::string_view body = *plain;
  const bool negative = body.starts_with('-');
  if (negative || body.starts_with('+')) body.remove_prefix(1);
  double value = 0;
  const std::string word = body.size() <= 8 ? lower_ascii(body) : std::string();
  if (word == "inf" || word == "infinity") {
    value = std::numeric_limits<double>::infinity();
  } else if (word == "nan") {
    value = std::numeric_limits<double>::quiet_NaN();
  } else if (is_decimal(body)) {
    const auto result = std::from_chars(body.data(), body.data() + body.size(), value);
    if (result.ec == std::errc::result_out_of_range) value = out_of_range_value(body);
  } else {
    return std::nullopt;
  }
  return negative ? -value : value;
}

std::optional<bool> parse_bool_word(std::string_view text) {
  if (text.size() > 5) return std::nullopt;
  const std::string word = lower_ascii(text);
  for (const char* yes : {"1", "t", "y", "yes", "on", "true"}) {
    if (word == yes) return true;
  }
  for (const char* no : {"0", "f", "n", "no", "off", "false"}) {
    if (word == no) return false;
  }
  return std::nullopt;
}

std::string format_python_float(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  std::array<char, 40> buffer;
  const auto result = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value,
                                    std::chars_format::scientific);
  const std::string_view text(buffer.data(), static_cast<size_t>(result.ptr - buffer.data()));
  const size_t e = text.find('e');
  const int exponent = static_cast<int>(*parse_python_int(text.substr(e + 1)));
  // Python writes fixed notation for exponents from -4 to 15, and scientific otherwise.
  if (exponent < -4 || exponent >= 16) return std::string(text);

  std::string digits;
  for (const char c : text.substr(0, e)) {
    if (is_digit(c)) digits += c;
  }
  std::string out = text.starts_with('-') ? "-" : "";
  if (exponent < 0) {
    return out + "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  }
  const size_t whole = static_cast<size_t>(exponent) + 1;
  if (digits.size() <= whole) return out + digits + std::string(whole - digits.size(), '0') + ".0";
  return out + digits.substr(0, whole) + "." + digits.substr(whole);
}

std::vector<std::string_view> split_python_lines(std::string_view text) {
  std::vector<std::string_view> lines;
  size_t start = 0;
  for (size_t i = 0; i < text.size();) {
    const size_t length = line_end_length(text, i);
    if (length == 0) {
      ++i;
      continue;
    }
    lines.push_back(text.substr(start, i - start));
    i += length;
    start = i;
  }
  if (start < text.size()) lines.push_back(text.substr(start));
  return lines;
}

std::string in_quotes(std::string_view text) {
  constexpr size_t kMaxBytes = 100;
  std::string out = "'";
  for (size_t i = 0; i < text.size();) {
    if (i >= kMaxBytes) return out + "…'";
    const auto byte = static_cast<unsigned char>(text[i]);
    const size_t length =
        std::min(text.size() - i, static_cast<size_t>(std::max(1, utf8_length(byte))));
    if (byte == '\n') {
      out += "\\n";
    } else if (byte == '\t') {
      out += "\\t";
    } else if (byte < 0x20 || byte == 0x7F) {
      constexpr char kHex[] = "0123456789abcdef";
      out += "\\x";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    } else {
      out += text.substr(i, length);
    }
    i += length;
  }
  return out + "'";
}

}  // namespace dlm
