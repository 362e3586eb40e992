// The metadata of a GGUF model that describes its decoder: general keys and the keys of its
// architecture, in the order in which the format's own converter writes them.
#pragma once

#include <string>
#include <vector>

#include "export/mixture.h"
#include "formats/gguf.h"
#include "model/config.h"

namespace dlm {

// `json` is the config.json that `config` was read from. `name` and `license` may be empty.
std::vector<GgufField> gguf_model_keys(const ModelConfig& config, const Json& json,
                                       const std::string& name, const std::string& license,
                                       Quant quant);

// "135M", "1.2B", "8x7B": numbers of parameters as the format writes them.
std::string gguf_size_label(const ModelConfig& config);

}  // namespace dlm
