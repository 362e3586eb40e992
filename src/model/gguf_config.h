// What a GGUF file says of its decoder, from its own keys and tensors alone. Where the programs
// that run such files know a thing by the architecture's name only (SmolLM 3's layers without
// rotation, Gemma 2's windows), it is taken from there.
#pragma once

#include "formats/gguf.h"
#include "model/config.h"

namespace dlm {

// Throws Error(kFormat) naming file and key: an unknown architecture or rope rule, missing or
// absurd sizes, sizes that contradict each other.
ModelConfig gguf_model_config(const GgufFile& file);

// Whether the file's rows of queries and keys are in the order for rotating neighbours: row 2i + s
// of a head is row s d / 2 + i of ours, which rotates halves.
bool gguf_rotates_neighbours(const ModelConfig& config);

}  // namespace dlm
