// What GGUF files call the eight families and their weights. Checkpoints name weights as the
// libraries that trained them do; readers of GGUF know one flat set of names for all.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace dlm {

// "mixtral" is "llama" there; "" for a family that has no name there.
std::string_view gguf_architecture(std::string_view model_type);

// Where a weight of a checkpoint goes.
struct GgufPlace {
  std::string name;     // "blk.3.attn_q.weight"
  int64_t expert = -1;  // its number in the stack of this name; below 0: no stack
};

// "model.layers.3.self_attn.q_proj.weight" -> "blk.3.attn_q.weight". None for names that the
// family does not have.
std::optional<GgufPlace> gguf_place(std::string_view model_type, std::string_view checkpoint_name);

}  // namespace dlm
