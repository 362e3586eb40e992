// Folders in the layout of transformers and PEFT, as exported: merged weights, and adapters on a
// base as vLLM serves them.
#pragma once

#include "export/exported_model.h"

namespace dlm {

// Merged safetensors with configuration, tokenizer and chat template of the same folder.
class ExportedHf : public ExportedModel {
 public:
  explicit ExportedHf(fs::path folder) : folder_(std::move(folder)) {}

  fs::path place() const override { return folder_; }
  ModelConfig config() const override;
  LoadedModel load(DType dtype, Device& device) const override;
  std::vector<ProvedFile> files() const override;

 private:
  fs::path folder_;
};

// One LoRA module of a folder for vLLM, on the base that its settings name: "base" in the folder,
// else `named_base`, the files of the hub's base on this machine. What vLLM does not read of an
// adapter (patterns, magnitudes, whole modules) is refused, and a rank above its limit.
class ExportedVllm : public ExportedModel {
 public:
  ExportedVllm(fs::path folder, std::string module, fs::path named_base)
      : folder_(std::move(folder)),
        module_(std::move(module)),
        named_base_(std::move(named_base)) {}

  fs::path place() const override { return folder_; }
  ModelConfig config() const override;
  LoadedModel load(DType dtype, Device& device) const override;
  std::vector<ProvedFile> files() const override;

 private:
  fs::path base() const;
  std::string module_path() const;

  fs::path folder_;
  std::string module_;
  fs::path named_base_;
};

// A base's folder as files hold it: no adapter, weights looked at for numbers that are not finite.
LoadedModel load_base_folder(const fs::path& folder, DType dtype, Device& device);

// Where two adapters of one base differ, in a sentence: layers, scales and every number, bit for
// bit. "" where they do not.
std::string adapter_difference(LoraAdapter& trained, LoraAdapter& exported);

}  // namespace dlm
