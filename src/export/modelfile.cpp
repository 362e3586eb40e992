#include "export/modelfile.h"

#include "support/error.h"
#include "support/json.h"
#include "support/text.h"

namespace dlm {

namespace {

constexpr std::string_view kQuotes = "\"\"\"";

// Ollama drops control characters, and ends a quoted value at quotes before a line end.
std::string quoted(const std::string& value, const std::string& what) {
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x20 && c != '\n' && c != '\r' && c != '\t') || byte == 0x7f) {
      throw Error(ErrorKind::kExport, what + " holds a control character, which a Modelfile loses",
                  "remove it from the document");
    }
  }
  const bool has_lines = value.find('\n') != value.npos;
  const bool is_plain =
      !value.empty() && !has_lines && value.front() != '"' && trim(value).size() == value.size();
  if (is_plain) return value;
  if (value.find("\"\"\"\n") != value.npos || value.ends_with("\"")) {
    throw Error(ErrorKind::kExport,
                what + " has double quotes where a Modelfile would end the text",
                "use other quotes there, or end it with another character");
  }
  return std::string(kQuotes) + value + std::string(kQuotes);
}

// A comment ends with its line: what follows would be a command.
std::string in_one_line(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < ' ') c = ' ';
  }
  return text;
}

}  // namespace

void check_modelfile_value(const std::string& value, const std::string& what) {
  quoted(std::string(trim(value)), what);
}

std::string modelfile_text(const Modelfile& m) {
  std::string text;
  for (const std::string& comment : m.comments) text += "# " + in_one_line(comment) + "\n";
  text += "\nFROM ./" + m.from + "\n";
  if (!m.adapter.empty()) text += "ADAPTER ./" + m.adapter + "\n";
  if (m.template_source) {
    // Always between quotes: blanks at its ends count.
    text += "\nTEMPLATE " + std::string(kQuotes) + *m.template_source + std::string(kQuotes) + "\n";
  }
  text += "\n";
  for (const std::string& stop : m.stops) {
    text += "PARAMETER stop " + quoted(stop, "a stop") + "\n";
  }
  text += "PARAMETER temperature " + Json(m.temperature).dump() + "\n";
  text += "PARAMETER top_p " + Json(m.top_p).dump() + "\n";
  if (m.num_ctx > 0) text += "PARAMETER num_ctx " + std::to_string(m.num_ctx) + "\n";
  if (m.system && !trim(*m.system).empty()) {
    text += "\nSYSTEM " + quoted(std::string(trim(*m.system)), "the system prompt") + "\n";
  }
  if (!m.license.empty()) text += "\nLICENSE " + quoted(m.license, "the licence") + "\n";
  return text;
}

std::vector<std::pair<std::string, std::string>> parse_modelfile(std::string_view text) {
  std::vector<std::pair<std::string, std::string>> commands;
  while (!text.empty()) {
    const size_t line_end = std::min(text.find('\n'), text.size());
    std::string_view line = trim(text.substr(0, line_end));
    if (line.empty() || line.starts_with('#')) {
      text.remove_prefix(std::min(line_end + 1, text.size()));
      continue;
    }
    std::string_view rest = text.substr(static_cast<size_t>(line.data() - text.data()));
    const size_t name_end = std::min(rest.find(' '), line.size());
    std::string name = lower_ascii(rest.substr(0, name_end));
    rest = name_end < line.size() ? rest.substr(name_end + 1) : std::string_view();
    if (name == "parameter") {
      const size_t key_end = std::min(rest.find(' '), rest.size());
      name += " " + std::string(rest.substr(0, key_end));
      rest = rest.substr(std::min(key_end + 1, rest.size()));
    }
    std::string value;
    if (rest.starts_with(kQuotes)) {
      const size_t close = rest.find("\"\"\"\n", 3);
      value = std::string(rest.substr(3, close == rest.npos ? close : close - 3));
      text = close == rest.npos ? std::string_view() : rest.substr(close + 4);
    } else {
      const size_t end = std::min(rest.find('\n'), rest.size());
      std::string_view one = trim(rest.substr(0, end));
      if (one.size() >= 2 && one.front() == '"' && one.back() == '"') {
        one = one.substr(1, one.size() - 2);
      }
      value = std::string(one);
      text = rest.substr(std::min(end + 1, rest.size()));
    }
    commands.emplace_back(std::move(name), std::move(value));
  }
  return commands;
}

}  // namespace dlm
