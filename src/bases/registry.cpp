#include "bases/registry.h"

#include <algorithm>

#include "bases/registry_tables.h"
#include "support/error.h"
#include "support/text.h"

namespace dlm {

namespace {

// Sizes of every decoder, from each publisher's config.json.
struct Shapes {
  std::string_view key;
  int64_t hidden, layers, heads, kv_heads, head_dim, ffn, vocab;
  double rope_theta, eps;
  bool is_tied = true;
};
constexpr Shapes kShapes[] = {
    {"dlm-nano", 256, 8, 4, 2, 64, 768, 8192, 1e4, 1e-5},
    {"smollm2-135m", 576, 30, 9, 3, 64, 1536, 49152, 1e5, 1e-5},
    {"smollm2-360m", 960, 32, 15, 5, 64, 2560, 49152, 1e5, 1e-5},
    {"smollm2-1.7b", 2048, 24, 32, 32, 64, 8192, 49152, 1.3e5, 1e-5},
    {"smollm3-3b", 2048, 36, 16, 4, 128, 11008, 128256, 5e6, 1e-6},
    {"qwen2.5-0.5b", 896, 24, 14, 2, 64, 4864, 151936, 1e6, 1e-6},
    {"qwen2.5-1.5b", 1536, 28, 12, 2, 128, 8960, 151936, 1e6, 1e-6},
    {"qwen2.5-coder-1.5b", 1536, 28, 12, 2, 128, 8960, 151936, 1e6, 1e-6},
    {"qwen2.5-3b", 2048, 36, 16, 2, 128, 11008, 151936, 1e6, 1e-6},
    {"qwen3-1.7b", 2048, 28, 16, 8, 128, 6144, 151936, 1e6, 1e-6},
    {"qwen3-1.7b-thinking", 2048, 28, 16, 8, 128, 6144, 151936, 1e6, 1e-6},
    {"qwen3-4b", 2560, 36, 32, 8, 128, 9728, 151936, 1e6, 1e-6},
    {"qwen3-8b", 4096, 36, 32, 8, 128, 12288, 151936, 1e6, 1e-6, false},
    {"llama-3.2-1b", 2048, 16, 32, 8, 64, 8192, 128256, 5e5, 1e-5},
    {"llama-3.2-3b", 3072, 28, 24, 8, 128, 8192, 128256, 5e5, 1e-5},
    {"llama-3.3-8b-instruct", 4096, 32, 32, 8, 128, 14336, 128256, 5e5, 1e-5, false},
    {"olmo-2-7b-instruct", 4096, 32, 32, 32, 128, 11008, 100352, 5e5, 1e-6, false},
    {"gemma-2-2b-it", 2304, 26, 8, 4, 256, 9216, 256000, 1e4, 1e-6},
    {"gemma-2-9b-it", 3584, 42, 16, 8, 256, 14336, 256000, 1e4, 1e-6},
    {"phi-3.5-mini", 3072, 32, 32, 32, 96, 8192, 32064, 1e4, 1e-5, false},
    {"phi-4-mini-reasoning", 3072, 32, 24, 8, 128, 8192, 200064, 1e4, 1e-5},
    {"mixtral-8x7b-instruct", 4096, 32, 32, 8, 128, 14336, 32000, 1e6, 1e-5, false},
};

const Shapes* find_shapes(std::string_view key) {
  const auto* found = std::find_if(std::begin(kShapes), std::end(kShapes),
                                   [&](const Shapes& s) { return s.key == key; });
  return found == std::end(kShapes) ? nullptr : found;
}

std::string model_type_of(std::string_view architecture) {
  return lower_ascii(architecture.substr(0, architecture.find("ForCausalLM")));
}

const BaseInfo* find_in(const std::vector<BaseInfo>& bases, std::string_view key) {
  const auto found =
      std::find_if(bases.begin(), bases.end(), [&](const BaseInfo& b) { return b.key == key; });
  return found == bases.end() ? nullptr : &*found;
}

}  // namespace

const std::vector<BaseInfo>& known_bases() {
  static const std::vector<BaseInfo> bases = [] {
    std::vector<BaseInfo> all = bundled_and_qwen_bases();
    for (const BaseInfo& base : other_text_bases()) all.push_back(base);
    return all;
  }();
  return bases;
}

const std::vector<BaseInfo>& media_bases() {
  static const std::vector<BaseInfo> bases = media_base_table();
  return bases;
}

const BaseInfo* find_base(std::string_view key) {
  return find_in(known_bases(), key);
}

const BaseInfo* find_media_base(std::string_view key) {
  return find_in(media_bases(), key);
}

const BaseInfo* find_any_base(std::string_view key) {
  const BaseInfo* base = find_base(key);
  return base != nullptr ? base : find_media_base(key);
}

const char* base_of(Modality modality) {
  switch (modality) {
    case Modality::kVisionLanguage:
      return "a vision-language base";
    case Modality::kAudioLanguage:
      return "an audio-language base";
    default:
      return "a text base";
  }
}

std::vector<std::string> base_keys() {
  std::vector<std::string> keys;
  for (const BaseInfo& base : known_bases()) keys.emplace_back(base.key);
  return keys;
}

// Written as a config.json, so that everything else follows the family's rules. Phi's lists of
// longrope factors are left out: no size depends on them.
ModelConfig shapes_of(const BaseInfo& base) {
  const Shapes* s = find_shapes(base.key);
  check(s != nullptr, "a base whose sizes are not built in");
  Json json = Json::object();
  json.set("model_type", model_type_of(base.architecture));
  json.set("hidden_size", s->hidden);
  json.set("intermediate_size", s->ffn);
  json.set("num_hidden_layers", s->layers);
  json.set("num_attention_heads", s->heads);
  json.set("num_key_value_heads", s->kv_heads);
  json.set("head_dim", s->head_dim);
  json.set("vocab_size", s->vocab);
  json.set("max_position_embeddings", base.context_length);
  json.set("rms_norm_eps", s->eps);
  json.set("rope_theta", s->rope_theta);
  json.set("tie_word_embeddings", s->is_tied);
  if (base.key == "phi-4-mini-reasoning") json.set("partial_rotary_factor", 0.75);
  if (base.key.starts_with("phi")) json.set("sliding_window", int64_t{262144});
  if (base.key.starts_with("llama-3")) {
    Json scaling = Json::object();
    scaling.set("rope_type", "llama3");
    scaling.set("factor", base.key.starts_with("llama-3.2") ? 32.0 : 8.0);
    scaling.set("original_max_position_embeddings", int64_t{8192});
    json.set("rope_scaling", std::move(scaling));
  }
  return parse_model_config(json, std::string(base.key));
}

}  // namespace dlm
