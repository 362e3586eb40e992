// What a checkpoint's config.json says about its decoder. Refuses, by name, what this engine does
// not compute; never guesses.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/ops.h"
#include "support/file.h"
#include "support/json.h"

namespace dlm {

// Rotary frequencies stretched for long contexts; "llama3" is the banded rule of Llama 3.1.
struct RopeScaling {
  std::string type = "default";
  double factor = 1.0;
  double low_freq_factor = 1.0;
  double high_freq_factor = 4.0;
  double original_max_positions = 0;
};

struct ModelConfig {
  std::string model_type;  // "llama"
  int64_t hidden_size = 0;
  int64_t intermediate_size = 0;
  int64_t num_layers = 0;
  int64_t num_heads = 0;
  int64_t num_kv_heads = 0;
  int64_t head_dim = 0;
  int64_t vocab_size = 0;
  int64_t max_positions = 0;
  double rms_norm_eps = 1e-6;
  double rope_theta = 10000.0;
  RopeScaling rope_scaling;
  bool tie_word_embeddings = false;
  bool attention_bias = false;
  bool mlp_bias = false;
  std::optional<int64_t> bos_token_id;
  std::optional<int64_t> pad_token_id;
  std::vector<int64_t> eos_token_ids;

  // Numbers of trained weights, and of those that a token is multiplied by (without the input
  // table).
  int64_t num_parameters() const;
  int64_t num_linear_weights() const;
  // Cosines and sines for positions 0 .. positions-1.
  RopeTable rope_table(int64_t positions) const;
};

// Reads the older and the newer key forms (rope_scaling or rope_parameters, torch_dtype or dtype).
// Throws Error(kBase) with `path` as the place: missing or absurd sizes, an unknown family,
// features that the family's code does not compute.
ModelConfig parse_model_config(const Json& json, const std::string& path);
ModelConfig load_model_config(const fs::path& folder);

// The config.json of such a model, as transformers writes it.
Json model_config_json(const ModelConfig& config);

}  // namespace dlm
