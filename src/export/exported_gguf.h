// A GGUF file, with a LoRA file beside it or none, as exported: sizes, rope, tokenizer, template
// and flags come from the file alone, and the model runs on its quantized blocks.
#pragma once

#include "export/exported_model.h"

namespace dlm {

class ExportedGguf : public ExportedModel {
 public:
  // `adapter` may be empty: none. `written` are the digests of both where whoever wrote them just
  // now knows them; else the files are read for them.
  ExportedGguf(fs::path model, fs::path adapter, std::vector<ProvedFile> written = {})
      : model_(std::move(model)), adapter_(std::move(adapter)), written_(std::move(written)) {}

  fs::path place() const override { return model_; }
  ModelConfig config() const override;
  LoadedModel load(DType dtype, Device& device) const override;
  std::vector<ProvedFile> files() const override;

 private:
  fs::path model_, adapter_;
  std::vector<ProvedFile> written_;
};

}  // namespace dlm
