// Row norms of a DoRA layer (Liu et al. 2024): what its outputs are scaled by. They depend on
// weights only, so they are computed once per change of the weights, not once per batch.
#pragma once

#include "engine/exec.h"
#include "engine/ops.h"

namespace dlm {

// ||W_j|| of each row, [out]; weight f32, bf16 or quantized [out, in]. On the calling thread.
std::vector<float> row_norms(const Parameter& weight, const Kernels& kernels);

// Brings lora.dora's row_norm and row_scale up to date with the parameters' versions; does nothing
// when they are. ||W_j + s B_j A||^2 = ||W_j||^2 + 2 s B_j (A W_j^T) + s^2 B_j (A A^T) B_j^T, so
// that W is read once and no matrix of its size is made; products are f32, the three terms are
// added in f64.
void refresh_row_scale(Lora& lora, const Parameter& weight, Device& device);

}  // namespace dlm
