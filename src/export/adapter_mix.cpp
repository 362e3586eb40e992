// Weighted sums of adapters by concatenation:
//   sum_i w_i s_i B_i A_i = [w_1 s_1 B_1, w_2 s_2 B_2, ...] [A_1; A_2; ...]
#include <algorithm>
#include <cmath>

#include "export/adapter_folder.h"
#include "export/hf_model.h"
#include "formats/safetensors.h"
#include "model/peft_config.h"
#include "store/store_layout.h"
#include "support/error.h"

namespace dlm {

namespace {

// f32, row-major, of one layer.
struct Factors {
  std::vector<float> a;  // [rank, in]
  std::vector<float> b;  // [out, rank]
  int64_t in = 0;
  int64_t out = 0;
};

struct Part {
  AdapterOnShapes loaded;
  double weight;
  int64_t rank;  // largest of its layers
};

Part open_part(const ModelConfig& config, const WeightedAdapter& source) {
  Part part{load_adapter(config, source.folder), source.weight, 0};
  LoraAdapter& adapter = *part.loaded.adapter;
  const std::string name = source.name.empty() ? "the adapter" : "adapter \"" + source.name + "\"";
  const bool is_dora = adapter.options().use_dora;
  if (is_dora || adapter.embedding() != nullptr || adapter.head() != nullptr) {
    throw Error(ErrorKind::kExport,
                name + (is_dora ? " is a DoRA" : " has modules that were trained whole") +
                    ", which is no sum of low-rank products",
                "export it alone and merged: --adapter NAME --merged",
                {source.folder.string(), 0, 0});
  }
  for (const auto& [module, lora] : adapter.layers()) part.rank = std::max(part.rank, lora->rank);
  return part;
}

// Puts a layer's own factors at column `at` of the combined rank `rank`.
void place(Factors& f, const Lora& lora, double weight, int64_t at, int64_t rank) {
  const auto scale = static_cast<float>(weight * static_cast<double>(lora.scale));
  if (!std::isfinite(scale)) {
    throw Error(ErrorKind::kUsage, "a weight of the mix is too large for 32-bit numbers",
                "give smaller weights");
  }
  std::copy_n(lora.a.value.f32(), lora.rank * f.in, f.a.begin() + at * f.in);
  const float* bt = lora.bt.value.f32();  // [rank, out]
  for (int64_t r = 0; r < lora.rank; ++r) {
    for (int64_t o = 0; o < f.out; ++o) {
      f.b[static_cast<size_t>(o * rank + at + r)] = scale * bt[r * f.out + o];
    }
  }
}

SafetensorsTensor view(const std::string& name, std::vector<int64_t> shape,
                       const std::vector<float>& numbers) {
  return {name, "F32", std::move(shape), std::as_bytes(std::span(numbers))};
}

}  // namespace

AdapterOnShapes load_adapter(const ModelConfig& config, const fs::path& folder) {
  AdapterOnShapes loaded;
  loaded.shapes = Decoder::shapes(config, DType::kF32);
  loaded.adapter = LoraAdapter::load(folder, *loaded.shapes);
  return loaded;
}

MixReport write_mixed_adapter(const ModelConfig& config,
                              const std::vector<WeightedAdapter>& sources, MixMethod method,
                              const std::string& base_name, const fs::path& out) {
  std::vector<Part> parts;
  MixReport report;
  int64_t exact_rank = 0;
  for (const WeightedAdapter& source : sources) {
    parts.push_back(open_part(config, source));
    exact_rank += parts.back().rank;
    report.rank = std::max(report.rank, parts.back().rank);
  }
  if (method == MixMethod::kConcatenate) report.rank = exact_rank;

  std::vector<std::string> modules;
  std::vector<std::pair<std::string, Factors>> layers;
  double cut = 0;
  double whole = 0;
  for (const auto& [module, weight] : parts.front().loaded.shapes->linear_layers()) {
    Factors f;
    f.out = weight->value.dim(0);
    f.in = weight->value.dim(1);
    int64_t at = 0;
    for (Part& part : parts) {
      if (const Lora* lora = part.loaded.adapter->find(module)) {
        if (f.a.empty()) {
          f.a.resize(static_cast<size_t>(exact_rank * f.in));
          f.b.resize(static_cast<size_t>(f.out * exact_rank));
        }
        place(f, *lora, part.weight, at, exact_rank);
      }
      at += part.rank;
    }
    if (f.a.empty()) continue;
    if (report.rank < exact_rank) {
      const auto [lost, all] = cut_to_rank(f.b, f.a, f.out, f.in, exact_rank, report.rank);
      cut += lost;
      whole += all;
      const double error = all > 0 ? std::sqrt(lost / all) : 0;
      if (error > report.largest_error) {
        report.largest_error = error;
        report.largest_layer = module;
      }
    }
    modules.push_back(module);
    layers.emplace_back(module, std::move(f));
  }
  report.relative_error = whole > 0 ? std::sqrt(cut / whole) : 0;

  std::vector<SafetensorsTensor> tensors;
  for (const auto& [module, f] : layers) {
    tensors.push_back(view(peft_key(module, "lora_A.weight"), {report.rank, f.in}, f.a));
    tensors.push_back(view(peft_key(module, "lora_B.weight"), {f.out, report.rank}, f.b));
  }
  LoraOptions options;
  options.rank = report.rank;
  options.alpha = static_cast<double>(report.rank);  // scale 1
  options.base_name = base_name;
  make_folders(out);
  write_safetensors(out / "adapter_model.safetensors", tensors, {{"format", "pt"}});
  write_file_atomic(out / "adapter_config.json", peft_config_json(options, modules).dump(2) + "\n");
  return report;
}

void copy_adapter(const fs::path& from, const fs::path& out, const std::string& base_name) {
  make_folders(out);
  const fs::path config = from / kAdapterConfigFile;
  Json json = parse_json(read_file(config), config.string());
  json.set("base_model_name_or_path", base_name);
  write_file_atomic(out / kAdapterConfigFile, json.dump(2) + "\n");
  copy_files(from, out, {kAdapterWeightsFile});
}

}  // namespace dlm
