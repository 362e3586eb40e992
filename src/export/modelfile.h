// The Modelfile of an Ollama model. Its language knows no escapes: a value ends with the line, or
// stands between triple quotes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace dlm {

struct Modelfile {
  std::vector<std::string> comments;
  std::string from;     // file beside it
  std::string adapter;  // file beside it, or ""
  std::optional<std::string> template_source;
  std::vector<std::string> stops;
  double temperature = 0.7;
  double top_p = 0.9;
  int64_t num_ctx = 0;  // 0: left to Ollama
  std::optional<std::string> system;
  std::string license;
};

// Throws Error(kExport) for a value that no quoting of the language can hold.
void check_modelfile_value(const std::string& value, const std::string& what);

// Ends with a line end. Throws Error(kExport) for a text that the language cannot hold.
std::string modelfile_text(const Modelfile& modelfile);

// The commands of a Modelfile as Ollama reads them: name in lower case, value without its quotes.
using ModelfileCommand = std::pair<std::string, std::string>;
std::vector<ModelfileCommand> parse_modelfile(std::string_view text);

}  // namespace dlm
