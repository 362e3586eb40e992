// JSON text from a Json tree. Numbers and escapes are laid out as Python's json module lays them
// out, because files are shared with programs that compare them byte by byte.
#include <algorithm>
#include <charconv>
#include <cmath>

#include "support/json.h"
#include "support/text.h"

namespace dlm {
namespace {

void append_escape(std::string& out, uint32_t unit) {
  constexpr char kHex[] = "0123456789abcdef";
  out += "\\u";
  for (int shift = 12; shift >= 0; shift -= 4) out += kHex[(unit >> shift) & 15];
}

void append_string(std::string& out, const std::string& text, bool ascii_only) {
  out += '"';
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    switch (byte) {
      case '"':
        out += "\\\"";
        continue;
      case '\\':
        out += "\\\\";
        continue;
      case '\b':
        out += "\\b";
        continue;
      case '\f':
        out += "\\f";
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
      default:
        break;
    }
    if (byte < 0x20 || (ascii_only && byte == 0x7F)) {
      append_escape(out, byte);
    } else if (byte < 0x80) {
      out += text[i];
    } else {
      const size_t length = std::min<size_t>(utf8_length(byte), text.size() - i);
      const auto points = decode_utf8(std::string_view(text).substr(i, length));
      const uint32_t point = points.size() == 1 ? points[0] : 0xFFFD;
      if (!ascii_only) {
        append_utf8(out, point);
      } else if (point < 0x10000) {
        append_escape(out, point);
      } else {
        append_escape(out, 0xD800 + ((point - 0x10000) >> 10));
        append_escape(out, 0xDC00 + ((point - 0x10000) & 0x3FF));
      }
      if (points.size() == 1) i += length - 1;
    }
  }
  out += '"';
}

// The shortest digits that read back equal, laid out as Python's repr: positional from 1e-4 up to
// below 1e16, else with an exponent of at least two digits.
void append_double(std::string& out, double value) {
  if (!std::isfinite(value)) {
    out += "null";
    return;
  }
  char buffer[40];
  const auto end =
      std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific);
  const std::string_view text(buffer, static_cast<size_t>(end.ptr - buffer));
  const size_t e = text.find('e');
  const bool negative = text[0] == '-';
  std::string digits;
  for (char c : text.substr(negative, e - negative)) {
    if (c != '.') digits += c;
  }
  int exponent = 0;
  const char* first = buffer + e + 1;
  if (*first == '+') ++first;
  std::from_chars(first, end.ptr, exponent);
  if (negative) out += '-';
  const int num_digits = static_cast<int>(digits.size());
  if (exponent < -4 || exponent >= 16) {
    out += digits[0];
    if (num_digits > 1) out += "." + digits.substr(1);
    out += exponent < 0 ? "e-" : "e+";
    const int magnitude = std::abs(exponent);
    if (magnitude < 10) out += '0';
    out += std::to_string(magnitude);
  } else if (exponent < 0) {
    out += "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  } else if (num_digits <= exponent + 1) {
    out += digits + std::string(static_cast<size_t>(exponent + 1 - num_digits), '0') + ".0";
  } else {
    out += digits.substr(0, static_cast<size_t>(exponent) + 1) + "." +
           digits.substr(static_cast<size_t>(exponent) + 1);
  }
}

struct Layout {
  int indent;
  bool ascii_only;
  bool sorted;
};

void append_value(std::string& out, const Json& json, const Layout& layout, int level);

void append_line_start(std::string& out, const Layout& layout, int level) {
  if (layout.indent < 0) return;
  out += '\n';
  out.append(static_cast<size_t>(layout.indent) * static_cast<size_t>(level), ' ');
}

void append_object(std::string& out, const Json& json, const Layout& layout, int level) {
  std::vector<const Json::Member*> members;
  for (const Json::Member& member : json.members()) members.push_back(&member);
  if (layout.sorted) {
    // Bytes of UTF-8 sort as code points do.
    std::stable_sort(members.begin(), members.end(),
                     [](const auto* a, const auto* b) { return a->first < b->first; });
  }
  out += '{';
  for (size_t i = 0; i < members.size(); ++i) {
    if (i > 0) out += ',';
    append_line_start(out, layout, level + 1);
    append_string(out, members[i]->first, layout.ascii_only);
    out += layout.indent < 0 ? ":" : ": ";
    append_value(out, members[i]->second, layout, level + 1);
  }
  if (!members.empty()) append_line_start(out, layout, level);
  out += '}';
}

void append_value(std::string& out, const Json& json, const Layout& layout, int level) {
  switch (json.type()) {
    case Json::Type::kNull:
      out += "null";
      break;
    case Json::Type::kBool:
      out += json.as_bool() ? "true" : "false";
      break;
    case Json::Type::kInt:
      out += std::to_string(json.as_int());
      break;
    case Json::Type::kDouble:
      append_double(out, json.as_double());
      break;
    case Json::Type::kString:
      append_string(out, json.as_string(), layout.ascii_only);
      break;
    case Json::Type::kArray: {
      const std::vector<Json>& items = json.items();
      out += '[';
      for (size_t i = 0; i < items.size(); ++i) {
        if (i > 0) out += ',';
        append_line_start(out, layout, level + 1);
        append_value(out, items[i], layout, level + 1);
      }
      if (!items.empty()) append_line_start(out, layout, level);
      out += ']';
      break;
    }
    case Json::Type::kObject:
      append_object(out, json, layout, level);
      break;
  }
}

}  // namespace

std::string Json::dump(int indent, bool ascii_only) const {
  std::string out;
  append_value(out, *this, {indent, ascii_only, false}, 0);
  return out;
}

std::string Json::dump_sorted(int indent, bool ascii_only) const {
  std::string out;
  append_value(out, *this, {indent, ascii_only, true}, 0);
  return out;
}

}  // namespace dlm
