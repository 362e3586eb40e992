// Norms of values of activation type (queries and keys by head, outputs of sublayers) and the copy
// of the residual stream for sublayers that read it without a norm.

#include <vector>

#include "engine/exec.h"
#include "engine/ops.h"
#include "engine/ops/add_typed.h"
#include "support/error.h"

namespace dlm {

namespace {

template <class T>
class HeadNormOp : public Op {
 public:
  HeadNormOp(ValueId x, int64_t num_heads, Parameter* weight, float eps, ValueId y, ValueId rstd)
      : x_(x),
        num_heads_(num_heads),
        weight_(weight),
        eps_(eps),
        y_(y),
        rstd_(rstd),
        cols_(weight->value.dim(0)) {}
  std::string name() const override { return "head_norm"; }
  std::vector<ValueId> reads() const override { return {x_}; }
  std::vector<ValueId> writes() const override { return {y_, rstd_}; }
  std::vector<ValueId> saves() const override { return {x_, rstd_}; }

  void forward(Exec& exec) const override {
    exec.for_token_blocks([&](int64_t first, int64_t count, int) {
      for (int64_t h = first * num_heads_; h < (first + count) * num_heads_; ++h) {
        exec.data<float>(rstd_)[h] =
            exec.rows<T>().value_norm(exec.data<T>(x_) + h * cols_, weight_->value.f32(), eps_,
                                      cols_, exec.data<T>(y_) + h * cols_);
      }
    });
  }

  void backward(Exec& exec) const override {
    exec.for_token_blocks([&](int64_t first, int64_t count, int) {
      for (int64_t h = first * num_heads_; h < (first + count) * num_heads_; ++h) {
        exec.rows<T>().value_norm_backward(
            exec.grad<T>(y_) + h * cols_, exec.data<T>(x_) + h * cols_, weight_->value.f32(),
            exec.data<float>(rstd_)[h], cols_, exec.grad<T>(x_) + h * cols_);
      }
    });
  }

 private:
  ValueId x_;
  int64_t num_heads_;
  Parameter* weight_;
  float eps_;
  ValueId y_;
  ValueId rstd_;
  int64_t cols_;
};

template <class T>
class RmsNormAddOp : public Op {
 public:
  RmsNormAddOp(ValueId x, Parameter* weight, float eps, ValueId residual, ValueId y, ValueId rstd)
      : x_(x),
        weight_(weight),
        eps_(eps),
        residual_(residual),
        y_(y),
        rstd_(rstd),
        cols_(weight->value.dim(0)) {}
  std::string name() const override { return "rmsnorm_add"; }
  std::vector<ValueId> reads() const override { return {x_, residual_}; }
  std::vector<ValueId> writes() const override { return {y_, rstd_}; }
  std::vector<ValueId> saves() const override { return {x_, rstd_}; }

  void forward(Exec& exec) const override {
    exec.for_token_blocks([&](int64_t first, int64_t count, int) {
      for (int64_t t = first; t < first + count; ++t) {
        exec.data<float>(rstd_)[t] = exec.rows<T>().rmsnorm_add(
            exec.data<T>(x_) + t * cols_, weight_->value.f32(), eps_, cols_,
            exec.data<float>(residual_) + t * cols_, exec.data<float>(y_) + t * cols_);
      }
    });
  }

  // The residual's own gradient is already in the buffer that all residual values share.
  void backward(Exec& exec) const override {
    if (!exec.graph().requires_grad(x_)) return;
    exec.for_token_blocks([&](int64_t first, int64_t count, int) {
      for (int64_t t = first; t < first + count; ++t) {
        exec.rows<T>().rmsnorm_add_backward(
            exec.grad<float>(y_) + t * cols_, exec.data<T>(x_) + t * cols_, weight_->value.f32(),
            exec.data<float>(rstd_)[t], cols_, exec.grad<T>(x_) + t * cols_);
      }
    });
  }

 private:
  ValueId x_;
  Parameter* weight_;
  float eps_;
  ValueId residual_;
  ValueId y_;
  ValueId rstd_;
  int64_t cols_;
};

template <class T>
class NarrowOp : public Op {
 public:
  NarrowOp(ValueId x, ValueId y, int64_t cols) : x_(x), y_(y), cols_(cols) {}
  std::string name() const override { return "narrow"; }
  bool is_cheap() const override { return true; }
  std::vector<ValueId> reads() const override { return {x_}; }
  std::vector<ValueId> writes() const override { return {y_}; }
  std::vector<ValueId> saves() const override { return {}; }

  void forward(Exec& exec) const override {
    exec.for_token_blocks([&](int64_t first, int64_t count, int) {
      exec.rows<T>().from_f32(exec.data<float>(x_) + first * cols_, count * cols_,
                              exec.data<T>(y_) + first * cols_);
    });
  }
  void backward(Exec& exec) const override {
    exec.for_token_blocks([&](int64_t first, int64_t count, int) {
      exec.rows<T>().add_to_f32(exec.grad<T>(y_) + first * cols_, count * cols_,
                                exec.grad<float>(x_) + first * cols_);
    });
  }

 private:
  ValueId x_;
  ValueId y_;
  int64_t cols_;
};

}  // namespace

ValueId head_norm(Graph& graph, ValueId x, int64_t num_heads, Parameter* weight, float eps,
                  DType dtype) {
  check(!weight->trains, "head_norm: its weight is frozen");
  check(num_heads * weight->value.dim(0) == graph.cols(x),
        "head_norm: heads do not fill the value");
  const ValueId y = graph.add_value(weight->name, graph.cols(x), dtype);
  const ValueId rstd = graph.add_value(weight->name + " rstd", num_heads, DType::kF32);
  add_typed<HeadNormOp>(graph, dtype, x, num_heads, weight, eps, y, rstd);
  return y;
}

ValueId rmsnorm_add(Graph& graph, ValueId x, Parameter* weight, float eps, ValueId residual,
                    DType dtype) {
  check(!weight->trains, "rmsnorm_add: its weight is frozen");
  const ValueId y = graph.add_value(weight->name, weight->value.dim(0), DType::kF32, true);
  const ValueId rstd = graph.add_value(weight->name + " rstd", 1, DType::kF32);
  add_typed<RmsNormAddOp>(graph, dtype, x, weight, eps, residual, y, rstd);
  return y;
}

ValueId narrow(Graph& graph, ValueId x, DType dtype) {
  const ValueId y = graph.add_value(graph.value_name(x) + " narrowed", graph.cols(x), dtype);
  add_typed<NarrowOp>(graph, dtype, x, y, graph.cols(x));
  return y;
}

}  // namespace dlm
