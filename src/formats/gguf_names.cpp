#include "formats/gguf_names.h"

#include <charconv>
#include <cstdint>

namespace dlm {
namespace {

struct Name {
  std::string_view ours;
  std::string_view theirs;
};

constexpr Name kArchitectures[] = {{"llama", "llama"}, {"mixtral", "llama"},  {"qwen2", "qwen2"},
                                   {"qwen3", "qwen3"}, {"gemma2", "gemma2"},  {"phi3", "phi3"},
                                   {"olmo2", "olmo2"}, {"smollm3", "smollm3"}};

constexpr Name kGlobal[] = {{"model.embed_tokens.weight", "token_embd.weight"},
                            {"model.norm.weight", "output_norm.weight"},
                            {"lm_head.weight", "output.weight"}};

// Modules of a layer; ".weight" and ".bias" stay. Phi's fused gate and up are called "up".
constexpr Name kModules[] = {{"input_layernorm", "attn_norm"},
                             {"self_attn.q_proj", "attn_q"},
                             {"self_attn.k_proj", "attn_k"},
                             {"self_attn.v_proj", "attn_v"},
                             {"self_attn.o_proj", "attn_output"},
                             {"self_attn.qkv_proj", "attn_qkv"},
                             {"self_attn.q_norm", "attn_q_norm"},
                             {"self_attn.k_norm", "attn_k_norm"},
                             {"mlp.gate_proj", "ffn_gate"},
                             {"mlp.up_proj", "ffn_up"},
                             {"mlp.down_proj", "ffn_down"},
                             {"mlp.gate_up_proj", "ffn_up"},
                             {"block_sparse_moe.gate", "ffn_gate_inp"},
                             {"pre_feedforward_layernorm", "ffn_norm"},
                             {"post_feedforward_layernorm", "post_ffw_norm"}};

constexpr Name kExpertModules[] = {
    {"w1", "ffn_gate_exps"}, {"w2", "ffn_down_exps"}, {"w3", "ffn_up_exps"}};

template <size_t N>
std::string_view look_up(const Name (&names)[N], std::string_view ours) {
  for (const Name& name : names) {
    if (name.ours == ours) return name.theirs;
  }
  return {};
}

// Takes `prefix` off the front; false when it is not there.
bool take(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

// Takes a number and the dot behind it; below 0 when there is none.
int64_t take_number(std::string_view& text) {
  int64_t number = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end == text.data() + text.size() || *end != '.') return -1;
  text.remove_prefix(static_cast<size_t>(end - text.data()) + 1);
  return number;
}

// The norm behind attention in two families, the norm before the MLP in the others.
std::string_view post_attention_norm(std::string_view model_type) {
  const bool is_behind = model_type == "gemma2" || model_type == "olmo2";
  return is_behind ? "post_attention_norm" : "ffn_norm";
}

}  // namespace

std::string_view gguf_architecture(std::string_view model_type) {
  return look_up(kArchitectures, model_type);
}

std::optional<GgufPlace> gguf_place(std::string_view model_type, std::string_view checkpoint_name) {
  if (const auto name = look_up(kGlobal, checkpoint_name); !name.empty()) {
    return GgufPlace{std::string(name)};
  }
  std::string_view rest = checkpoint_name;
  if (!take(rest, "model.layers.")) return std::nullopt;
  const int64_t layer = take_number(rest);
  const size_t dot = rest.rfind('.');
  if (layer < 0 || dot == std::string_view::npos) return std::nullopt;
  const std::string_view part = rest.substr(dot);
  if (part != ".weight" && part != ".bias") return std::nullopt;
  rest = rest.substr(0, dot);
  GgufPlace place;
  std::string_view module = look_up(kModules, rest);
  if (rest == "post_attention_layernorm") module = post_attention_norm(model_type);
  if (take(rest, "block_sparse_moe.experts.")) {
    place.expert = take_number(rest);
    if (place.expert < 0) return std::nullopt;
    module = look_up(kExpertModules, rest);
  }
  if (module.empty()) return std::nullopt;
  place.name = "blk." + std::to_string(layer) + "." + std::string(module) + std::string(part);
  return place;
}

}  // namespace dlm
