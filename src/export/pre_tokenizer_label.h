// The name under which run times of GGUF files know how a byte-level tokenizer cuts text into
// words. A wrong name gives other tokens than the base was trained on, silently, so a tokenizer
// that none of the names describes is refused.
#pragma once

#include <string>

#include "support/json.h"
#include "text/tokenizer.h"

namespace dlm {

struct PreTokenizerLabel {
  std::string name;
  bool is_by_ids = false;  // a published tokenizer: its ids of the check text are those known
};

// By what the tokenizer makes of the text with which the format's converter tells the published
// ones apart, else by the pre-tokenizer that `json`, its tokenizer.json, describes. Throws
// Error(kBase) with `path` as the place for one that no name stands for.
PreTokenizerLabel pre_tokenizer_label(const Tokenizer& tokenizer, const Json& json,
                                      const std::string& path);

}  // namespace dlm
