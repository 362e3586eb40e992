#include "model/merge.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace dlm {

void merge_row(float* row, int64_t out, const Lora& lora, const Kernels& kernels) {
  // One column of B^T in pieces, so that no memory is asked for; the sum over ranks keeps its
  // order.
  constexpr int64_t kPiece = 64;
  std::array<float, kPiece> b;
  const int64_t in = lora.a.value.dim(1);
  const int64_t width = lora.bt.value.dim(1);
  for (int64_t first = 0; first < lora.rank; first += kPiece) {
    const int64_t count = std::min(kPiece, lora.rank - first);
    for (int64_t r = 0; r < count; ++r) {
      b[static_cast<size_t>(r)] = lora.scale * lora.bt.value.f32()[(first + r) * width + out];
    }
    kernels.rank_expand(row, 1, in, in, b.data(), lora.a.value.f32() + first * in, in, count);
  }
  if (!lora.dora) return;
  const auto norm = static_cast<float>(std::sqrt(kernels.sum_of_squares(row, in)));
  const float scale = norm > 0 ? lora.dora->magnitude.value.f32()[out] / norm : 0.0f;
  for (int64_t i = 0; i < in; ++i) row[i] *= scale;
}

Tensor merged_weight(const Tensor& weight, const Lora& lora, const Kernels& kernels) {
  Tensor merged = weight.cast(DType::kF32);
  const int64_t in = weight.dim(1);
  for (int64_t j = 0; j < weight.dim(0); ++j) {
    merge_row(merged.mutable_f32() + j * in, j, lora, kernels);
  }
  return merged;
}

}  // namespace dlm
