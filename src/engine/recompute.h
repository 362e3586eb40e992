// What the backward pass computes again instead of keeping (Chen et al. 2016, "Training Deep Nets
// with Sublinear Memory Cost"). Running an operation's forward pass twice gives the same bytes, so
// the choice changes memory and time, never a result.
#pragma once

#include <cstdint>
#include <vector>

namespace dlm {

class Graph;
class Op;

enum class Recompute : uint8_t {
  kNothing,
  kCheap,   // outputs of norms and activations: nearly no time
  kLayers,  // everything between two checkpoints: about a third more time
};

const char* recompute_name(Recompute recompute);

// One entry of the backward pass: an operation's backward(), or its forward() once more.
struct BackwardStep {
  const Op* op = nullptr;
  bool is_forward = false;
};

// Whether each value is dropped after its last use in the forward pass and computed again. The
// graph's writers and checkpoints must be complete.
std::vector<bool> values_to_recompute(const Graph& graph, Recompute recompute);

// The backward pass: each operation whose writes require gradients, from the last to the first;
// what it saves and was dropped is computed just before.
std::vector<BackwardStep> backward_steps(const Graph& graph, const std::vector<bool>& dropped);

}  // namespace dlm
