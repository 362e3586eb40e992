// Logits without a loss.
#pragma once

#include <cstdint>

#include "engine/parameter.h"

namespace dlm {

// logits[i, v] = lines[i] . head[v]: lines T [count, hidden], head T [vocab, hidden], logits f32
// [count, vocab]. The head is not quantized, or bf16 as it is stored where gemm_widens_bf16(). On
// the calling thread.
template <class T>
void project_to_vocabulary(const T* lines, int64_t count, const Parameter& head, float* logits);

}  // namespace dlm
