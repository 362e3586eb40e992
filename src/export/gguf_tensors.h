// Which tensors the GGUF file of a base holds, in the order of the file, and what is done to each
// on the way: heads reordered for the run time's rotary layout, factors folded in, experts stacked.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/config.h"
#include "model/weights.h"

namespace dlm {

struct GgufTensorPlan {
  std::string name;
  std::vector<int64_t> shape;  // row-major
  // Checkpoint weights, one for each matrix of a stack. Empty: `values` are the elements.
  std::vector<WeightSlot> sources;
  std::vector<float> values;
  // Above 0: rows are reordered inside of each of so many heads (source_row).
  int64_t rotary_heads = 0;
  float factor = 1.0f;  // multiplies every element

  int64_t rows_per_matrix() const { return shape.size() < 2 ? 1 : shape[shape.size() - 2]; }
  int64_t columns() const { return shape.back(); }
  // The row of the checkpoint's matrix that becomes `row`. The checkpoint pairs element i of a head
  // with element i + d/2 for rotation, the run time's llama layout neighbours 2i and 2i + 1.
  int64_t source_row(int64_t row) const;
};

// `has_own_head`: whether the head differs from the embedding. Sorted as the format's quantizing
// tool sorts: tensors of no layer first, then by layer, then by name. Throws Error(kBase) that
// names what of the model a GGUF file of its architecture cannot say.
std::vector<GgufTensorPlan> plan_gguf_tensors(const ModelConfig& config, bool has_own_head);

}  // namespace dlm
