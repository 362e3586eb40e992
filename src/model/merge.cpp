#include "model/merge.h"

#include <cmath>

namespace dlm {

Tensor merged_weight(const Tensor& weight, const Lora& lora, const Kernels& kernels) {
  const int64_t out = weight.dim(0);
  const int64_t in = weight.dim(1);
  Tensor merged = weight.cast(DType::kF32);
  const float* bt = lora.bt.value.f32();
  std::vector<float> b(static_cast<size_t>(lora.rank));
  for (int64_t j = 0; j < out; ++j) {
    float* row = merged.mutable_f32() + j * in;
    for (int64_t r = 0; r < lora.rank; ++r) {
      b[static_cast<size_t>(r)] = lora.scale * bt[r * out + j];
    }
    kernels.rank_expand(row, 1, in, in, b.data(), lora.a.value.f32(), in, lora.rank);
    if (!lora.dora) continue;
    const auto norm = static_cast<float>(std::sqrt(kernels.sum_of_squares(row, in)));
    const float scale = norm > 0 ? lora.dora->magnitude.value.f32()[j] / norm : 0.0f;
    for (int64_t i = 0; i < in; ++i) row[i] *= scale;
  }
  return merged;
}

}  // namespace dlm
