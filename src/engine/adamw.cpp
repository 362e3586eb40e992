#include "engine/adamw.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace dlm {

namespace {
// Work is split at multiples of this many elements, so sums have the same parts at any thread
// count.
constexpr int64_t kSlice = 65536;

// base^exponent by squaring; pow() of a library may round differently from version to version.
double power(float base, int64_t exponent) {
  double result = 1.0;
  for (double square = static_cast<double>(base); exponent > 0; exponent /= 2) {
    if (exponent % 2 == 1) result *= square;
    square *= square;
  }
  return result;
}

struct Slice {
  size_t parameter;
  int64_t first;
  int64_t count;
};
}  // namespace

AdamW::AdamW(std::vector<Parameter*> parameters, AdamWOptions options, bool decay_matrices_only)
    : parameters_(std::move(parameters)),
      options_(options),
      decay_matrices_only_(decay_matrices_only) {
  for (const Parameter* p : parameters_) {
    first_.push_back(Tensor::zeros(p->value.shape(), DType::kF32));
    second_.push_back(Tensor::zeros(p->value.shape(), DType::kF32));
  }
}

double AdamW::step(float learning_rate, Device& device) {
  std::vector<Slice> slices;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const int64_t n = parameters_[i]->value.numel();
    for (int64_t first = 0; first < n; first += kSlice) {
      slices.push_back({i, first, std::min(kSlice, n - first)});
    }
  }
  const auto num_slices = static_cast<int64_t>(slices.size());
  std::vector<double> squares(slices.size());
  device.pool().run(num_slices, [&](int64_t task, int) {
    const Slice& s = slices[static_cast<size_t>(task)];
    squares[static_cast<size_t>(task)] = device.kernels().sum_of_squares(
        parameters_[s.parameter]->grad.mutable_f32() + s.first, s.count);
  });
  double total = 0;
  for (const double s : squares) total += s;
  const double norm = std::sqrt(total);
  if (!std::isfinite(norm)) return norm;

  float grad_scale = 1.0f;
  if (options_.max_grad_norm > 0 && norm > static_cast<double>(options_.max_grad_norm)) {
    grad_scale = static_cast<float>(static_cast<double>(options_.max_grad_norm) / norm);
  }
  ++num_steps_;
  const auto bias1 = static_cast<float>(1.0 - power(options_.beta1, num_steps_));
  const auto bias2 = static_cast<float>(1.0 - power(options_.beta2, num_steps_));
  device.pool().run(num_slices, [&](int64_t task, int) {
    const Slice& s = slices[static_cast<size_t>(task)];
    Parameter& p = *parameters_[s.parameter];
    const bool decays = !decay_matrices_only_ || p.value.shape().size() == 2;
    float* w = p.trained_elements() + s.first;
    device.kernels().adamw(w, p.grad.mutable_f32() + s.first,
                           first_[s.parameter].mutable_f32() + s.first,
                           second_[s.parameter].mutable_f32() + s.first, s.count, learning_rate,
                           options_.beta1, options_.beta2, options_.eps,
                           decays ? options_.weight_decay : 0.0f, bias1, bias2, grad_scale);
    if (!p.master.empty()) {
      device.kernels().bf16.from_f32(w, s.count,
                                     static_cast<BF16*>(p.value.mutable_data()) + s.first);
    }
    std::memset(p.grad.mutable_f32() + s.first, 0, static_cast<size_t>(s.count) * sizeof(float));
  });
  for (Parameter* p : parameters_) ++p->version;
  return norm;
}

}  // namespace dlm
