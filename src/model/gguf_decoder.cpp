// A decoder from a GGUF file. Matrices stay in the file's blocks, mapped; only the rows of queries
// and keys are copied, where their order is another.

#include "model/decoder.h"
#include "model/gguf_config.h"
#include "model/gguf_weights.h"

namespace dlm {

namespace {

std::optional<DType> plain_type(GgmlType type) {
  if (type == GgmlType::kF32) return DType::kF32;
  if (type == GgmlType::kBF16) return DType::kBF16;
  return std::nullopt;
}

// Gives the bytes that stay those of the file; none when they were copied.
std::span<const std::byte> load_matrix(const GgufFile& file, const WeightSlot& slot,
                                       const ModelConfig& config, DType dtype) {
  const GgufWeight weight = find_gguf_weight(file, slot, config);
  const std::byte* data = weight.bytes.data();
  std::shared_ptr<const void> owner = file.file();
  std::span<const std::byte> used;
  if (weight.owned != nullptr) {
    owner = weight.owned;
  } else if (reinterpret_cast<uintptr_t>(data) % sizeof(float) != 0) {
    // Only a file that asks for it is laid out so.
    const auto copy =
        std::make_shared<const std::vector<std::byte>>(weight.bytes.begin(), weight.bytes.end());
    data = copy->data();
    owner = copy;
  } else {
    used = weight.bytes;
  }
  Parameter& p = *slot.parameter;
  if (plain_type(weight.type) == dtype) {
    p.value = Tensor::view(slot.shape, dtype, data, std::move(owner));
    return used;
  }
  p.value = Tensor::shape_only(slot.shape, dtype);
  p.quantized = QuantizedMatrix::from_blocks(weight.type, slot.shape[0], slot.shape[1], data,
                                             std::move(owner));
  return used;
}

}  // namespace

std::unique_ptr<Decoder> Decoder::load_gguf(const GgufFile& file, DType dtype) {
  std::unique_ptr<Decoder> decoder(new Decoder);
  decoder->config_ = gguf_model_config(file);
  decoder->dtype_ = dtype;
  const ModelConfig& config = decoder->config_;
  const std::vector<WeightSlot> slots = decoder->slots();
  check_no_extra_weights(file, slots, config);
  for (const WeightSlot& slot : slots) {
    slot.parameter->name = slot.name;
    if (slot.is_matrix()) {
      const std::span<const std::byte> used = load_matrix(file, slot, config, dtype);
      if (file.file() != nullptr && !used.empty()) decoder->mapped_.emplace_back(file.file(), used);
    } else {
      slot.parameter->value = load_gguf_vector(file, slot, config);
    }
  }
  return decoder;
}

}  // namespace dlm
