// Logits without a loss.
#pragma once

#include <cstdint>

#include "engine/tensor.h"

namespace dlm {

// logits[i, v] = lines[i] . head[v]: lines T [count, hidden], head T [vocab, hidden], logits f32
// [count, vocab]. On the calling thread.
template <class T>
void project_to_vocabulary(const T* lines, int64_t count, const Tensor& head, float* logits);

}  // namespace dlm
