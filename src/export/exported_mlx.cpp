#include "export/exported_mlx.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>

#include "export/exported_hf.h"
#include "formats/safetensors.h"
#include "support/error.h"
#include "support/json.h"

namespace dlm {

namespace {

constexpr const char* kConfig = "adapter_config.json";
constexpr const char* kWeights = "adapters.safetensors";

struct MlxSettings {
  bool is_dora = false;
  int64_t num_layers = 0;
  int64_t rank = 0;
  float scale = 0;
  std::set<std::string> keys;
};

MlxSettings read_settings(const fs::path& path) {
  const Json json = parse_json(read_file(path), path.string());
  const Json& parameters = json.at("lora_parameters");
  MlxSettings s;
  s.is_dora = json.at("fine_tune_type").as_string() == "dora";
  s.num_layers = json.at("num_layers").as_int();
  s.rank = parameters.at("rank").as_int();
  s.scale = static_cast<float>(parameters.at("scale").as_double());
  for (const Json& key : parameters.at("keys").items()) s.keys.insert(key.as_string());
  return s;
}

// Whether mlx_lm makes a LoRA layer of the module.
bool is_adapted(const MlxSettings& s, const std::string& module, int64_t all_layers) {
  constexpr std::string_view kLayers = "model.layers.";
  if (!module.starts_with(kLayers)) return s.keys.contains(module);
  const size_t dot = module.find('.', kLayers.size());
  const int64_t layer = std::stoll(module.substr(kLayers.size(), dot - kLayers.size()));
  return layer >= all_layers - s.num_layers && s.keys.contains(module.substr(dot + 1));
}

class MlxReader {
 public:
  explicit MlxReader(const fs::path& path)
      : path_(path.string()), file_(SafetensorsFile::open(path)) {}

  // f32; an empty tensor where the file has none.
  Tensor find(const std::string& name, const std::vector<int64_t>& shape) {
    const SafetensorsTensor* t = file_.find(name);
    if (t == nullptr) return {};
    ++num_read_;
    if (t->dtype != "F32" || t->shape != shape) {
      fail("tensor \"" + name + "\" is " + t->dtype + " " + shape_text(t->shape) +
           ", MLX needs F32 " + shape_text(shape));
    }
    Tensor out = Tensor::zeros(shape, DType::kF32);
    std::memcpy(out.mutable_data(), t->bytes.data(), t->bytes.size());
    for (int64_t i = 0; i < out.numel(); ++i) {
      if (!std::isfinite(out.f32()[i])) {
        fail("the tensor \"" + name + "\" holds a number that is not finite");
      }
    }
    return out;
  }

  void check_all_read() const {
    if (num_read_ != file_.tensors().size()) fail("the adapter has tensors that no layer takes");
  }

  [[noreturn]] void fail(const std::string& what) const {
    throw Error(ErrorKind::kFormat, what, "export it again", {path_, 0, 0});
  }

 private:
  std::string path_;
  SafetensorsFile file_;
  size_t num_read_ = 0;
};

// [rank, in] from [in, rank].
Tensor transposed(const Tensor& x) {
  Tensor out = Tensor::zeros({x.dim(1), x.dim(0)}, DType::kF32);
  for (int64_t r = 0; r < x.dim(0); ++r) {
    for (int64_t c = 0; c < x.dim(1); ++c) {
      out.mutable_f32()[c * x.dim(0) + r] = x.f32()[r * x.dim(1) + c];
    }
  }
  return out;
}

}  // namespace

std::unique_ptr<LoraAdapter> load_mlx_adapter(const fs::path& folder, Decoder& decoder) {
  const MlxSettings s = read_settings(folder / kConfig);
  MlxReader weights(folder / kWeights);
  LoraOptions options;
  options.rank = 1;  // of what is replaced below: ranks here may be larger than a layer
  options.use_dora = s.is_dora;
  for (const auto& [module, weight] : decoder.linear_layers()) {
    if (is_adapted(s, module, decoder.config().num_layers)) {
      options.target_modules.push_back(module);
    }
  }
  if (options.target_modules.empty() || s.rank < 1) weights.fail("it adapts no layer of the base");
  std::unique_ptr<LoraAdapter> adapter = LoraAdapter::create(decoder, options, 0);
  for (const auto& [module, lora] : adapter->layers()) {
    const int64_t in = lora->a.value.dim(1);
    const int64_t out = lora->bt.value.dim(1);
    const Tensor a = weights.find(module + ".lora_a", {in, s.rank});
    Tensor b = weights.find(module + ".lora_b", {s.rank, out});
    if (a.empty() != b.empty())
      weights.fail("\"" + module + "\" has only one of lora_a and lora_b");
    if (a.empty()) continue;  // B stays zero, as in MLX
    lora->rank = s.rank;
    lora->scale = s.scale;
    lora->a.value = transposed(a);
    lora->bt.value = std::move(b);
    if (lora->dora) {
      Tensor m = weights.find(module + ".m", {out});
      if (m.empty()) weights.fail("\"" + module + "\" has no magnitudes");
      lora->dora->magnitude.value = std::move(m);
    }
    ++lora->a.version;
    ++lora->bt.version;
  }
  weights.check_all_read();
  return adapter;
}

fs::path ExportedMlx::base() const {
  return path_exists(folder_ / "base") ? folder_ / "base" : named_base_;
}

ModelConfig ExportedMlx::config() const {
  return load_model_config(base());
}

LoadedModel ExportedMlx::load(DType dtype, Device& device) const {
  LoadedModel loaded = load_base_folder(base(), dtype, device);
  loaded.adapter = load_mlx_adapter(folder_ / module_, *loaded.decoder);
  return loaded;
}

std::vector<ProvedFile> ExportedMlx::files() const {
  return proved_files(folder_, {module_ + "/" + kConfig, module_ + "/" + kWeights});
}

}  // namespace dlm
