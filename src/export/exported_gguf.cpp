#include "export/exported_gguf.h"

#include "formats/gguf.h"
#include "infer/session.h"
#include "model/gguf_config.h"
#include "model/gguf_vocabulary.h"

namespace dlm {

ModelConfig ExportedGguf::config() const {
  return gguf_model_config(GgufFile::open(model_));
}

LoadedModel ExportedGguf::load(DType dtype, Device& device) const {
  const GgufFile file = GgufFile::open(model_);
  for (const GgufTensor& tensor : file.tensors()) {
    if (tensor.shape.empty() || tensor.type == GgmlType::kI32) continue;
    check_rows_finite(tensor.type, tensor.bytes, tensor.shape.back(), tensor.name, model_, device);
  }
  LoadedModel loaded;
  loaded.decoder = Decoder::load_gguf(file, dtype);
  loaded.format =
      std::make_unique<ChatFormat>(ChatFormat::from_vocabulary(gguf_vocabulary(file), model_));
  check_vocabulary(loaded.format->tokenizer(), loaded.decoder->config(), model_);
  if (!adapter_.empty()) {
    loaded.adapter = LoraAdapter::load_gguf(GgufFile::open(adapter_), *loaded.decoder);
  }
  return loaded;
}

std::vector<ProvedFile> ExportedGguf::files() const {
  if (!written_.empty()) return written_;
  std::vector<std::string> names = {model_.filename().string()};
  if (!adapter_.empty()) names.push_back(adapter_.filename().string());
  return proved_files(model_.parent_path(), names);
}

}  // namespace dlm
