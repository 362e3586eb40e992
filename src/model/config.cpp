#include "model/config.h"

#include <cmath>

#include "engine/tensor.h"
#include "model/config_reader.h"
#include "model/config_rope.h"
#include "support/error.h"
#include "support/text.h"

namespace dlm {

namespace {

void read_family(const ConfigReader& reader, ModelConfig& c) {
  c.model_type = reader.text_or("model_type", "");
  const Family* family = find_family(c.model_type);
  if (family == nullptr) {
    const std::vector<std::string_view> names = family_names();
    reader.fail("model family \"" + c.model_type + "\" is not supported",
                "supported: " + join({names.begin(), names.end()}, ", "));
  }
  const bool is_gelu = family->activation == Activation::kGeluTanh;
  const std::string usual = is_gelu ? "gelu_pytorch_tanh" : "silu";
  const std::string activation =
      is_gelu ? reader.text_or("hidden_activation", usual) : reader.text_or("hidden_act", usual);
  if (activation != usual) {
    reader.fail("activation \"" + activation + "\" is not supported in family " + c.model_type);
  }
}

void read_sizes(const ConfigReader& reader, ModelConfig& c) {
  const FamilyDefaults& defaults = c.family().defaults;
  c.hidden_size = reader.size("hidden_size");
  c.intermediate_size = reader.size("intermediate_size");
  c.num_layers = reader.size("num_hidden_layers");
  c.num_heads = reader.size("num_attention_heads");
  c.num_kv_heads = reader.size_or("num_key_value_heads",
                                  defaults.num_kv_heads > 0 ? defaults.num_kv_heads : c.num_heads);
  c.vocab_size = reader.size("vocab_size");
  c.max_positions = reader.size_or("max_position_embeddings", defaults.max_positions);
  if (c.num_heads > c.hidden_size) reader.fail("more attention heads than hidden units");
  c.head_dim = reader.size_or(
      "head_dim", defaults.head_dim > 0 ? defaults.head_dim : c.hidden_size / c.num_heads);
  if (c.num_heads % c.num_kv_heads != 0) {
    reader.fail("num_attention_heads is not a multiple of num_key_value_heads");
  }
  if (c.head_dim % 2 != 0) reader.fail("head_dim is odd, rotary embedding needs pairs");
  if (c.num_layers > 1024 || c.head_dim > 1024) {
    reader.fail(
        "sizes beyond any model of this family: more than 1024 layers or head_dim above 1024");
  }
  if (c.family().has_experts) {
    c.num_experts = reader.size_or("num_local_experts", 8);
    c.experts_per_token = reader.size_or("num_experts_per_tok", 2);
    if (c.num_experts > 256) reader.fail("more than 256 experts");
    if (c.experts_per_token > c.num_experts) {
      reader.fail("num_experts_per_tok is above num_local_experts");
    }
  }
  // Below it no product of sizes overflows.
  constexpr double kMostWeights = 0x1p45;
  const auto d = [](int64_t x) { return static_cast<double>(x); };
  const double attention = 2.0 * d(c.hidden_size) * d(c.head_dim) * d(c.num_heads + c.num_kv_heads);
  const double mlp =
      3.0 * d(c.hidden_size) * d(c.intermediate_size) * d(std::max<int64_t>(1, c.num_experts));
  if (d(c.num_layers) * (attention + mlp) + 2.0 * d(c.vocab_size) * d(c.hidden_size) >
      kMostWeights) {
    reader.fail("sizes beyond any model: more than 35 trillion weights");
  }
}

void read_numbers(const ConfigReader& reader, ModelConfig& c) {
  const Family& family = c.family();
  c.rms_norm_eps = reader.number_or("rms_norm_eps", family.defaults.rms_norm_eps);
  if (!(c.rms_norm_eps > 0)) reader.fail("rms_norm_eps must be above 0");
  c.tie_word_embeddings =
      reader.flag_or("tie_word_embeddings", family.defaults.tie_word_embeddings);
  if (family.attention_bias == AttentionBias::kConfigured) {
    c.attention_bias = reader.flag_or("attention_bias", false);
  }
  if (family.may_have_mlp_bias) c.mlp_bias = reader.flag_or("mlp_bias", false);
  c.is_bf16 = reader.text_or("dtype", reader.text_or("torch_dtype", "")) == "bfloat16";
  if (!family.has_softcaps) return;
  c.query_pre_attn_scalar = reader.number_or("query_pre_attn_scalar", 256.0);
  // A cap of null is none; an absent key is the default.
  const auto cap = [&](const char* key, double otherwise) {
    const double value = reader.json().find(key) == nullptr ? otherwise : reader.number_or(key, 0);
    if (value < 0) reader.fail_key(key, "is below 0");
    return value;
  };
  c.attention_softcap = cap("attn_logit_softcapping", 50.0);
  c.final_softcap = cap("final_logit_softcapping", 30.0);
  if (!(c.query_pre_attn_scalar > 0)) reader.fail("query_pre_attn_scalar must be above 0");
}

std::vector<bool> layers_with_rope(const ConfigReader& reader, const ModelConfig& c) {
  const auto layers = static_cast<size_t>(c.num_layers);
  std::vector<bool> has_rope(layers, true);
  if (c.family().rope_layers == RopeLayers::kAll) return has_rope;
  if (reader.find("no_rope_layers") == nullptr) {
    const int64_t interval = reader.size_or("no_rope_layer_interval", 4);
    for (size_t i = 0; i < layers; ++i) {
      has_rope[i] = static_cast<int64_t>(i + 1) % interval != 0;
    }
    return has_rope;
  }
  // Despite the name, 1 stands for a layer that rotates.
  const std::vector<Json> list = reader.list("no_rope_layers");
  if (list.size() < layers) reader.fail("no_rope_layers is shorter than num_hidden_layers");
  for (size_t i = 0; i < layers; ++i) {
    if (!list[i].is_int() || (list[i].as_int() != 0 && list[i].as_int() != 1)) {
      reader.fail_key("no_rope_layers", "has an item that is not 0 or 1");
    }
    has_rope[i] = list[i].as_int() == 1;
  }
  return has_rope;
}

// Whether the family's own rule, in place of "layer_types", makes a layer slide.
bool slides_by_rule(const ConfigReader& reader, const ModelConfig& c, size_t layer, bool has_rope) {
  switch (c.family().window) {
    case WindowRule::kNone:
      return false;
    case WindowRule::kAllLayers:
      return true;
    case WindowRule::kEvenLayers:
      return layer % 2 == 0;
    case WindowRule::kFromMaxWindow:
      return static_cast<double>(layer) >= reader.number_or("max_window_layers", 28);
    case WindowRule::kLayersWithoutRope:
      return !has_rope;
  }
  return false;
}

void read_layers(const ConfigReader& reader, ModelConfig& c) {
  const WindowRule rule = c.family().window;
  const bool needs_switch =
      rule == WindowRule::kFromMaxWindow || rule == WindowRule::kLayersWithoutRope;
  int64_t window = 0;
  if (rule != WindowRule::kNone && (!needs_switch || reader.flag_or("use_sliding_window", false))) {
    // null is none, an absent key the default.
    window = reader.json().find("sliding_window") == nullptr ? c.family().defaults.sliding_window
                                                             : reader.size_or("sliding_window", 0);
  }
  const auto layers = static_cast<size_t>(c.num_layers);
  const std::vector<bool> has_rope = layers_with_rope(reader, c);
  const std::vector<Json> types = reader.list("layer_types");
  const bool has_types = reader.find("layer_types") != nullptr;
  if (has_types && types.size() != layers) {
    reader.fail("layer_types has " + std::to_string(types.size()) +
                " items, num_hidden_layers is " + std::to_string(layers));
  }
  for (size_t i = 0; i < layers; ++i) {
    LayerAttention layer;
    layer.has_rope = has_rope[i];
    if (has_types && rule != WindowRule::kAllLayers) {
      const std::string type = types[i].is_string() ? types[i].as_string() : "";
      if (type != "full_attention" && type != "sliding_attention") {
        reader.fail("layer type \"" + type + "\" is not supported",
                    "supported: full_attention, sliding_attention");
      }
      layer.is_sliding = type == "sliding_attention";
      if (layer.is_sliding && window == 0) {
        reader.fail("layer_types has sliding layers, but no sliding_window is in use");
      }
    } else {
      layer.is_sliding = window > 0 && slides_by_rule(reader, c, i, has_rope[i]);
    }
    if (layer.is_sliding) layer.window = window;
    c.layer_attention.push_back(layer);
  }
}

void read_token_ids(const ConfigReader& reader, ModelConfig& c) {
  c.bos_token_id = reader.token_or_none("bos_token_id");
  c.pad_token_id = reader.token_or_none("pad_token_id");
  const Json* eos = reader.find("eos_token_id");
  if (eos == nullptr) return;
  if (eos->is_int()) c.eos_token_ids.push_back(eos->as_int());
  if (!eos->is_array()) return;
  for (const Json& id : eos->items()) {
    if (id.is_int()) c.eos_token_ids.push_back(id.as_int());
  }
}

}  // namespace

ModelConfig parse_model_config(const Json& json, const std::string& path) {
  const ConfigReader reader(json, path);
  ModelConfig c;
  read_family(reader, c);
  read_sizes(reader, c);
  read_numbers(reader, c);
  read_rope(reader, c);
  read_layers(reader, c);
  read_token_ids(reader, c);
  return c;
}

ModelConfig load_model_config(const fs::path& folder) {
  const fs::path path = folder / "config.json";
  return parse_model_config(parse_json(read_file(path, size_t{16} << 20), path.string()),
                            path.string());
}

int64_t ModelConfig::rope_variant(int64_t length) const {
  // Both grow with the length, so their sum changes when either does.
  return rope.variant(length) + (sliding_rope ? sliding_rope->variant(length) : 0);
}

bool ModelConfig::has_qkv_bias() const {
  return family().attention_bias == AttentionBias::kQkv || attention_bias;
}

bool ModelConfig::has_o_bias() const {
  return attention_bias;
}

float ModelConfig::embedding_scale() const {
  if (!family().scales_embedding) return 1.0f;
  const auto scale = static_cast<float>(std::sqrt(static_cast<double>(hidden_size)));
  return is_bf16 ? to_f32(to_bf16(scale)) : scale;
}

float ModelConfig::attention_scale() const {
  const double size =
      query_pre_attn_scalar > 0 ? query_pre_attn_scalar : static_cast<double>(head_dim);
  return static_cast<float>(1.0 / std::sqrt(size));
}

Json model_config_json(const ModelConfig& c) {
  Json json = Json::object();
  json.set("architectures", Json::array({Json("LlamaForCausalLM")}));
  json.set("attention_bias", c.attention_bias);
  json.set("attention_dropout", 0.0);
  json.set("bos_token_id", c.bos_token_id ? Json(*c.bos_token_id) : Json());
  if (c.eos_token_ids.size() == 1) {
    json.set("eos_token_id", c.eos_token_ids[0]);
  } else {
    Json ids = Json::array();
    for (const int64_t id : c.eos_token_ids) ids.push_back(id);
    json.set("eos_token_id", std::move(ids));
  }
  json.set("head_dim", c.head_dim);
  json.set("hidden_act", "silu");
  json.set("hidden_size", c.hidden_size);
  json.set("initializer_range", 0.02);
  json.set("intermediate_size", c.intermediate_size);
  json.set("max_position_embeddings", c.max_positions);
  json.set("mlp_bias", c.mlp_bias);
  json.set("model_type", c.model_type);
  json.set("num_attention_heads", c.num_heads);
  json.set("num_hidden_layers", c.num_layers);
  json.set("num_key_value_heads", c.num_kv_heads);
  json.set("pad_token_id", c.pad_token_id ? Json(*c.pad_token_id) : Json());
  json.set("rms_norm_eps", c.rms_norm_eps);
  json.set("rope_scaling", Json());
  json.set("rope_theta", c.rope.theta);
  json.set("tie_word_embeddings", c.tie_word_embeddings);
  json.set("torch_dtype", "bfloat16");
  json.set("use_cache", true);
  json.set("vocab_size", c.vocab_size);
  return json;
}

}  // namespace dlm
