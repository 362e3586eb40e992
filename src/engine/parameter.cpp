#include "engine/parameter.h"

#include <cstring>

#include "engine/cpu/gemm.h"
#include "support/error.h"

namespace dlm {

void Parameter::quantize(const Tensor& stored, QuantFormat format, const Kernels& kernels,
                         ThreadPool& pool, Arena& arena) {
  check(!trains, "quantize: the weight trains");
  check(stored.shape() == value.shape(), "quantize: not the weights of this parameter");
  quantized = QuantizedMatrix::quantize(stored, format, name, kernels, pool, arena);
  value = Tensor::shape_only(value.shape(), value.dtype());
}

std::optional<WeightRows> Parameter::rows_as_they_lie() const {
  if (quantized == nullptr) {
    return WeightRows{static_cast<const std::byte*>(value.data()), value.dtype()};
  }
  const BF16* rows = quantized->bf16_rows();
  const bool fits = value.dtype() == DType::kBF16 || gemm_widens_bf16();
  if (rows == nullptr || !fits) return std::nullopt;
  return WeightRows{reinterpret_cast<const std::byte*>(rows), DType::kBF16};
}

void Parameter::make_trainable() {
  check(quantized == nullptr, "a quantized weight cannot train");
  trains = true;
  if (grad.empty()) grad = Tensor::zeros(value.shape(), DType::kF32);
  if (value.dtype() == DType::kF32) {
    if (value.owned_bytes() == 0) value = value.cast(DType::kF32);
  } else {
    if (master.empty()) {
      master = value.cast(DType::kF32);
    } else if (master.owned_bytes() == 0) {
      master = master.cast(DType::kF32);
    }
    value = value.cast(DType::kBF16);
  }
}

void Parameter::publish() {
  ++version;
  if (master.empty()) return;
  auto* out = static_cast<BF16*>(value.mutable_data());
  const float* in = master.f32();
  for (int64_t i = 0; i < value.numel(); ++i) out[i] = to_bf16(in[i]);
}

}  // namespace dlm
