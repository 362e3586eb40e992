// The quoting rules of the canonical form, stricter than the Python program's where its own output
// would not read back (numbers, dates, commas in flow lists, control characters).
#include "doc/yaml_text.h"

#include "doc/python_text.h"
#include "doc/yaml_scalar.h"
#include "support/text.h"

namespace dlm {
namespace {

// Characters that YAML takes as line ends or does not allow in the open.
bool needs_escape(uint32_t c) {
  return c < 0x20 || c == 0x7F || (c >= 0x80 && c < 0xA0) || c == 0x2028 || c == 0x2029 ||
         c == 0xFEFF || c == 0xFFFE || c == 0xFFFF;
}

std::string double_quoted(std::string_view value) {
  constexpr char kHex[] = "0123456789ABCDEF";
  std::string out = "\"";
  for (const uint32_t c : decode_utf8(value)) {
    if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c == '"' || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (needs_escape(c)) {
      out += "\\u";
      for (int shift = 12; shift >= 0; shift -= 4) out += kHex[(c >> shift) & 15];
    } else {
      append_utf8(out, c);
    }
  }
  return out + "\"";
}

bool is_plain(std::string_view value, bool in_flow) {
  constexpr std::string_view kSpecial = " \t\n#\"':&*!|>?%@`{}[]";
  if (value.empty() || value[0] == '-' || value[0] == ',' || value == "=" || value == "<<")
    return false;
  if (value.find_first_of(kSpecial) != std::string_view::npos) return false;
  if (in_flow && value.find(',') != std::string_view::npos) return false;
  const std::string lower = value.size() <= 5 ? lower_ascii(value) : std::string();
  for (const char* word : {"true", "false", "null", "yes", "no", "on", "off", "~"}) {
    if (lower == word) return false;
  }
  for (const uint32_t c : decode_utf8(value)) {
    if (needs_escape(c)) return false;
  }
  return resolve_plain(value).kind == YamlKind::kString && value != "..." && trim(value) == value;
}

// Whether a literal block can hold the value: its only line ends are LF, and its first line with
// text shows the true indentation.
bool fits_block(std::string_view value) {
  for (const uint32_t c : decode_utf8(value)) {
    if (c != '\n' && c != '\t' && needs_escape(c)) return false;
  }
  const size_t first = value.find_first_not_of('\n');
  return first != std::string_view::npos && value[first] != ' ' && value[first] != '\t';
}

}  // namespace

std::string yaml_string(std::string_view value, bool in_flow) {
  return is_plain(value, in_flow) ? std::string(value) : double_quoted(value);
}

std::string yaml_flow_list(const std::vector<std::string>& values) {
  std::string out = "[";
  for (size_t i = 0; i < values.size(); ++i) {
    if (i > 0) out += ", ";
    out += yaml_string(values[i], true);
  }
  return out + "]";
}

std::string yaml_block(std::string_view key, std::string_view value) {
  std::string out(key);
  if (!fits_block(value)) return out + ": " + double_quoted(value);
  size_t num_final = 0;  // line ends at the end of the value
  while (value.ends_with('\n')) {
    value.remove_suffix(1);
    ++num_final;
  }
  // One final line end is what a plain block keeps; "+" keeps more.
  out += num_final > 1 ? ": |+" : ": |";
  for (const std::string_view line : split(value, '\n')) {
    out += "\n  ";
    out += line;
  }
  // The frontmatter ends without LF before its closing line, so each line end needs a line of its
  // own.
  out.append(num_final, '\n');
  return out;
}

}  // namespace dlm
