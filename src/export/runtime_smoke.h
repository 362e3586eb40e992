// Programs that run exports, where they are installed: Ollama takes a model and answers once,
// llama-server is started once and asked.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "support/file.h"

namespace dlm {

// Told each command line before it runs.
using OnCommand = std::function<void(const std::vector<std::string>& words)>;

struct OllamaProgram {
  fs::path path;
  std::string version;         // "0.5.1"
  bool takes_adapters = true;  // in GGUF, beside a base
};

// None when no program of that name is on the PATH. Throws ExportFault("ollama") when it does not
// tell its version, or is older than exports need.
std::optional<OllamaProgram> find_ollama(const OnCommand& on_command);

// Throws ExportFault("ollama") when this version refuses adapters.
void require_adapters(const OllamaProgram& ollama);

// `ollama create`, in the folder of the Modelfile. Throws ExportFault("ollama create").
void create_ollama_model(const OllamaProgram& ollama, const std::string& name,
                         const fs::path& folder, const OnCommand& on_command);
// The same under "NAME-candidate" first, and one prompt: only a model that answers gets the name,
// so that what was there under it stays otherwise, and the candidate goes whatever happens. The
// first line of the answer, at most 200 bytes. Throws ExportFault("smoke"), ExportFault("ollama
// cp").
std::string create_proved_model(const OllamaProgram& ollama, const std::string& name,
                                const fs::path& folder, const OnCommand& on_command);

// Starts `words` with "--port" of its own and asks once. Throws ExportFault("smoke") with the end
// of what the server said.
std::string smoke_server(std::vector<std::string> words, const fs::path& folder,
                         const OnCommand& on_command);

// The first line that is not blank, cut to 200 bytes.
std::string first_line(std::string_view text);

}  // namespace dlm
