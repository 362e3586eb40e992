// Adds the instance of an operation that computes in the graph's activation type.
#pragma once

#include <memory>
#include <utility>

#include "engine/graph.h"

namespace dlm {

template <template <class> class OpT, class... Args>
void add_typed(Graph& graph, DType dtype, Args&&... args) {
  if (dtype == DType::kBF16) {
    graph.add_op(std::make_unique<OpT<BF16>>(std::forward<Args>(args)...));
  } else {
    graph.add_op(std::make_unique<OpT<float>>(std::forward<Args>(args)...));
  }
}

}  // namespace dlm
