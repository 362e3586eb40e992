// The weight of a linear layer with its adapter worked in, for programs that know no adapters.
#pragma once

#include "engine/cpu/kernels.h"
#include "engine/ops.h"

namespace dlm {

// W + scale B A, f32 [out, in]; with DoRA each row scaled to its magnitude: a product with the
// result is the layer's output without dropout and bias. weight f32 or bf16 [out, in].
Tensor merged_weight(const Tensor& weight, const Lora& lora, const Kernels& kernels);

}  // namespace dlm
