// The metadata of a GGUF model that describes its tokenizer: tokens, their kinds, merges or scores,
// special ids, and the chat template.
#pragma once

#include <string>
#include <vector>

#include "formats/gguf.h"
#include "model/config.h"

namespace dlm {

// Reads tokenizer.json, tokenizer_config.json and the chat template of the folder `base`;
// `config_json` is its config.json. `chat_template` is written where the base has none. Throws
// Error(kBase): a tokenizer that run times of GGUF files do not have, more tokens than the
// embedding has rows, one text twice.
std::vector<GgufField> gguf_tokenizer_keys(const fs::path& base, const ModelConfig& config,
                                           const Json& config_json,
                                           const std::string& chat_template);

}  // namespace dlm
