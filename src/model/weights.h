// The weights of a decoder: where each lives in memory, what a checkpoint calls it, and its shape.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/parameter.h"
#include "formats/safetensors.h"
#include "model/config.h"

namespace dlm {

// One of several MLPs (Mixtral's w1, w3 and w2).
struct Expert {
  Parameter gate, up, down;
};

// What the family does not have stays empty.
struct DecoderLayer {
  Parameter attention_norm;       // before attention
  Parameter attention_post_norm;  // of its output
  Parameter q, k, v, o;
  Parameter qkv;             // instead of q, k and v: their rows in that order
  Parameter q_norm, k_norm;  // [head_dim] or the full width
  Parameter mlp_norm;        // before the MLP
  Parameter mlp_post_norm;   // of its output
  Parameter gate, up, down;
  Parameter gate_up;  // instead of gate and up: their rows in that order
  Parameter router;   // f32 [experts, hidden]
  std::vector<Expert> experts;
  Parameter q_bias, k_bias, v_bias, o_bias, gate_bias, up_bias, down_bias;
};

struct DecoderWeights {
  Parameter embed;
  std::vector<DecoderLayer> layers;
  Parameter final_norm;
  Parameter head;
};

enum class WeightRole {
  kEmbedding,
  kHead,
  kLinear,  // can carry an adapter
  kRouter,
  kNorm,
  kBias,
};

struct WeightSlot {
  Parameter* parameter;
  std::string name;  // in the checkpoint: "model.layers.0.self_attn.q_proj.weight"
  std::vector<int64_t> shape;
  WeightRole role;
  bool feeds_residual;  // o_proj and the down projections

  // Matrices have the activation type; vectors and the router are f32.
  bool is_matrix() const {
    return role == WeightRole::kEmbedding || role == WeightRole::kHead ||
           role == WeightRole::kLinear;
  }
};

// Every weight of the model, in file order; a tied head appears once. Gives `weights` its layers
// and experts; the slots refer into it.
std::vector<WeightSlot> weight_slots(const ModelConfig& config, DecoderWeights& weights);

// What the files have for a slot, by their headers. Throws Error(kBase) naming tensor and folder:
// missing, of another shape or type.
const SafetensorsTensor& require_weight(const SafetensorsSet& set, const WeightSlot& slot,
                                        const std::string& folder);

// The type of a slot's tensor in the files. Throws as above.
DType stored_dtype(const SafetensorsSet& set, const WeightSlot& slot, const std::string& folder);

// Looks at the headers alone: the type of all matrices, none where they differ. Throws Error(kBase)
// naming tensor and folder for one that is missing, of another shape or type, or not used.
std::optional<DType> check_weight_files(const fs::path& folder, const ModelConfig& config);

// Throws Error(kBase) naming tensor, element and folder for NaN and infinities in f32, bf16 or f16.
void check_finite(const Tensor& tensor, const std::string& name, const std::string& folder);

// The tensor of a slot; matrices in `dtype`, or in the file's own. A view of the file where its
// type is right. Norms stored as w - 1 become w. Vectors, and matrices that are converted, are
// searched for NaN and infinities; what is mapped is not read. Throws Error(kBase) naming tensor
// and folder: missing, of another shape or type, or not finite.
Tensor load_weight(const SafetensorsSet& set, const WeightSlot& slot, std::optional<DType> dtype,
                   const ModelConfig& config, const std::string& folder);

// Throws Error(kBase) naming the first tensor of the files that no slot asks for. Harmless are
// buffers of rotary frequencies and a second copy of a tied head.
void check_no_extra_weights(const SafetensorsSet& set, const std::vector<WeightSlot>& slots,
                            const ModelConfig& config, const std::string& folder);

}  // namespace dlm
