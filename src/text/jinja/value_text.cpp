// Values as text: Python's str, repr and json.dumps, byte for byte, since templates print them.
#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "support/text.h"
#include "text/jinja/meter.h"
#include "text/jinja/value.h"

namespace dlm::jinja {

namespace {

void append_hex(std::string& out, uint32_t number, int num_digits) {
  constexpr char kDigits[] = "0123456789abcdef";
  for (int i = num_digits - 1; i >= 0; --i) out += kDigits[number >> (4 * i) & 0xF];
}

// As Python's str.isprintable for one character.
bool is_printable(uint32_t code_point) {
  if (code_point == ' ') return true;
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(code_point))) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS:
      return false;
    default:
      return true;
  }
}

std::string string_repr(const std::string& text) {
  const bool has_single = text.find('\'') != std::string::npos;
  const char quote = has_single && text.find('"') == std::string::npos ? '"' : '\'';
  std::string out(1, quote);
  for (const uint32_t c : decode_utf8(text)) {
    if (c == static_cast<unsigned char>(quote) || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else if (is_printable(c)) {
      append_utf8(out, c);
    } else if (c < 0x100) {
      out += "\\x";
      append_hex(out, c, 2);
    } else if (c < 0x10000) {
      out += "\\u";
      append_hex(out, c, 4);
    } else {
      out += "\\U";
      append_hex(out, c, 8);
    }
  }
  return out + quote;
}

std::string json_string(const std::string& text, bool ascii_only) {
  std::string out = "\"";
  for (const uint32_t c : decode_utf8(text)) {
    switch (c) {
      case '"':
        out += "\\\"";
        continue;
      case '\\':
        out += "\\\\";
        continue;
      case '\n':
        out += "\\n";
        continue;
      case '\r':
        out += "\\r";
        continue;
      case '\t':
        out += "\\t";
        continue;
      case '\f':
        out += "\\f";
        continue;
      case '\b':
        out += "\\b";
        continue;
      default:
        break;
    }
    if (c >= 0x10000 && ascii_only) {  // a surrogate pair
      out += "\\u";
      append_hex(out, 0xD800 + ((c - 0x10000) >> 10), 4);
      out += "\\u";
      append_hex(out, 0xDC00 + ((c - 0x10000) & 0x3FF), 4);
    } else if (c < 0x20 || (c > 0x7E && ascii_only)) {
      out += "\\u";
      append_hex(out, c, 4);
    } else {
      append_utf8(out, c);
    }
  }
  return out + "\"";
}

void append_repr(const Value& value, std::string& out, Meter& meter);

void append_list_repr(const Value& value, std::string& out, Meter& meter) {
  out += value.is_tuple() ? "(" : "[";
  bool is_first = true;
  for (const Value& item : value.as_list()) {
    if (!is_first) out += ", ";
    is_first = false;
    append_repr(item, out, meter);
  }
  if (value.is_tuple() && value.as_list().size() == 1) out += ",";
  out += value.is_tuple() ? ")" : "]";
}

void append_repr(const Value& value, std::string& out, Meter& meter) {
  meter.step();
  meter.output(out.size());
  switch (value.kind()) {
    case Value::Kind::kUndefined:
      out += "Undefined";
      return;
    case Value::Kind::kNone:
      out += "None";
      return;
    case Value::Kind::kBool:
      out += value.as_int() != 0 ? "True" : "False";
      return;
    case Value::Kind::kInt:
      out += std::to_string(value.as_int());
      return;
    case Value::Kind::kDouble:
      out += float_text(value.as_double());
      return;
    case Value::Kind::kString:
      meter.bytes(value.as_string().size());
      out += string_repr(value.as_string());
      return;
    case Value::Kind::kList:
      return append_list_repr(value, out, meter);
    case Value::Kind::kDict: {
      out += "{";
      bool is_first = true;
      for (const auto& [key, member] : value.as_dict()) {
        if (!is_first) out += ", ";
        is_first = false;
        append_repr(key, out, meter);
        out += ": ";
        append_repr(member, out, meter);
      }
      out += "}";
      return;
    }
    default:
      out += std::string("<") + value.type_name() + ">";
  }
}

class JsonWriter {
 public:
  JsonWriter(const JsonStyle& style, Meter& meter) : style_(style), meter_(meter) {}

  std::string write(const Value& value) {
    append(value, 0);
    meter_.bytes(out_.size());
    return std::move(out_);
  }

 private:
  void append(const Value& value, int level) {
    meter_.step();
    meter_.output(out_.size());
    switch (value.kind()) {
      case Value::Kind::kNone:
        out_ += "null";
        return;
      case Value::Kind::kBool:
        out_ += value.as_int() != 0 ? "true" : "false";
        return;
      case Value::Kind::kInt:
        out_ += std::to_string(value.as_int());
        return;
      case Value::Kind::kDouble:
        return append_double(value.as_double());
      case Value::Kind::kString:
        out_ += json_string(value.as_string(), style_.ascii_only);
        return;
      case Value::Kind::kList:
        return append_list(value.as_list(), level);
      case Value::Kind::kDict:
        return append_dict(value.as_dict(), level);
      default:
        meter_.fail(std::string("a value of type ") + value.type_name() +
                    " cannot be written as JSON");
    }
  }

  void append_double(double value) {
    if (std::isnan(value)) {
      out_ += "NaN";
    } else if (std::isinf(value)) {
      out_ += value > 0 ? "Infinity" : "-Infinity";
    } else {
      out_ += float_text(value);
    }
  }

  void append_list(const List& items, int level) {
    if (items.empty()) {
      out_ += "[]";
      return;
    }
    out_ += "[";
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0) out_ += style_.item_separator;
      new_line(level + 1);
      append(items[i], level + 1);
    }
    new_line(level);
    out_ += "]";
  }

  void append_dict(const Dict& members, int level) {
    if (members.empty()) {
      out_ += "{}";
      return;
    }
    std::vector<std::pair<std::string, const Value*>> rows;
    for (const auto& [key, member] : members) rows.emplace_back(key_text(key), &member);
    if (style_.sort_keys) {
      std::stable_sort(rows.begin(), rows.end(),
                       [](const auto& a, const auto& b) { return a.first < b.first; });
    }
    out_ += "{";
    for (size_t i = 0; i < rows.size(); ++i) {
      if (i > 0) out_ += style_.item_separator;
      new_line(level + 1);
      out_ += json_string(rows[i].first, style_.ascii_only) + style_.key_separator;
      append(*rows[i].second, level + 1);
    }
    new_line(level);
    out_ += "}";
  }

  std::string key_text(const Value& key) {
    if (key.is_string()) return key.as_string();
    if (key.is_number() || key.is(Value::Kind::kNone)) {
      return to_json_text(key, {}, meter_);
    }
    meter_.fail(std::string("a key of type ") + key.type_name() + " cannot be written as JSON");
  }

  void new_line(int level) {
    if (style_.indent < 0) return;
    out_ += "\n";
    out_.append(static_cast<size_t>(level) * static_cast<size_t>(style_.indent), ' ');
  }

  const JsonStyle& style_;
  Meter& meter_;
  std::string out_;
};

}  // namespace

std::string float_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  std::array<char, 64> buffer{};
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value,
                                 std::chars_format::scientific)
                       .ptr;
  // "-d.ddde+XX"
  std::string text(buffer.data(), end);
  std::string sign;
  if (text[0] == '-') {
    sign = "-";
    text.erase(0, 1);
  }
  const size_t e = text.find('e');
  const int exponent = std::stoi(text.substr(e + 1));
  std::string digits = text.substr(0, e);
  digits.erase(std::remove(digits.begin(), digits.end(), '.'), digits.end());
  const int num_digits = static_cast<int>(digits.size());
  if (exponent < -4 || exponent >= 16) {
    std::string out = sign + digits.substr(0, 1);
    if (num_digits > 1) out += "." + digits.substr(1);
    const int size = std::abs(exponent);
    return out + (exponent < 0 ? "e-" : "e+") + (size < 10 ? "0" : "") + std::to_string(size);
  }
  if (exponent < 0) {
    return sign + "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  }
  if (num_digits <= exponent + 1) {
    return sign + digits + std::string(static_cast<size_t>(exponent + 1 - num_digits), '0') + ".0";
  }
  const auto point = static_cast<size_t>(exponent + 1);
  return sign + digits.substr(0, point) + "." + digits.substr(point);
}

std::string to_text(const Value& value, Meter& meter) {
  if (value.is_string()) return value.as_string();
  if (value.is_undefined()) return {};
  return to_repr(value, meter);
}

std::string to_repr(const Value& value, Meter& meter) {
  std::string out;
  append_repr(value, out, meter);
  meter.output(out.size());
  meter.bytes(out.size());
  return out;
}

std::string to_json_text(const Value& value, const JsonStyle& style, Meter& meter) {
  return JsonWriter(style, meter).write(value);
}

}  // namespace dlm::jinja
