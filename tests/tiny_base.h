// A whole base of two small layers in a folder, made at run time: it answers nothing sensible, but
// an adapter can teach it a few pairs in seconds.
#pragma once

#include <string>

#include "bases/locate.h"
#include "model/decoder.h"
#include "tiny_tokenizer.h"

namespace dlm {

// A key of the registry, so that documents may name it and stores record it.
inline constexpr const char* kTinyBaseKey = "dlm-nano";

inline ModelConfig tiny_model_config() {
  ModelConfig c;
  c.model_type = "llama";
  c.hidden_size = 64;
  c.intermediate_size = 128;
  c.num_layers = 2;
  c.num_heads = 2;
  c.num_kv_heads = 1;
  c.head_dim = 32;
  c.vocab_size = 320;
  c.max_positions = 512;
  c.rms_norm_eps = 1e-5;
  c.eos_token_ids = {2, 0};
  return c;
}

// Writes the base into `folder`. The head is scaled up: with the usual deviation of 0.02 no hidden
// state could make one token likely, and head weights do not train.
inline void write_tiny_base(const fs::path& folder) {
  write_tiny_tokenizer(folder);
  const auto decoder = Decoder::random(tiny_model_config(), DType::kF32, 7);
  Tensor& head = decoder->head().value;
  for (int64_t i = 0; i < head.numel(); ++i) head.mutable_f32()[i] *= 16.0f;
  decoder->save(folder);
}

// A folder of bases, for $DLM_BASES, that holds the tiny base under kTinyBaseKey.
inline BaseSearch write_tiny_bases(const fs::path& folder) {
  write_tiny_base(folder / kTinyBaseKey);
  BaseSearch search;
  search.own_folder = folder;
  return search;
}

}  // namespace dlm
