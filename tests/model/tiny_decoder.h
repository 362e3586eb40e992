// A decoder small enough for tests, and batches for it.
#pragma once

#include <cstring>
#include <vector>

#include "engine/exec.h"
#include "engine/random.h"
#include "model/decoder.h"

namespace dlm {

inline ModelConfig tiny_config(bool tied) {
  ModelConfig c;
  c.model_type = "llama";
  c.hidden_size = 32;
  c.intermediate_size = 48;
  c.num_layers = 2;
  c.num_heads = 4;
  c.num_kv_heads = 2;
  c.head_dim = 8;
  c.vocab_size = 40;
  c.max_positions = 256;
  c.rms_norm_eps = 1e-5;
  c.tie_word_embeddings = tied;
  return c;
}

// The same sizes in another family, with its features in reach of a short row: a window of 6 keys,
// partial rotation, four experts.
inline ModelConfig tiny_family_config(const std::string& family) {
  Json json = Json::object();
  json.set("model_type", family);
  json.set("hidden_size", int64_t{32});
  json.set("intermediate_size", int64_t{48});
  json.set("num_hidden_layers", int64_t{2});
  json.set("num_attention_heads", int64_t{4});
  json.set("num_key_value_heads", int64_t{2});
  json.set("head_dim", int64_t{8});
  json.set("vocab_size", int64_t{40});
  json.set("max_position_embeddings", int64_t{256});
  json.set("num_local_experts", int64_t{4});
  json.set("sliding_window", int64_t{6});
  if (family == "phi3") json.set("partial_rotary_factor", 0.5);
  return parse_model_config(json, "config.json");
}

// Row `id` of `length` tokens; every third label is missing, so that labelled tokens lie apart.
struct TinyRow {
  std::vector<int32_t> tokens;
  std::vector<int32_t> labels;
  uint64_t id;
};
inline TinyRow tiny_row(uint64_t id, int64_t length, int64_t vocab) {
  TinyRow row;
  row.id = id;
  const auto limit = static_cast<uint64_t>(vocab);
  for (int64_t t = 0; t < length; ++t) {
    const auto at = static_cast<uint64_t>(t);
    row.tokens.push_back(static_cast<int32_t>(random_key({id, at}) % limit));
    const auto next = static_cast<int32_t>(random_key({id, at + 1}) % limit);
    row.labels.push_back(t % 3 == 1 ? Batch::kNoLabel : next);
  }
  return row;
}

inline Batch tiny_batch(const std::vector<TinyRow>& rows) {
  Batch batch;
  for (const TinyRow& row : rows) batch.add_row(row.tokens, row.labels, row.id);
  return batch;
}

inline std::vector<float> gradients_of(const std::vector<Parameter*>& parameters) {
  std::vector<float> all;
  for (const Parameter* p : parameters) {
    all.insert(all.end(), p->grad.f32(), p->grad.f32() + p->grad.numel());
  }
  return all;
}

}  // namespace dlm
