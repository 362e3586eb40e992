// What an export wrote, as the program that serves it would load it: the other side of a proof.
// Each kind of files has a reader of its own, which knows nothing of how they were written.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "data/chat_format.h"
#include "formats/ggml_type.h"
#include "model/decoder.h"
#include "model/lora.h"
#include "support/file.h"

namespace dlm {

struct LoadedModel {
  std::unique_ptr<Decoder> decoder;
  std::unique_ptr<LoraAdapter> adapter;  // null: none, or worked in
  std::unique_ptr<ChatFormat> format;
};

struct ProvedFile {
  std::string path;  // within the export
  std::string sha256;
};

class ExportedModel {
 public:
  virtual ~ExportedModel() = default;
  // For messages.
  virtual fs::path place() const = 0;
  // What the files say of the model; reads no weight.
  virtual ModelConfig config() const = 0;
  // `dtype` is what the model computes in. Throws Error(kFormat, kBase or kInference) naming the
  // file for what cannot be run, a number that is not finite included.
  virtual LoadedModel load(DType dtype, Device& device) const = 0;
  // Those that hold weights or say how they are used.
  virtual std::vector<ProvedFile> files() const = 0;
};

// Throws Error(kFormat) for rows of `cols` numbers of which one is not finite: a model of them
// would answer with nothing but such numbers.
void check_rows_finite(GgmlType type, std::span<const std::byte> bytes, int64_t cols,
                       const std::string& tensor, const fs::path& file, Device& device);

// Digests of `paths` below `folder`.
std::vector<ProvedFile> proved_files(const fs::path& folder, const std::vector<std::string>& paths);

}  // namespace dlm
