// How a base's chat template writes a conversation, found by looking at what it writes: the texts
// that stand around the messages. Template languages without the base's own can then write the same
// prompts. It knows no model by name, so it holds for templates that nobody has seen.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "export/ollama_template.h"
#include "text/chat_template.h"

namespace dlm {

struct ChatShape {
  struct Turn {
    std::string before, after;  // of the content
    bool operator==(const Turn&) const = default;
  };
  enum class System {
    kTurn,      // a turn of its own, or a text in front of the first user's
    kLastUser,  // within the last user's turn
    kFolded,    // the template refuses it: in front of the first user's text, with a blank line
    kIgnored,   // the template leaves it out
  };

  std::string begin;      // before everything
  std::string no_system;  // next, where the first message is no system message
  System system_place = System::kTurn;
  Turn system;
  bool system_opens_user = false;  // system.after ends with what else stands before a user's text
  std::optional<std::string> empty_system;  // instead of the system turn when its text is empty
  std::optional<Turn> later_system;         // after the first message; none: left out
  Turn user;
  Turn assistant;
  Turn last_assistant;  // where nothing follows it but the next answer
  std::string generation;
};

// Throws Error(kExport) for a template that is not of this shape. `bos`: BOS as text, "" where
// there is none.
ChatShape find_chat_shape(const ChatTemplate& chat, const std::string& bos);

// What the template is asked to write for a conversation, for comparing: neighbours merged, and for
// kFolded the system text where the shape puts it.
std::vector<ChatMessage> reference_messages(const ChatShape& shape,
                                            const std::vector<ChatMessage>& messages);
Json messages_json(const std::vector<ChatMessage>& messages);

// The shape as an Ollama TEMPLATE. `bos_is_added`: the runtime puts BOS before the text, so that
// the template must not. Throws Error(kExport) where the language cannot hold a text.
std::string go_chat_template(const ChatShape& shape, const std::string& bos, bool bos_is_added);

// The name that the shape goes by ("chatml", "llama3", ...); "derived" for others.
std::string chat_dialect(const ChatShape& shape);

}  // namespace dlm
