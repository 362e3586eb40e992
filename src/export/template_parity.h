// Whether prompts of the exported template equal the base's own, token for token: every shape of
// conversation is written by both and read by the base's tokenizer.
#pragma once

#include <string>
#include <vector>

#include "data/chat_format.h"
#include "export/chat_shape.h"
#include "support/json.h"

namespace dlm {

struct ParityCase {
  enum class Outcome { kEqual, kDiffers, kRefused };  // refused: by the base's template
  std::string name;
  Outcome outcome = Outcome::kEqual;
  bool is_core = false;  // a plain conversation, which must be equal
  std::string detail;    // of a difference: the first token that differs
};

struct TemplateParity {
  std::string dialect;
  std::string source;         // of the Go template
  bool folds_system = false;  // the base knows no system role: its text stands before the question
  bool adds_bos = false;  // the runtime puts a BOS first that the base's template does not write
  std::vector<ParityCase> cases;

  // Whether every plain conversation is equal.
  bool holds() const;
  std::vector<std::string> differences() const;  // names with details
  int64_t num_equal() const;
  Json to_json() const;
};

struct NamedConversation {
  std::string name;
  std::vector<ChatMessage> messages;
  bool is_core = false;
};
const std::vector<NamedConversation>& parity_conversations();

// Finds the shape of the base's template, writes it as a Go template and compares. `bos_is_added`:
// the file's flag tokenizer.ggml.add_bos_token. Throws Error(kExport) when there is no such shape.
TemplateParity prove_template(const ChatFormat& format, bool bos_is_added);

}  // namespace dlm
