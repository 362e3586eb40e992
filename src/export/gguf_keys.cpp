#include "export/gguf_keys.h"

#include <fmt/format.h>

#include <algorithm>

#include "formats/gguf_names.h"
#include "support/elementary.h"
#include "support/error.h"

namespace dlm {
namespace {

// Of the layout of quantized blocks; every file carries it.
constexpr uint32_t kQuantizationVersion = 2;

bool is_set(const Json& json, const char* key) {
  const Json* value = json.find(key);
  return value != nullptr && !value->is_null();
}

class Keys {
 public:
  Keys(const ModelConfig& config, const Json& json, Quant quant)
      : c_(config), json_(json), quant_(quant), prefix_(gguf_architecture(config.model_type)) {
    prefix_ += '.';
  }

  void add_general(const std::string& name, const std::string& license) {
    fields.push_back({"general.architecture", std::string(gguf_architecture(c_.model_type))});
    if (c_.rope.type == "longrope") {
      real("rope.scaling.attn_factor", c_.rope.attention_factor);
    }
    fields.push_back({"general.type", "model"});
    fields.push_back({"general.name", name});
    fields.push_back({"general.size_label", gguf_size_label(c_)});
    fields.push_back({"general.license", license});
  }

  void add_architecture() {
    if (c_.model_type == "gemma2") {
      add_gemma2();
    } else if (c_.model_type == "phi3") {
      add_phi3();
    } else {
      add_common();
    }
    fields.push_back({"general.quantization_version", kQuantizationVersion});
  }

  std::vector<GgufField> fields;

 private:
  void whole(const char* key, int64_t value) {
    check(value >= 0 && value <= UINT32_MAX, "a size of the model does not fit into its GGUF key");
    fields.push_back({prefix_ + key, static_cast<uint32_t>(value)});
  }
  void real(const char* key, double value) {
    fields.push_back({prefix_ + key, static_cast<float>(value)});
  }
  void file_type() { fields.push_back({"general.file_type", quant_file_type(quant_)}); }

  // The rule "dynamic" lets max_positions grow; the file tells the context before it.
  int64_t context_length() const {
    return c_.rope.type == "dynamic" ? static_cast<int64_t>(c_.rope.original_max_positions)
                                     : c_.max_positions;
  }

  void heads() {
    whole("attention.head_count", c_.num_heads);
    whole("attention.head_count_kv", c_.num_kv_heads);
  }
  void head_sizes() {
    whole("attention.key_length", c_.head_dim);
    whole("attention.value_length", c_.head_dim);
  }
  void epsilon() { real("attention.layer_norm_rms_epsilon", c_.rms_norm_eps); }

  void rope_scaling() {
    const RopeConfig& rope = c_.rope;
    if (rope.type != "linear" && rope.type != "yarn") return;
    fields.push_back({prefix_ + "rope.scaling.type", rope.type});
    real("rope.scaling.factor", rope.factor);
    if (rope.type != "yarn") return;
    whole("rope.scaling.original_context_length",
          static_cast<int64_t>(rope.original_max_positions));
    // The run time multiplies by its own amplitude for the factor.
    const double usual = rope.factor <= 1.0 ? 1.0 : 0.1 * exact_log(rope.factor) + 1.0;
    if (rope.attention_factor != usual) {
      real("rope.scaling.yarn_attn_factor", rope.attention_factor / usual);
    }
    if (rope.beta_fast != 32.0) real("rope.scaling.yarn_beta_fast", rope.beta_fast);
    if (rope.beta_slow != 1.0) real("rope.scaling.yarn_beta_slow", rope.beta_slow);
  }

  void add_common() {
    whole("block_count", c_.num_layers);
    whole("context_length", context_length());
    whole("embedding_length", c_.hidden_size);
    whole("feed_forward_length", c_.intermediate_size);
    heads();
    rope_scaling();
    real("rope.freq_base", c_.rope.theta);
    epsilon();
    if (c_.num_experts > 0) {
      whole("expert_count", c_.num_experts);
      whole("expert_used_count", c_.experts_per_token);
    }
    if (is_set(json_, "head_dim") || c_.head_dim * c_.num_heads != c_.hidden_size) head_sizes();
    file_type();
    if (prefix_ == "llama." || prefix_ == "smollm3.") {
      whole("vocab_size", c_.vocab_size);
      whole("rope.dimension_count", c_.head_dim);
    }
  }

  void add_gemma2() {
    whole("context_length", context_length());
    whole("embedding_length", c_.hidden_size);
    whole("block_count", c_.num_layers);
    whole("feed_forward_length", c_.intermediate_size);
    heads();
    epsilon();
    head_sizes();
    file_type();
    real("attn_logit_softcapping", c_.attention_softcap);
    real("final_logit_softcapping", c_.final_softcap);
    int64_t window = 0;
    for (const LayerAttention& layer : c_.layer_attention) window = std::max(window, layer.window);
    whole("attention.sliding_window", window);
    // Readers take 10000 where the key is missing.
    if (c_.rope.theta != 10000.0) real("rope.freq_base", c_.rope.theta);
  }

  void add_phi3() {
    whole("context_length", context_length());
    const double original = c_.rope.original_max_positions;
    const Json* beside = json_.find("original_max_position_embeddings");
    whole("rope.scaling.original_context_length", original > 0 ? static_cast<int64_t>(original)
                                                  : beside != nullptr && beside->is_int()
                                                      ? beside->as_int()
                                                      : context_length());
    whole("embedding_length", c_.hidden_size);
    whole("feed_forward_length", c_.intermediate_size);
    whole("block_count", c_.num_layers);
    heads();
    epsilon();
    whole("rope.dimension_count", c_.rope.rot(c_.head_dim));
    real("rope.freq_base", c_.rope.theta);
    file_type();
    // 0 says that every layer sees everything.
    whole("attention.sliding_window",
          c_.layer_attention.empty() ? 0 : c_.layer_attention.front().window);
  }

  const ModelConfig& c_;
  const Json& json_;
  Quant quant_;
  std::string prefix_;
};

// A number of parameters in the largest unit that it reaches, with at least two digits.
std::string scaled(double count) {
  struct Unit {
    double size;
    char letter;
  };
  for (const Unit unit : {Unit{1e12, 'T'}, Unit{1e9, 'B'}, Unit{1e6, 'M'}, Unit{1e3, 'K'}}) {
    if (count <= unit.size && unit.letter != 'K') continue;
    const double value = count / unit.size;
    const std::string whole = fmt::format("{:.0f}", value);
    const int digits = whole == "0" ? 0 : static_cast<int>(whole.size());
    const int decimals = std::max(2 - digits, 0);
    return fmt::format("{:.{}f}{}", value, decimals, unit.letter);
  }
  return {};
}

}  // namespace

std::string gguf_size_label(const ModelConfig& config) {
  const auto all = static_cast<double>(config.num_parameters());
  if (config.num_experts == 0) return scaled(all);
  const double expert = 3.0 * static_cast<double>(config.hidden_size * config.intermediate_size) *
                        static_cast<double>(config.num_layers);
  const double others = static_cast<double>(config.num_experts - 1) * expert;
  return fmt::format("{}x{}", config.num_experts, scaled(all - others));
}

std::vector<GgufField> gguf_model_keys(const ModelConfig& config, const Json& json,
                                       const std::string& name, const std::string& license,
                                       Quant quant) {
  Keys keys(config, json, quant);
  keys.add_general(name, license);
  keys.add_architecture();
  return std::move(keys.fields);
}

}  // namespace dlm
