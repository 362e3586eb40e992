// An adapter in MLX's layout on its base, as exported and as mlx_lm loads it.
#pragma once

#include "export/exported_model.h"

namespace dlm {

class ExportedMlx : public ExportedModel {
 public:
  // `module` is the adapter's folder below `folder`. The base is "base" there, or else
  // `named_base`, the files of the hub's base on this machine.
  ExportedMlx(fs::path folder, std::string module, fs::path named_base)
      : folder_(std::move(folder)),
        module_(std::move(module)),
        named_base_(std::move(named_base)) {}

  fs::path place() const override { return folder_; }
  ModelConfig config() const override;
  LoadedModel load(DType dtype, Device& device) const override;
  std::vector<ProvedFile> files() const override;

 private:
  fs::path base() const;

  fs::path folder_;
  std::string module_;
  fs::path named_base_;
};

// adapter_config.json and adapters.safetensors of `folder`. Layers come to be as in mlx_lm: those
// of the last `num_layers` whose name within the layer is in `keys`, with y + scale (x A) B, A [in,
// rank], B [rank, out]. Throws Error(kFormat) for a tensor that no such layer takes, which mlx_lm
// would leave out without a word, and for one of another shape.
std::unique_ptr<LoraAdapter> load_mlx_adapter(const fs::path& folder, Decoder& decoder);

}  // namespace dlm
