// A GGUF file, with a LoRA file beside it or none, as exported: sizes, rope, tokenizer, template
// and flags come from the file alone, and the model runs on its quantized blocks.
#pragma once

#include "export/exported_model.h"

namespace dlm {

class ExportedGguf : public ExportedModel {
 public:
  // `adapter` may be empty: none.
  ExportedGguf(fs::path model, fs::path adapter)
      : model_(std::move(model)), adapter_(std::move(adapter)) {}

  fs::path place() const override { return model_; }
  ModelConfig config() const override;
  LoadedModel load(DType dtype, Device& device) const override;
  std::vector<ProvedFile> files() const override;

 private:
  fs::path model_, adapter_;
};

}  // namespace dlm
