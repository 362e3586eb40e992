#include "model/config.h"

#include <cmath>
#include <numbers>

#include "support/error.h"

namespace dlm {

namespace {

class Reader {
 public:
  Reader(const Json& json, const std::string& path) : json_(json), path_(path) {
    if (!json.is_object()) fail("the file is not a JSON object");
  }

  [[noreturn]] void fail(const std::string& what, const std::string& hint = {}) const {
    throw Error(ErrorKind::kBase, what,
                hint.empty() ? "use the config.json that came with the weights" : hint,
                {path_, 0, 0});
  }

  const Json* find(const char* key) const {
    const Json* value = json_.find(key);
    return value == nullptr || value->is_null() ? nullptr : value;
  }

  // A size: an integer in [1, 2^31).
  int64_t size(const char* key) const {
    const Json* value = find(key);
    if (value == nullptr) fail(std::string("\"") + key + "\" is missing");
    return checked_size(key, *value);
  }
  int64_t size_or(const char* key, int64_t otherwise) const {
    const Json* value = find(key);
    return value == nullptr ? otherwise : checked_size(key, *value);
  }
  double number_or(const char* key, double otherwise) const {
    const Json* value = find(key);
    if (value == nullptr) return otherwise;
    if (!value->is_number()) fail(std::string("\"") + key + "\" is not a number");
    return value->as_double();
  }
  bool flag_or(const char* key, bool otherwise) const {
    const Json* value = find(key);
    if (value == nullptr) return otherwise;
    if (!value->is_bool()) fail(std::string("\"") + key + "\" is not true or false");
    return value->as_bool();
  }
  std::string text_or(const char* key, const std::string& otherwise) const {
    const Json* value = find(key);
    if (value == nullptr) return otherwise;
    if (!value->is_string()) fail(std::string("\"") + key + "\" is not a string");
    return value->as_string();
  }
  std::optional<int64_t> token_or_none(const char* key) const {
    const Json* value = find(key);
    if (value == nullptr || !value->is_int()) return std::nullopt;
    return value->as_int();
  }

 private:
  int64_t checked_size(const char* key, const Json& value) const {
    if (!value.is_int() || value.as_int() < 1 || value.as_int() >= (int64_t{1} << 31)) {
      fail(std::string("\"") + key + "\" is not a size from 1 to 2147483647");
    }
    return value.as_int();
  }

  const Json& json_;
  const std::string& path_;
};

RopeScaling read_rope_scaling(const Reader& reader, const Json& json, const std::string& path,
                              double& theta) {
  RopeScaling scaling;
  const Json* block = reader.find("rope_parameters");
  if (block == nullptr) block = reader.find("rope_scaling");
  if (block == nullptr) return scaling;
  const Reader inner(*block, path);
  theta = inner.number_or("rope_theta", theta);
  scaling.type = inner.text_or("rope_type", inner.text_or("type", "default"));
  if (scaling.type == "default") return scaling;
  if (scaling.type != "llama3") {
    reader.fail("rope scaling \"" + scaling.type + "\" is not supported",
                "supported: default and llama3");
  }
  scaling.factor = inner.number_or("factor", 8.0);
  scaling.low_freq_factor = inner.number_or("low_freq_factor", 1.0);
  scaling.high_freq_factor = inner.number_or("high_freq_factor", 4.0);
  scaling.original_max_positions =
      static_cast<double>(inner.size("original_max_position_embeddings"));
  if (!(scaling.factor >= 1.0) || !(scaling.low_freq_factor > 0) ||
      !(scaling.high_freq_factor > scaling.low_freq_factor)) {
    reader.fail("the factors of rope scaling llama3 contradict each other");
  }
  (void)json;
  return scaling;
}

}  // namespace

ModelConfig parse_model_config(const Json& json, const std::string& path) {
  const Reader reader(json, path);
  ModelConfig c;
  c.model_type = reader.text_or("model_type", "");
  if (c.model_type != "llama") {
    reader.fail("model family \"" + c.model_type + "\" is not supported", "supported: llama");
  }
  const std::string activation = reader.text_or("hidden_act", "silu");
  if (activation != "silu") {
    reader.fail("activation \"" + activation + "\" is not supported in family llama");
  }
  c.hidden_size = reader.size("hidden_size");
  c.intermediate_size = reader.size("intermediate_size");
  c.num_layers = reader.size("num_hidden_layers");
  c.num_heads = reader.size("num_attention_heads");
  c.num_kv_heads = reader.size_or("num_key_value_heads", c.num_heads);
  c.vocab_size = reader.size("vocab_size");
  c.max_positions = reader.size_or("max_position_embeddings", 2048);
  if (c.num_heads > c.hidden_size) reader.fail("more attention heads than hidden units");
  c.head_dim = reader.size_or("head_dim", c.hidden_size / c.num_heads);
  if (c.num_heads % c.num_kv_heads != 0) {
    reader.fail("num_attention_heads is not a multiple of num_key_value_heads");
  }
  if (c.head_dim % 2 != 0) reader.fail("head_dim is odd, rotary embedding needs pairs");
  if (c.num_layers > 1024 || c.head_dim > 1024) {
    reader.fail(
        "sizes beyond any model of this family: more than 1024 layers or head_dim above 1024");
  }
  c.rms_norm_eps = reader.number_or("rms_norm_eps", 1e-6);
  c.rope_theta = reader.number_or("rope_theta", 10000.0);
  c.rope_scaling = read_rope_scaling(reader, json, path, c.rope_theta);
  if (!(c.rope_theta > 1.0) || !(c.rms_norm_eps > 0)) {
    reader.fail("rope_theta must be above 1 and rms_norm_eps above 0");
  }
  c.tie_word_embeddings = reader.flag_or("tie_word_embeddings", false);
  c.attention_bias = reader.flag_or("attention_bias", false);
  c.mlp_bias = reader.flag_or("mlp_bias", false);
  c.bos_token_id = reader.token_or_none("bos_token_id");
  c.pad_token_id = reader.token_or_none("pad_token_id");
  if (const Json* eos = reader.find("eos_token_id")) {
    if (eos->is_int()) {
      c.eos_token_ids.push_back(eos->as_int());
    } else if (eos->is_array()) {
      for (const Json& id : eos->items()) {
        if (id.is_int()) c.eos_token_ids.push_back(id.as_int());
      }
    }
  }
  return c;
}

ModelConfig load_model_config(const fs::path& folder) {
  const fs::path path = folder / "config.json";
  return parse_model_config(parse_json(read_file(path, size_t{16} << 20), path.string()),
                            path.string());
}

int64_t ModelConfig::num_linear_weights() const {
  const int64_t attention =
      hidden_size * head_dim * (num_heads + 2 * num_kv_heads) + num_heads * head_dim * hidden_size;
  return num_layers * (attention + 3 * hidden_size * intermediate_size);
}

int64_t ModelConfig::num_parameters() const {
  const int64_t tables = vocab_size * hidden_size * (tie_word_embeddings ? 1 : 2);
  return num_linear_weights() + tables + hidden_size * (2 * num_layers + 1);
}

RopeTable ModelConfig::rope_table(int64_t positions) const {
  RopeTable table;
  table.rot = head_dim;
  const int64_t half = head_dim / 2;
  std::vector<double> frequencies(static_cast<size_t>(half));
  for (int64_t i = 0; i < half; ++i) {
    double f = std::pow(rope_theta, -2.0 * static_cast<double>(i) / static_cast<double>(head_dim));
    if (rope_scaling.type == "llama3") {
      // Long waves are slowed by `factor`, short ones kept, those between interpolated.
      const double wavelength = 2.0 * std::numbers::pi / f;
      const double turns = rope_scaling.original_max_positions / wavelength;
      const double low = rope_scaling.low_freq_factor;
      const double high = rope_scaling.high_freq_factor;
      if (turns < low) {
        f /= rope_scaling.factor;
      } else if (turns < high) {
        const double smooth = (turns - low) / (high - low);
        f = (1.0 - smooth) * f / rope_scaling.factor + smooth * f;
      }
    }
    // transformers keeps the inverse frequencies in f32.
    frequencies[static_cast<size_t>(i)] = static_cast<double>(static_cast<float>(f));
  }
  table.cos.resize(static_cast<size_t>(positions * half));
  table.sin.resize(table.cos.size());
  for (int64_t p = 0; p < positions; ++p) {
    for (int64_t i = 0; i < half; ++i) {
      const double angle = static_cast<double>(p) * frequencies[static_cast<size_t>(i)];
      table.cos[static_cast<size_t>(p * half + i)] = static_cast<float>(std::cos(angle));
      table.sin[static_cast<size_t>(p * half + i)] = static_cast<float>(std::sin(angle));
    }
  }
  return table;
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
  json.set("rope_theta", c.rope_theta);
  json.set("tie_word_embeddings", c.tie_word_embeddings);
  json.set("torch_dtype", "bfloat16");
  json.set("use_cache", true);
  json.set("vocab_size", c.vocab_size);
  return json;
}

}  // namespace dlm
