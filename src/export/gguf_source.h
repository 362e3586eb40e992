// Rows of the weights that a GGUF model is made of: read from the checkpoint as they lie, widened
// to f32, with an adapter worked in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "engine/cpu/kernels.h"
#include "export/gguf_tensors.h"
#include "formats/ggml_type.h"
#include "formats/safetensors.h"
#include "model/decoder.h"

namespace dlm {

class GgufSource {
 public:
  // `adapter` may be an empty path; `adapter_weight` multiplies its scale. Throws Error(kBase) for
  // weights that do not fit config.json, and what LoraAdapter::load throws.
  GgufSource(const fs::path& base, const ModelConfig& config, const fs::path& adapter,
             double adapter_weight, const Kernels& kernels);

  // Whether the head differs from the embedding.
  bool has_own_head() const { return has_own_head_; }

  // One matrix (or vector) of a planned tensor.
  class Matrix {
   public:
    // Row `row` of the file's matrix, f32 [columns].
    void read(int64_t row, float* out) const;
    // The bytes of that row, where nothing but its place changes and `type` is how it is stored;
    // else empty.
    std::span<const std::byte> stored_row(int64_t row, GgmlType type) const;
    // Lets the pages of the checkpoint go.
    void release() const;

   private:
    friend class GgufSource;
    const GgufTensorPlan* plan_ = nullptr;
    Tensor weight_;
    const Lora* lora_ = nullptr;
    const Kernels* kernels_ = nullptr;
    std::shared_ptr<const MappedFile> file_;  // null: nothing to release
    std::span<const std::byte> mapped_;
  };
  // `index`: which of the plan's sources. The result refers to `plan` and to this.
  Matrix matrix(const GgufTensorPlan& plan, size_t index);

 private:
  const Parameter* trained_whole(WeightRole role);

  const ModelConfig& config_;
  const Kernels& kernels_;
  std::string folder_;
  SafetensorsSet set_;
  std::unique_ptr<Decoder> shapes_;
  std::unique_ptr<LoraAdapter> adapter_;  // null: none
  bool has_own_head_ = false;
};

}  // namespace dlm
