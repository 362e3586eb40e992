#include "model/peft_config.h"

#include <cmath>

#include "model/module_names.h"
#include "support/error.h"

namespace dlm {

namespace {

constexpr int64_t kMaxRank = 4096;

// Keys that, when they hold something, change what the layers compute in a way that is not built.
constexpr const char* kUnsupported[] = {"alora_invocation_tokens",
                                        "arrow_config",
                                        "layer_replication",
                                        "lora_bias",
                                        "target_parameters",
                                        "trainable_token_indices",
                                        "use_qalora"};
// Initialisations that change the base's weights as well; the adapter alone means nothing.
constexpr const char* kChangesTheBase[] = {"corda", "loftq", "olora", "pissa"};

bool holds_something(const Json* value) {
  if (value == nullptr || value->is_null()) return false;
  if (value->is_bool()) return value->as_bool();
  if (value->is_array() || value->is_object()) return value->size() > 0;
  return true;
}

Json number(double value) {
  const bool is_whole = std::floor(value) == value && std::abs(value) < 1e15;
  return is_whole ? Json(static_cast<int64_t>(value)) : Json(value);
}

class ConfigReader {
 public:
  explicit ConfigReader(const fs::path& path)
      : path_(path.string()), json_(parse_json(read_file(path, size_t{16} << 20), path_)) {}

  LoraOptions read() const {
    check_supported();
    LoraOptions o;
    o.rank = rank(required("r"), "\"r\"");
    o.alpha = alpha(required("lora_alpha"), "\"lora_alpha\"");
    o.dropout = dropout();
    o.use_rslora = flag("use_rslora");
    o.use_dora = flag("use_dora");
    o.target_modules = names("target_modules");
    o.modules_to_save = names("modules_to_save");
    for (std::string& module : o.modules_to_save) {
      const std::string last = last_name(module);
      if (last != kEmbedTokens && last != kLmHead) {
        refuse("\"modules_to_save\" names \"" + module + "\"",
               "only embed_tokens and lm_head are read whole");
      }
      module = last;
    }
    for (const auto& [key, value] : pattern("rank_pattern")) {
      o.rank_pattern.emplace_back(key, rank(value, "\"rank_pattern\": \"" + key + "\""));
    }
    for (const auto& [key, value] : pattern("alpha_pattern")) {
      o.alpha_pattern.emplace_back(key, alpha(value, "\"alpha_pattern\": \"" + key + "\""));
    }
    check_patterns(o);
    o.base_name = text("base_model_name_or_path");
    o.base_revision = text("revision");
    return o;
  }

 private:
  [[noreturn]] void refuse(const std::string& what, const std::string& hint) const {
    throw Error(ErrorKind::kInference, what, hint, {path_, 0, 0});
  }

  void check_supported() const {
    if (const Json* type = json_.find("peft_type"); type != nullptr && *type != Json("LORA")) {
      refuse("adapter type " + type->dump() + " is not supported", "only LORA adapters are read");
    }
    for (const char* key : kUnsupported) {
      if (holds_something(json_.find(key))) {
        refuse(std::string("\"") + key + "\" is not supported",
               "use an adapter that was trained without it");
      }
    }
    const std::string bias = text("bias");
    if (!bias.empty() && bias != "none") {
      refuse("\"bias\" is \"" + bias + "\": trained biases are not supported",
             "use an adapter that was trained with bias none");
    }
    const std::string init = text("init_lora_weights");
    for (const char* method : kChangesTheBase) {
      if (init.starts_with(method)) {
        refuse("\"init_lora_weights\" is \"" + init + "\", which changes the base too",
               "convert the adapter to a plain LoRA with PEFT first");
      }
    }
  }

  // Their keys are regular expressions.
  void check_patterns(const LoraOptions& o) const {
    std::vector<std::string> keys;
    for (const auto& [key, rank] : o.rank_pattern) keys.push_back(key);
    for (const auto& [key, alpha] : o.alpha_pattern) keys.push_back(key);
    try {
      const ModulePatterns patterns(keys);
    } catch (const Error& error) {
      refuse(error.message(), error.hint());
    }
  }

  const Json& required(const char* key) const {
    const Json* value = json_.find(key);
    if (value == nullptr) refuse("\"" + std::string(key) + "\" is missing", "the file is damaged");
    return *value;
  }
  std::string text(const char* key) const {
    const Json* value = json_.find(key);
    return value != nullptr && value->is_string() ? value->as_string() : "";
  }
  bool flag(const char* key) const {
    const Json* value = json_.find(key);
    if (value == nullptr || value->is_null()) return false;
    if (!value->is_bool()) {
      refuse('"' + std::string(key) + "\" is not true or false", "the file is damaged");
    }
    return value->as_bool();
  }
  std::vector<std::string> names(const char* key) const {
    std::vector<std::string> all;
    const Json* value = json_.find(key);
    if (value == nullptr || !value->is_array()) return all;
    for (const Json& name : value->items()) {
      if (!name.is_string()) {
        refuse('"' + std::string(key) + "\" holds what is no name", "the file is damaged");
      }
      all.push_back(name.as_string());
    }
    return all;
  }
  std::vector<Json::Member> pattern(const char* key) const {
    const Json* value = json_.find(key);
    if (!holds_something(value)) return {};
    if (!value->is_object())
      refuse(std::string("\"") + key + "\" is no object", "the file is damaged");
    return value->members();
  }
  int64_t rank(const Json& value, const std::string& name) const {
    if (!value.is_int() || value.as_int() < 1 || value.as_int() > kMaxRank) {
      refuse(name + " is not a rank from 1 to 4096", "the file is damaged");
    }
    return value.as_int();
  }
  double alpha(const Json& value, const std::string& name) const {
    if (!value.is_number() || !(std::abs(value.as_double()) < 1e9)) {
      refuse(name + " is not a number below 1e9", "the file is damaged");
    }
    return value.as_double();
  }
  double dropout() const {
    const Json* value = json_.find("lora_dropout");
    if (value == nullptr || value->is_null()) return 0;
    if (!value->is_number() || !(value->as_double() >= 0 && value->as_double() < 1)) {
      refuse("\"lora_dropout\" is not from 0 to 1", "the file is damaged");
    }
    return value->as_double();
  }

  std::string path_;
  Json json_;
};

}  // namespace

std::string peft_key(const std::string& module, const char* part) {
  return "base_model.model." + module + "." + part;
}

std::string peft_saved_key(const std::string& module) {
  return peft_key(module == kEmbedTokens ? "model.embed_tokens" : module, "weight");
}

LoraOptions read_peft_config(const fs::path& path) {
  return ConfigReader(path).read();
}

Json peft_config_json(const LoraOptions& o, const std::vector<std::string>& target_modules) {
  const auto list = [](const std::vector<std::string>& names) {
    Json json = Json::array();
    for (const std::string& name : names) json.push_back(name);
    return json;
  };
  Json alphas = Json::object();
  for (const auto& [key, alpha] : o.alpha_pattern) alphas.set(key, number(alpha));
  Json ranks = Json::object();
  for (const auto& [key, rank] : o.rank_pattern) ranks.set(key, rank);

  Json json = Json::object();
  json.set("alpha_pattern", std::move(alphas));
  json.set("auto_mapping", Json());
  json.set("base_model_name_or_path", o.base_name);
  json.set("bias", "none");
  json.set("fan_in_fan_out", false);
  json.set("inference_mode", true);
  json.set("init_lora_weights", true);
  json.set("layers_pattern", Json());
  json.set("layers_to_transform", Json());
  json.set("lora_alpha", number(o.alpha));
  json.set("lora_dropout", o.dropout);
  json.set("modules_to_save", o.modules_to_save.empty() ? Json() : list(o.modules_to_save));
  json.set("peft_type", "LORA");
  json.set("r", o.rank);
  json.set("rank_pattern", std::move(ranks));
  json.set("revision", o.base_revision.empty() ? Json() : Json(o.base_revision));
  json.set("target_modules", list(target_modules));
  json.set("task_type", "CAUSAL_LM");
  json.set("use_dora", o.use_dora);
  json.set("use_rslora", o.use_rslora);
  return json;
}

}  // namespace dlm
