// AdamW over a list of parameters (Loshchilov and Hutter 2019), with global gradient clipping.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/exec.h"
#include "engine/parameter.h"

namespace dlm {

struct AdamWOptions {
  float beta1 = 0.9f;
  float beta2 = 0.999f;
  float eps = 1e-8f;
  float weight_decay = 0.0f;
  float max_grad_norm = 0.0f;  // 0: no clipping
};

class AdamW {
 public:
  // Decay applies to parameters of two dimensions when decay_matrices_only, else to all.
  AdamW(std::vector<Parameter*> parameters, AdamWOptions options, bool decay_matrices_only = false);

  // One update with the accumulated gradients, then zeroes them. Returns the gradient norm before
  // clipping; when it is not finite nothing is updated.
  double step(float learning_rate, Device& device);

  int64_t num_steps() const { return num_steps_; }
  const std::vector<Parameter*>& parameters() const { return parameters_; }
  // First and second moments, one f32 tensor per parameter, in order; for saving and resuming.
  std::vector<Tensor>& first_moments() { return first_; }
  std::vector<Tensor>& second_moments() { return second_; }
  void set_num_steps(int64_t steps) { num_steps_ = steps; }

 private:
  std::vector<Parameter*> parameters_;
  AdamWOptions options_;
  bool decay_matrices_only_;
  std::vector<Tensor> first_;
  std::vector<Tensor> second_;
  int64_t num_steps_ = 0;
};

}  // namespace dlm
