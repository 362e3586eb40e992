// A decoder from a GGUF file. Matrices stay in the file's blocks, mapped; only the rows of queries
// and keys are copied, where their order is another.

#include "formats/ggml_blocks.h"
#include "model/decoder.h"
#include "model/gguf_config.h"
#include "model/gguf_weights.h"

namespace dlm {

std::unique_ptr<Decoder> Decoder::load_gguf(const GgufFile& file, DType dtype, Device& device) {
  std::unique_ptr<Decoder> decoder(new Decoder);
  decoder->config_ = gguf_model_config(file);
  decoder->dtype_ = dtype;
  const ModelConfig& config = decoder->config_;
  const std::vector<WeightSlot> slots = decoder->slots();
  check_no_extra_weights(file, slots, config);
  for (const WeightSlot& slot : slots) {
    slot.parameter->name = slot.name;
    if (!slot.is_matrix()) {
      slot.parameter->value = load_gguf_vector(file, slot, config);
      continue;
    }
    const GgufWeight weight = find_gguf_weight(file, slot, config);
    Tensor values = Tensor::zeros(slot.shape, DType::kF32);
    const int64_t cols = slot.shape[1];
    const auto row_bytes = static_cast<size_t>(ggml_row_bytes(weight.type, cols));
    device.pool().run(slot.shape[0], [&](int64_t r, int) {
      ggml_dequantize_row(weight.type, weight.bytes.data() + static_cast<size_t>(r) * row_bytes,
                          cols, values.mutable_f32() + r * cols);
    });
    slot.parameter->value = dtype == DType::kF32 ? values : values.cast(dtype);
  }
  return decoder;
}

}  // namespace dlm
