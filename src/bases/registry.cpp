#include "bases/registry.h"

#include <algorithm>

#include "support/error.h"
#include "support/text.h"

namespace dlm {

namespace {

constexpr std::string_view kApache = "Apache-2.0";

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

}  // namespace

const std::vector<BaseInfo>& known_bases() {
  static const std::vector<BaseInfo> bases = {
      {"dlm-nano", "dlm nano", "", "", "LlamaForCausalLM", "MIT", false, 8392960, 512, 512},
      {"qwen2.5-0.5b", "Qwen2.5 0.5B Instruct", "Qwen/Qwen2.5-0.5B-Instruct",
       "7ae557604adf67be50417f59c2c2f167def9a775", "Qwen2ForCausalLM", kApache, false, 500000000,
       32768, 2048},
      {"qwen2.5-1.5b", "Qwen2.5 1.5B Instruct", "Qwen/Qwen2.5-1.5B-Instruct",
       "989aa7980e4cf806f80c7fef2b1adb7bc71aa306", "Qwen2ForCausalLM", kApache, false, 1500000000,
       32768, 2048},
      {"qwen2.5-3b", "Qwen2.5 3B Instruct", "Qwen/Qwen2.5-3B-Instruct",
       "aa8e72537993ba99e69dfaafa59ed015b17504d1", "Qwen2ForCausalLM", "Other", false, 3000000000,
       32768, 2048},
      {"qwen2.5-coder-1.5b", "Qwen2.5 Coder 1.5B Instruct", "Qwen/Qwen2.5-Coder-1.5B-Instruct",
       "2e1fd397ee46e1388853d2af2c993145b0f1098a", "Qwen2ForCausalLM", kApache, false, 1500000000,
       32768, 2048},
      {"qwen3-1.7b", "Qwen3 1.7B", "Qwen/Qwen3-1.7B", "70d244cc86ccca08cf5af4e1e306ecf908b1ad5e",
       "Qwen3ForCausalLM", kApache, false, 1700000000, 32768, 2048},
      {"qwen3-1.7b-thinking", "Qwen3 1.7B Thinking", "Qwen/Qwen3-1.7B",
       "70d244cc86ccca08cf5af4e1e306ecf908b1ad5e", "Qwen3ForCausalLM", kApache, false, 1700000000,
       32768, 2048},
      {"qwen3-4b", "Qwen3 4B", "Qwen/Qwen3-4B", "1cfa9a7208912126459214e8b04321603b3df60c",
       "Qwen3ForCausalLM", kApache, false, 4000000000, 32768, 2048},
      {"qwen3-8b", "Qwen3 8B", "Qwen/Qwen3-8B", "b968826d9c46dd6066d109eabc6255188de91218",
       "Qwen3ForCausalLM", kApache, false, 8000000000, 32768, 2048},
      {"llama-3.2-1b", "Llama 3.2 1B Instruct", "meta-llama/Llama-3.2-1B-Instruct",
       "9213176726f574b556790deb65791e0c5aa438b6", "LlamaForCausalLM", "Other", true, 1000000000,
       131072, 4096},
      {"llama-3.2-3b", "Llama 3.2 3B Instruct", "meta-llama/Llama-3.2-3B-Instruct",
       "0cb88a4f764b7a12671c53f0838cd831a0843b95", "LlamaForCausalLM", "Other", true, 3000000000,
       131072, 4096},
      {"llama-3.3-8b-instruct", "Llama 3.3 8B Instruct", "allura-forge/Llama-3.3-8B-Instruct",
       "df95224cf87c32d9f4958dd284a07ded620aa4fc", "LlamaForCausalLM", "Other", true, 8000000000,
       131072, 4096},
      {"smollm3-3b", "SmolLM3 3B", "HuggingFaceTB/SmolLM3-3B",
       "a07cc9a04f16550a088caea529712d1d335b0ac1", "SmolLM3ForCausalLM", kApache, false, 3000000000,
       65536, 4096},
      {"olmo-2-7b-instruct", "OLMo 2 7B Instruct", "allenai/OLMo-2-1124-7B-Instruct",
       "470b1fba1ae01581f270116362ee4aa1b97f4c84", "Olmo2ForCausalLM", kApache, false, 7000000000,
       4096, 2048},
      {"gemma-2-2b-it", "Gemma 2 2B Instruct", "google/gemma-2-2b-it",
       "299a8560bedf22ed1c72a8a11e7dce4a7f9f51f8", "Gemma2ForCausalLM", "Gemma", true, 2600000000,
       8192, 2048},
      {"gemma-2-9b-it", "Gemma 2 9B Instruct", "google/gemma-2-9b-it",
       "11c9b309abf73637e4b6f9a3fa1e92e615547819", "Gemma2ForCausalLM", "Gemma", true, 9000000000,
       8192, 2048},
      {"smollm2-135m", "SmolLM2 135M Instruct", "HuggingFaceTB/SmolLM2-135M-Instruct",
       "12fd25f77366fa6b3b4b768ec3050bf629380bac", "LlamaForCausalLM", kApache, false, 135000000,
       8192, 1024},
      {"smollm2-360m", "SmolLM2 360M Instruct", "HuggingFaceTB/SmolLM2-360M-Instruct",
       "a10cc1512eabd3dde888204e902eca88bddb4951", "LlamaForCausalLM", kApache, false, 360000000,
       8192, 1024},
      {"smollm2-1.7b", "SmolLM2 1.7B Instruct", "HuggingFaceTB/SmolLM2-1.7B-Instruct",
       "31b70e2e869a7173562077fd711b654946d38674", "LlamaForCausalLM", kApache, false, 1700000000,
       8192, 2048},
      {"phi-3.5-mini", "Phi 3.5 mini instruct", "microsoft/Phi-3.5-mini-instruct",
       "2fe192450127e6a83f7441aef6e3ca586c338b77", "Phi3ForCausalLM", "MIT", false, 3800000000,
       131072, 2048},
      {"phi-4-mini-reasoning", "Phi 4 mini reasoning", "microsoft/Phi-4-mini-reasoning",
       "0e3b1e2d02ee478a3743abe3f629e9c0cb722e0a", "Phi3ForCausalLM", "MIT", false, 3800000000,
       131072, 2048},
      {"mixtral-8x7b-instruct", "Mixtral 8x7B Instruct", "mistralai/Mixtral-8x7B-Instruct-v0.1",
       "eba92302a2861cdc0098cc54bc9f17cb2c47eb61", "MixtralForCausalLM", kApache, false,
       46700000000, 32768, 2048},
  };
  return bases;
}

const BaseInfo* find_base(std::string_view key) {
  const auto& bases = known_bases();
  const auto found =
      std::find_if(bases.begin(), bases.end(), [&](const BaseInfo& b) { return b.key == key; });
  return found == bases.end() ? nullptr : &*found;
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
