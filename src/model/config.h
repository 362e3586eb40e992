// What a checkpoint's config.json says about its decoder. Refuses, by name, what this engine does
// not compute; never guesses.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "model/family.h"
#include "model/rope.h"
#include "support/file.h"
#include "support/json.h"

namespace dlm {

// How one layer attends. A model whose list of these is empty has full, rotated attention
// throughout.
struct LayerAttention {
  int64_t window = 0;       // above 0: keys that a query sees, itself included
  bool is_sliding = false;  // of type "sliding_attention": may have a rotation of its own
  bool has_rope = true;
};

struct ModelConfig {
  std::string model_type;  // a name of family.h
  int64_t hidden_size = 0;
  int64_t intermediate_size = 0;  // of one expert, where there are several
  int64_t num_layers = 0;
  int64_t num_heads = 0;
  int64_t num_kv_heads = 0;
  int64_t head_dim = 0;
  int64_t vocab_size = 0;
  int64_t max_positions = 0;
  double rms_norm_eps = 1e-6;
  RopeConfig rope;
  std::optional<RopeConfig> sliding_rope;  // of sliding layers, where it differs
  bool tie_word_embeddings = false;
  bool attention_bias = false;
  bool mlp_bias = false;
  std::vector<LayerAttention> layer_attention;  // empty, or one a layer
  double query_pre_attn_scalar = 0;             // 0: head_dim
  double attention_softcap = 0;                 // 0: none
  double final_softcap = 0;                     // 0: none
  int64_t num_experts = 0;
  int64_t experts_per_token = 0;
  bool is_bf16 = false;  // the checkpoint's own type, as config.json names it
  std::optional<int64_t> bos_token_id;
  std::optional<int64_t> pad_token_id;
  std::vector<int64_t> eos_token_ids;

  const Family& family() const { return family_of(model_type); }
  LayerAttention attention_of(size_t layer) const {
    return layer_attention.empty() ? LayerAttention{} : layer_attention[layer];
  }
  // Equal for lengths that one cache of keys can serve (RopeConfig::variant).
  int64_t rope_variant(int64_t length) const;
  bool has_qkv_bias() const;
  bool has_o_bias() const;
  // Multiplies the embedding: gemma's sqrt(hidden_size), rounded to the checkpoint's type, else 1.
  float embedding_scale() const;
  // Of attention scores.
  float attention_scale() const;
  // Numbers of weights of the model, and of linear layers those that a token is multiplied by (of
  // experts those that it takes).
  int64_t num_parameters() const;
  int64_t num_linear_weights_a_token() const;
};

// Reads the older and the newer key forms (rope_scaling or rope_parameters, torch_dtype or dtype,
// layer_types or the keys it replaces). Throws Error(kBase) with `path` as the place: missing or
// absurd sizes, an unknown family or rope type, features that the family's code does not compute.
ModelConfig parse_model_config(const Json& json, const std::string& path);
ModelConfig load_model_config(const fs::path& folder);

// The config.json of a model of family llama without rope scaling, as transformers writes it.
Json model_config_json(const ModelConfig& config);

}  // namespace dlm
