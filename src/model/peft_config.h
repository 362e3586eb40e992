// adapter_config.json, and the names of tensors, as the Python library PEFT writes them. It
// refuses, by name, what an adapter may hold there and this program does not compute.
#pragma once

#include <string>
#include <vector>

#include "model/lora.h"
#include "support/file.h"
#include "support/json.h"

namespace dlm {

// "base_model.model." + module + "." + part.
std::string peft_key(const std::string& module, const char* part);
// The tensor of a module that is saved whole: kEmbedTokens or kLmHead.
std::string peft_saved_key(const std::string& module);

// Throws Error(kFormat) for text that is no such configuration, Error(kInference) for what is not
// supported.
LoraOptions read_peft_config(const fs::path& path);

// Keys in sorted order; `target_modules` as they are to stand there.
Json peft_config_json(const LoraOptions& options, const std::vector<std::string>& target_modules);

}  // namespace dlm
