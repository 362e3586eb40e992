#include "model/lora.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "engine/random.h"
#include "formats/safetensors.h"
#include "model/decoder.h"
#include "support/error.h"

namespace dlm {

namespace {

constexpr const char* kPrefix = "base_model.model.";

bool targets(const std::vector<std::string>& names, const std::string& module) {
  if (names.empty()) return true;
  return std::any_of(names.begin(), names.end(), [&](const std::string& name) {
    return module == name || module.ends_with("." + name);
  });
}

float lora_scale(const LoraOptions& o) {
  const auto rank = static_cast<double>(o.rank);
  return static_cast<float>(o.alpha / (o.use_rslora ? std::sqrt(rank) : rank));
}

// FNV-1a: names a module in random keys, whatever other modules are targeted.
uint64_t name_key(const std::string& name) {
  uint64_t h = 1469598103934665603ULL;
  for (const char c : name) h = (h ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  return h;
}

// f32 [rows, cols] from [cols, rows].
std::vector<float> transposed(const float* x, int64_t rows, int64_t cols) {
  std::vector<float> out(static_cast<size_t>(rows * cols));
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < cols; ++c) {
      out[static_cast<size_t>(r * cols + c)] = x[c * rows + r];
    }
  }
  return out;
}

}  // namespace

Lora& LoraAdapter::add_layer(const std::string& module, int64_t in, int64_t out, size_t) {
  auto lora = std::make_unique<Lora>();
  lora->rank = options_.rank;
  lora->scale = lora_scale(options_);
  lora->dropout = static_cast<float>(options_.dropout);
  lora->key = name_key(module);
  lora->a.name = kPrefix + module + ".lora_A.weight";
  lora->a.value = Tensor::zeros({options_.rank, in}, DType::kF32);
  lora->bt.name = kPrefix + module + ".lora_B.weight";
  lora->bt.value = Tensor::zeros({options_.rank, out}, DType::kF32);
  layers_.emplace_back(module, std::move(lora));
  by_name_[module] = layers_.back().second.get();
  return *layers_.back().second;
}

std::unique_ptr<LoraAdapter> LoraAdapter::create(Decoder& decoder, const LoraOptions& options,
                                                 uint64_t seed) {
  std::unique_ptr<LoraAdapter> adapter(new LoraAdapter);
  adapter->options_ = options;
  std::vector<std::string> last_names;
  size_t index = 0;
  for (const auto& [module, weight] : decoder.linear_layers()) {
    const std::string last = module.substr(module.rfind('.') + 1);
    if (std::find(last_names.begin(), last_names.end(), last) == last_names.end()) {
      last_names.push_back(last);
    }
    if (!targets(options.target_modules, module)) continue;
    const int64_t in = weight->value.dim(1);
    Lora& lora = adapter->add_layer(module, in, weight->value.dim(0), index++);
    const double bound = 1.0 / std::sqrt(static_cast<double>(in));
    float* a = lora.a.value.mutable_f32();
    for (int64_t i = 0; i < lora.a.value.numel(); ++i) {
      const uint64_t key = random_key({seed, lora.key, static_cast<uint64_t>(i)});
      a[i] = static_cast<float>((2.0 * uniform(key) - 1.0) * bound);
    }
  }
  for (const std::string& name : options.target_modules) {
    const bool used = std::any_of(adapter->layers_.begin(), adapter->layers_.end(),
                                  [&](const auto& l) { return targets({name}, l.first); });
    if (used) continue;
    std::string known;
    for (const std::string& last : last_names) known += (known.empty() ? "" : ", ") + last;
    throw Error(ErrorKind::kTrain,
                "target module \"" + name + "\" names no linear layer of the base",
                "this base has: " + known);
  }
  if (adapter->layers_.empty()) {
    throw Error(ErrorKind::kTrain, "the adapter has no target modules",
                "write training.target_modules: auto");
  }
  return adapter;
}

std::unique_ptr<LoraAdapter> LoraAdapter::load(const fs::path& folder, Decoder& decoder) {
  const fs::path config_path = folder / "adapter_config.json";
  const Json config = parse_json(read_file(config_path, size_t{16} << 20), config_path.string());
  const auto refuse = [&](const std::string& what, const std::string& hint) {
    throw Error(ErrorKind::kInference, what, hint, {config_path.string(), 0, 0});
  };
  std::unique_ptr<LoraAdapter> adapter(new LoraAdapter);
  LoraOptions& o = adapter->options_;
  if (const Json* type = config.find("peft_type"); type != nullptr && *type != Json("LORA")) {
    refuse("adapter type " + type->dump() + " is not supported", "only LORA adapters are read");
  }
  o.rank = config.at("r").as_int();
  o.alpha = config.at("lora_alpha").as_double();
  if (const Json* d = config.find("lora_dropout")) o.dropout = d->as_double();
  if (const Json* rs = config.find("use_rslora"); rs != nullptr && rs->is_bool()) {
    o.use_rslora = rs->as_bool();
  }
  if (const Json* dora = config.find("use_dora"); dora != nullptr && *dora == Json(true)) {
    refuse("a DoRA adapter is not supported", "train it again with training.adapter: lora");
  }
  for (const char* key : {"rank_pattern", "alpha_pattern"}) {
    if (const Json* p = config.find(key); p != nullptr && p->is_object() && p->size() > 0) {
      refuse(std::string(key) + " is not supported", "use one rank and alpha for all layers");
    }
  }
  if (const Json* names = config.find("target_modules"); names != nullptr && names->is_array()) {
    for (const Json& name : names->items()) o.target_modules.push_back(name.as_string());
  }
  if (const Json* b = config.find("base_model_name_or_path"); b != nullptr && b->is_string()) {
    o.base_name = b->as_string();
  }
  if (const Json* r = config.find("revision"); r != nullptr && r->is_string()) {
    o.base_revision = r->as_string();
  }
  if (o.rank < 1 || o.rank > 4096)
    refuse("\"r\" is not a rank from 1 to 4096", "the file is damaged");

  const fs::path weights_path = folder / "adapter_model.safetensors";
  const SafetensorsFile file = SafetensorsFile::open(weights_path);
  const auto read = [&](const std::string& name, int64_t rows, int64_t cols) -> const float* {
    const SafetensorsTensor* t = file.find(name);
    if (t == nullptr) return nullptr;
    if (t->dtype != "F32" || t->shape != std::vector<int64_t>{rows, cols}) {
      throw Error(ErrorKind::kInference,
                  "tensor \"" + name + "\" is " + t->dtype + " " + shape_text(t->shape) +
                      ", this base needs F32 " + shape_text({rows, cols}),
                  "the adapter belongs to another base", {weights_path.string(), 0, 0});
    }
    return reinterpret_cast<const float*>(t->bytes.data());
  };
  size_t index = 0;
  size_t used = 0;
  for (const auto& [module, weight] : decoder.linear_layers()) {
    const int64_t out = weight->value.dim(0);
    const int64_t in = weight->value.dim(1);
    const float* a = read(kPrefix + module + ".lora_A.weight", o.rank, in);
    const float* b = read(kPrefix + module + ".lora_B.weight", out, o.rank);
    if (a == nullptr && b == nullptr) continue;
    if (a == nullptr || b == nullptr) {
      throw Error(ErrorKind::kInference,
                  "module \"" + module + "\" has only one of lora_A and lora_B",
                  "the file is incomplete; train again", {weights_path.string(), 0, 0});
    }
    used += 2;
    Lora& lora = adapter->add_layer(module, in, out, index++);
    std::memcpy(lora.a.value.mutable_f32(), a, lora.a.value.size_bytes());
    const std::vector<float> bt = transposed(b, o.rank, out);
    std::memcpy(lora.bt.value.mutable_f32(), bt.data(), lora.bt.value.size_bytes());
  }
  if (used != file.tensors().size() || adapter->layers_.empty()) {
    throw Error(ErrorKind::kInference, "the adapter has tensors that fit no layer of this base",
                "prompt with the base that it was trained on", {weights_path.string(), 0, 0});
  }
  return adapter;
}

Lora* LoraAdapter::find(const std::string& module) {
  const auto it = by_name_.find(module);
  return it == by_name_.end() ? nullptr : it->second;
}

std::vector<Parameter*> LoraAdapter::parameters() {
  std::vector<Parameter*> all;
  for (auto& [name, lora] : layers_) {
    all.push_back(&lora->a);
    all.push_back(&lora->bt);
  }
  return all;
}

void LoraAdapter::set_trainable() {
  for (Parameter* p : parameters()) p->make_trainable();
}

std::vector<std::pair<std::string, Lora*>> LoraAdapter::layers() {
  std::vector<std::pair<std::string, Lora*>> all;
  for (auto& [name, lora] : layers_) all.emplace_back(name, lora.get());
  return all;
}

int64_t LoraAdapter::num_parameters() const {
  int64_t total = 0;
  for (const auto& [name, lora] : layers_) total += lora->a.value.numel() + lora->bt.value.numel();
  return total;
}

Json LoraAdapter::config_json() const {
  std::vector<std::string> last;
  for (const auto& [module, lora] : layers_) {
    std::string name = module.substr(module.rfind('.') + 1);
    if (std::find(last.begin(), last.end(), name) == last.end()) last.push_back(std::move(name));
  }
  std::sort(last.begin(), last.end());
  Json names = Json::array();
  for (std::string& name : last) names.push_back(std::move(name));

  Json json = Json::object();
  json.set("alpha_pattern", Json::object());
  json.set("auto_mapping", Json());
  json.set("base_model_name_or_path", options_.base_name);
  json.set("bias", "none");
  json.set("fan_in_fan_out", false);
  json.set("inference_mode", true);
  json.set("init_lora_weights", true);
  json.set("layers_pattern", Json());
  json.set("layers_to_transform", Json());
  json.set("lora_alpha", std::floor(options_.alpha) == options_.alpha
                             ? Json(static_cast<int64_t>(options_.alpha))
                             : Json(options_.alpha));
  json.set("lora_dropout", options_.dropout);
  json.set("modules_to_save", Json());
  json.set("peft_type", "LORA");
  json.set("r", options_.rank);
  json.set("rank_pattern", Json::object());
  json.set("revision", options_.base_revision.empty() ? Json() : Json(options_.base_revision));
  json.set("target_modules", std::move(names));
  json.set("task_type", "CAUSAL_LM");
  json.set("use_dora", false);
  json.set("use_rslora", options_.use_rslora);
  return json;
}

void LoraAdapter::save(const fs::path& folder) const {
  std::vector<std::vector<float>> b_storage;
  std::vector<SafetensorsTensor> views;
  b_storage.reserve(layers_.size());
  for (const auto& [module, lora] : layers_) {
    const Tensor& a = lora->a.value;
    const Tensor& bt = lora->bt.value;
    views.push_back({lora->a.name,
                     "F32",
                     a.shape(),
                     {static_cast<const std::byte*>(a.data()), a.size_bytes()}});
    b_storage.push_back(transposed(bt.f32(), bt.dim(1), bt.dim(0)));
    const auto* bytes = reinterpret_cast<const std::byte*>(b_storage.back().data());
    views.push_back({lora->bt.name, "F32", {bt.dim(1), bt.dim(0)}, {bytes, bt.size_bytes()}});
  }
  write_safetensors(folder / "adapter_model.safetensors", views, {{"format", "pt"}});
  write_file_atomic(folder / "adapter_config.json", config_json().dump(2) + "\n");
}

}  // namespace dlm
