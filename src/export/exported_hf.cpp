#include "export/exported_hf.h"

#include <cstring>

#include "export/vllm.h"
#include "formats/safetensors.h"
#include "infer/session.h"
#include "model/peft_config.h"
#include "store/store_layout.h"
#include "support/error.h"
#include "support/json.h"

namespace dlm {

namespace {

void check_weights_finite(const fs::path& folder, Device& device) {
  const SafetensorsSet set = SafetensorsSet::open(folder);
  for (const SafetensorsFile& file : set.files()) {
    for (const SafetensorsTensor& t : file.tensors()) {
      const bool is_number = t.dtype == "F32" || t.dtype == "F16" || t.dtype == "BF16";
      if (!is_number || t.shape.empty()) continue;
      const GgmlType type = t.dtype == "F32"   ? GgmlType::kF32
                            : t.dtype == "F16" ? GgmlType::kF16
                                               : GgmlType::kBF16;
      check_rows_finite(type, t.bytes, t.shape.back(), t.name, file.path(), device);
      file.file()->release(t.bytes);
    }
  }
}

Json vllm_settings(const fs::path& folder) {
  const fs::path path = folder / kVllmConfig;
  return parse_json(read_file(path), path.string());
}

}  // namespace

LoadedModel load_base_folder(const fs::path& folder, DType dtype, Device& device) {
  check_weights_finite(folder, device);
  LoadedModel loaded;
  loaded.decoder = Decoder::load(folder, dtype);
  loaded.format = std::make_unique<ChatFormat>(ChatFormat::load(folder));
  check_vocabulary(loaded.format->tokenizer(), loaded.decoder->config(), folder);
  return loaded;
}

ModelConfig ExportedHf::config() const {
  return load_model_config(folder_);
}

LoadedModel ExportedHf::load(DType dtype, Device& device) const {
  return load_base_folder(folder_, dtype, device);
}

std::vector<ProvedFile> ExportedHf::files() const {
  std::vector<std::string> names = {"config.json"};
  const SafetensorsSet set = SafetensorsSet::open(folder_);
  for (const SafetensorsFile& file : set.files()) {
    names.push_back(file.path().filename().string());
  }
  return proved_files(folder_, names);
}

fs::path ExportedVllm::base() const {
  return vllm_settings(folder_).at("model").as_string() == "base" ? folder_ / "base" : named_base_;
}

std::string ExportedVllm::module_path() const {
  const Json settings = vllm_settings(folder_);
  for (const Json& module : settings.at("lora_modules").items()) {
    if (module.at("name").as_string() == module_) return module.at("path").as_string();
  }
  throw Error(ErrorKind::kFormat, "there is no LoRA module \"" + module_ + "\"", "export it again",
              {(folder_ / kVllmConfig).string(), 0, 0});
}

ModelConfig ExportedVllm::config() const {
  return load_model_config(base());
}

LoadedModel ExportedVllm::load(DType dtype, Device& device) const {
  const fs::path adapter = folder_ / module_path();
  const LoraOptions options = read_peft_config(adapter / kAdapterConfigFile);
  const char* unread = !options.rank_pattern.empty() || !options.alpha_pattern.empty()
                           ? "ranks or scales of single layers"
                       : options.use_dora                 ? "DoRA's magnitudes"
                       : !options.modules_to_save.empty() ? "modules that were trained whole"
                                                          : nullptr;
  if (unread != nullptr) {
    throw Error(ErrorKind::kFormat, std::string("vLLM does not read ") + unread, "export it again",
                {(adapter / kAdapterConfigFile).string(), 0, 0});
  }
  if (options.rank > vllm_settings(folder_).at("max_lora_rank").as_int()) {
    throw Error(ErrorKind::kFormat, "the adapter's rank is above max_lora_rank", "export it again",
                {(folder_ / kVllmConfig).string(), 0, 0});
  }
  LoadedModel loaded = load_base_folder(base(), dtype, device);
  loaded.adapter = LoraAdapter::load(adapter, *loaded.decoder);
  return loaded;
}

std::vector<ProvedFile> ExportedVllm::files() const {
  const std::string path = module_path();
  return proved_files(folder_, {path + "/" + kAdapterConfigFile, path + "/" + kAdapterWeightsFile});
}

std::string adapter_difference(LoraAdapter& trained, LoraAdapter& exported) {
  const auto layers = trained.layers();
  if (layers.size() != exported.layers().size()) return "it adapts other layers";
  for (const auto& [module, lora] : layers) {
    const Lora* other = exported.find(module);
    if (other == nullptr) return "it does not adapt " + module;
    if (other->scale != lora->scale) return "another scale of " + module;
  }
  const std::vector<Parameter*> ours = trained.parameters();
  const std::vector<Parameter*> theirs = exported.parameters();
  if (ours.size() != theirs.size()) return "it trains other modules whole";
  for (size_t i = 0; i < ours.size(); ++i) {
    const auto size = static_cast<size_t>(ours[i]->value.numel()) * sizeof(float);
    if (ours[i]->name != theirs[i]->name || ours[i]->value.shape() != theirs[i]->value.shape() ||
        std::memcmp(ours[i]->f32_elements(), theirs[i]->f32_elements(), size) != 0) {
      return "other numbers in " + ours[i]->name;
    }
  }
  return "";
}

}  // namespace dlm
