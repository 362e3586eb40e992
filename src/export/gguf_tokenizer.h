// The metadata of a GGUF model that describes its tokenizer: tokens, their kinds, merges or scores,
// special ids, and the chat template.
#pragma once

#include <string>
#include <vector>

#include "formats/gguf.h"
#include "model/config.h"

namespace dlm {

struct GgufTokenizer {
  std::vector<GgufField> keys;
  // Control tokens take the blanks behind them along, and Phi 3's tokens are there: only then may
  // the model have Phi 3's name.
  bool strips_like_phi3 = false;
};

// Reads tokenizer.json, tokenizer_config.json and the chat template of the folder `base`;
// `config_json` is its config.json. `chat_template` is written where the base has none. Throws
// Error(kBase): a tokenizer that run times of GGUF files do not have, more tokens than the
// embedding has rows, one text twice.
GgufTokenizer gguf_tokenizer(const fs::path& base, const ModelConfig& config,
                             const Json& config_json, const std::string& chat_template);

// general.name. Run times take a model with "phi-3" or "phi3" in its name for one whose control
// tokens strip blanks, and fail where the tokens of Phi 3 are missing; so the name says "Phi-3"
// exactly where that is right.
std::string gguf_model_name(const std::string& name, const GgufTokenizer& tokenizer);

}  // namespace dlm
