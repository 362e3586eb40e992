// How fast this machine runs the matrix products of one training step when nothing else is done:
// the roof that a training step is held against. Its numbers are speeds; what it multiplies is
// thrown away.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/cpu/packed_gemm.h"
#include "engine/exec.h"
#include "model/decoder.h"

namespace dlm {

// One product of the step with a frozen weight [out, in].
struct RoofProduct {
  const Parameter* weight = nullptr;
  bool is_input_gradient = false;  // dx = dy W, else y = x W^T
  int64_t inner() const { return weight->value.dim(is_input_gradient ? 0 : 1); }
  int64_t outer() const { return weight->value.dim(is_input_gradient ? 1 : 0); }
};

// The products of a step with an adapter on every linear layer: all forward ones, the head
// included, and all input gradients but those of the lowest layer's q, k and v, below which nothing
// trains.
std::vector<RoofProduct> step_products(Decoder& decoder);

struct RoofSetting {
  bool packed = false;  // weights reordered once, else in the file's layout
  int64_t tile_tokens = 128;
};

class GemmRoof {
 public:
  // Tries tiles of 128, 256 and 512 tokens in both layouts on a part of the products and keeps the
  // fastest setting. Packed copies are tried only while they fit into half of `free_bytes`.
  GemmRoof(std::vector<RoofProduct> products, int64_t tokens, DType dtype, Device& device,
           uint64_t free_bytes);

  // Runs all products once; returns the seconds that it took.
  double run();
  double flops() const;
  const RoofSetting& setting() const { return setting_; }

 private:
  struct Task {
    size_t product;
    size_t packed;  // index in packed_
    int64_t first, count, col, cols;
  };

  void choose(uint64_t free_bytes);
  // Makes the tasks of the first num_products products, and their packed weights.
  void prepare(const RoofSetting& setting, size_t num_products);
  double run_tasks();
  const std::byte* input_lines(const Task& task) const;

  std::vector<RoofProduct> products_;
  int64_t tokens_;
  DType dtype_;
  Device& device_;
  RoofSetting setting_;
  Tensor inputs_;                // random numbers that stand for activations and gradients
  std::vector<Tensor> outputs_;  // one tile a worker
  std::vector<Task> tasks_;
  std::vector<PackedMatrix> packed_;
};

}  // namespace dlm
