#include "engine/parameter.h"

#include <cstring>

namespace dlm {

void Parameter::make_trainable() {
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
