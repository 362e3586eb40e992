// A chat written by a Go template as Ollama does it: neighbours of one role become one message
// (joined by a blank line), .System is all system texts, and system messages stay in .Messages.
// Ollama adds BOS itself, from the GGUF file's flags; it is no part of the text.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "export/gotemplate/tree.h"

namespace dlm {

struct ChatMessage {
  std::string role;
  std::string content;
};

std::vector<ChatMessage> collate_messages(const std::vector<ChatMessage>& messages);

class OllamaTemplate {
 public:
  // Throws Error(kFormat) for what the language, or our part of it, does not have.
  explicit OllamaTemplate(std::string_view source);
  // The prompt for the next answer.
  std::string render(const std::vector<ChatMessage>& messages) const;

 private:
  std::vector<gotemplate::Node> nodes_;
};

}  // namespace dlm
