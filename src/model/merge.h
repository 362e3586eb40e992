// The weight of a linear layer with its adapter worked in, for programs that know no adapters.
#pragma once

#include <cstdint>

#include "engine/cpu/kernels.h"
#include "engine/ops.h"

namespace dlm {

// Makes of row `out`, f32 [in], of W the same row of W + scale B A; with DoRA scaled to the row's
// magnitude. The bits are the same on every instruction set.
void merge_row(float* row, int64_t out, const Lora& lora, const Kernels& kernels);

// All rows: a product with the result is the layer's output without dropout and bias. weight f32 or
// bf16 [out, in]; the result is f32.
Tensor merged_weight(const Tensor& weight, const Lora& lora, const Kernels& kernels);

}  // namespace dlm
