// The files of a base that this program makes, beside its weights: what tokenizer and model need to
// be used by other programs too.
#pragma once

#include <string>
#include <vector>

#include "model/config.h"
#include "support/file.h"

namespace dlm {

// <|endoftext|>, <|im_start|>, <|im_end|>, <|pad|>: tokens 0 to 3.
const std::vector<std::string>& base_special_tokens();

// Sets the ids of the special tokens.
void set_special_ids(ModelConfig& config);

// tokenizer_config.json (with a ChatML template), generation_config.json, special_tokens_map.json.
void write_base_files(const fs::path& folder, const ModelConfig& config);

}  // namespace dlm
