// The rotary embedding that config.json describes.
#pragma once

#include "model/config.h"
#include "model/config_reader.h"

namespace dlm {

// Fills config.rope, and config.sliding_rope where sliding layers have their own. Reads
// "rope_parameters" (of the model, or one for each layer type) or "rope_scaling" and the keys
// beside it. Needs family, head_dim and max_positions; a rule that goes beyond
// "max_position_embeddings" raises max_positions. Throws Error(kBase).
void read_rope(const ConfigReader& reader, ModelConfig& config);

}  // namespace dlm
