// Whether prompts of the exported template equal the base's own, token for token: every shape of
// conversation is written by both and read by their tokenizers.
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
  bool is_core = false;       // a plain conversation, which must be equal
  std::string detail;         // of a difference: the first token that differs
  bool is_same_text = false;  // of a difference: the tokenizers alone make it
};

struct TemplateParity {
  std::string file;           // that the template was read from
  std::string dialect;        // of a Go template, "" of Jinja
  std::string source;         // of the Go template
  bool folds_system = false;  // the base knows no system role: its text stands before the question
  bool adds_bos = false;  // the runtime puts a BOS first that the base's template does not write
  std::vector<ParityCase> cases;

  // Whether every plain conversation is equal.
  bool holds() const;
  // The plain conversations that are not, in sentences; `texts_alone`: but for those that the
  // tokenizers alone make differ.
  std::vector<std::string> faults(bool texts_alone) const;
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

// Of the Jinja template and the tokenizer that were written to `file`. `bos_is_added` as above. One
// that brings no template of its own differs in everything.
TemplateParity compare_templates(const ChatFormat& base, const ChatFormat& written,
                                 bool bos_is_added, const std::string& file);
// Whether a base has a template, be it one that stands in.
bool has_any_template(const ChatFormat& format);

}  // namespace dlm
