// An MLX layer computes y + scale * (x A) B with A [in, rank] and B [rank, out]; with DoRA the rows
// of W + scale (A B)^T get the norms m. Scale and rank are one for all layers, so other scales go
// into B, and smaller ranks are filled with zeros.
#include "export/mlx.h"

#include <algorithm>
#include <set>

#include "export/hf_model.h"
#include "export/launch_script.h"
#include "formats/safetensors.h"
#include "support/error.h"

namespace dlm {

namespace {

// "self_attn.q_proj" of "model.layers.3.self_attn.q_proj".
std::string within_layer(const std::string& module) {
  constexpr std::string_view kLayers = "model.layers.";
  if (!module.starts_with(kLayers)) return module;
  return module.substr(module.find('.', kLayers.size()) + 1);
}

void write_adapter(const ModelConfig& config, const fs::path& folder, const fs::path& out) {
  const AdapterOnShapes loaded = load_adapter(config, folder);
  LoraAdapter& adapter = *loaded.adapter;
  if (adapter.embedding() != nullptr || adapter.head() != nullptr) {
    throw Error(ErrorKind::kExport, "MLX adapters hold no modules that were trained whole",
                "export with --target hf; mlx_lm serves the merged folder", {folder.string()});
  }
  int64_t rank = 1;
  for (const auto& [module, lora] : adapter.layers()) rank = std::max(rank, lora->rank);
  const float scale = adapter.layers().front().second->scale;
  std::vector<std::vector<float>> numbers;
  std::vector<std::pair<std::string, std::vector<int64_t>>> tensors;
  std::set<std::string> keys;
  for (const auto& [module, lora] : adapter.layers()) {
    const int64_t in = lora->a.value.dim(1);
    const int64_t out_size = lora->bt.value.dim(1);
    std::vector<float> a(static_cast<size_t>(in * rank));
    for (int64_t r = 0; r < lora->rank; ++r) {
      for (int64_t i = 0; i < in; ++i) {
        a[static_cast<size_t>(i * rank + r)] = lora->a.value.f32()[r * in + i];
      }
    }
    std::vector<float> b(static_cast<size_t>(rank * out_size));
    const float factor = scale == 0 ? 0.0f : lora->scale / scale;
    for (int64_t i = 0; i < lora->rank * out_size; ++i) {
      b[static_cast<size_t>(i)] = factor * lora->bt.value.f32()[i];
    }
    tensors.emplace_back(module + ".lora_a", std::vector<int64_t>{in, rank});
    numbers.push_back(std::move(a));
    tensors.emplace_back(module + ".lora_b", std::vector<int64_t>{rank, out_size});
    numbers.push_back(std::move(b));
    if (lora->dora) {
      const float* m = lora->dora->magnitude.value.f32();
      tensors.emplace_back(module + ".m", std::vector<int64_t>{out_size});
      numbers.emplace_back(m, m + out_size);
    }
    keys.insert(within_layer(module));
  }
  std::vector<SafetensorsTensor> views;
  for (size_t i = 0; i < tensors.size(); ++i) {
    views.push_back(
        {tensors[i].first, "F32", tensors[i].second, std::as_bytes(std::span(numbers[i]))});
  }
  make_folders(out);
  write_safetensors(out / "adapters.safetensors", views, {{"format", "mlx"}});

  Json key_list = Json::array();
  for (const std::string& key : keys) key_list.push_back(key);
  Json parameters = Json::object();
  parameters.set("dropout", adapter.options().dropout);
  parameters.set("keys", std::move(key_list));
  parameters.set("rank", rank);
  parameters.set("scale", static_cast<double>(scale));
  Json json = Json::object();
  json.set("fine_tune_type", adapter.options().use_dora ? "dora" : "lora");
  json.set("lora_parameters", std::move(parameters));
  json.set("num_layers", config.num_layers);
  write_file_atomic(out / "adapter_config.json", json.dump(2) + "\n");
}

}  // namespace

void write_mlx_export(const MlxExport& e, const fs::path& out) {
  write_adapter(load_model_config(e.base.folder), e.module.adapter, out / e.module.name);
  std::vector<LaunchWord> words = {
      {"python3", ""}, {"-m", ""}, {"mlx_lm.server", ""}, {"--model", ""}};
  if (e.base.hf_id.empty()) {
    make_folders(out / "base");
    copy_base(e.base.folder, out / "base");
    words.push_back({"", "base"});
  } else {
    words.push_back({e.base.hf_id, ""});
  }
  words.push_back({"--adapter-path", ""});
  words.push_back({"", e.module.name});
  for (const char* word : {"--host", "127.0.0.1", "--port", "8000"}) words.push_back({word, ""});
  write_script(out / kMlxScript,
               launch_script("Serves the model with mlx_lm on Apple Silicon.", words));
}

}  // namespace dlm
