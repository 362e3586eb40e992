// The operations between matrix products that work on one token at a time: embedding, RMS norm,
// rotary embedding, gated activation.

#include <algorithm>
#include <cstring>
#include <vector>

#include "engine/exec.h"
#include "engine/ops.h"
#include "engine/ops/add_typed.h"
#include "support/error.h"

namespace dlm {

namespace {

template <class T>
class EmbedOp : public Op {
 public:
  EmbedOp(Parameter* table, float scale, ValueId out)
      : table_(table), scale_(scale), out_(out), hidden_(table->value.dim(1)) {}
  std::string name() const override { return "embed"; }
  std::vector<ValueId> reads() const override { return {}; }
  std::vector<ValueId> writes() const override { return {out_}; }
  std::vector<ValueId> saves() const override { return {}; }
  std::vector<Parameter*> parameters() const override { return {table_}; }

  void forward(Exec& exec) const override {
    const T* table = static_cast<const T*>(table_->value.data());
    const QuantizedMatrix* quantized = table_->quantized.get();
    const int64_t vocab = table_->value.dim(0);
    exec.for_token_blocks([&](int64_t first, int64_t count, int) {
      for (int64_t t = first; t < first + count; ++t) {
        const int64_t id = exec.batch().tokens[static_cast<size_t>(t)];
        check(id >= 0 && id < vocab, "embed: a token id beyond the vocabulary");
        float* line = exec.data<float>(out_) + t * hidden_;
        if (quantized != nullptr) {
          quantized->dequantize(exec.kernels(), id, 1, line);
        } else {
          exec.rows<T>().to_f32(table + id * hidden_, hidden_, line);
        }
        if (scale_ == 1.0f) continue;
        for (int64_t i = 0; i < hidden_; ++i) line[i] *= scale_;
      }
    });
  }

  // Each worker owns a slice of columns and walks all tokens in order.
  void backward(Exec& exec) const override {
    if (!table_->trains) return;
    constexpr int64_t kCols = 64;
    exec.run((hidden_ + kCols - 1) / kCols, [&](int64_t task, int) {
      const int64_t col = task * kCols;
      const int64_t cols = std::min(kCols, hidden_ - col);
      for (int64_t t = 0; t < exec.tokens(); ++t) {
        const int64_t id = exec.batch().tokens[static_cast<size_t>(t)];
        exec.kernels().axpy(scale_, exec.grad<float>(out_) + t * hidden_ + col, cols,
                            table_->grad.mutable_f32() + id * hidden_ + col);
      }
    });
  }

 private:
  Parameter* table_;
  float scale_;
  ValueId out_;
  int64_t hidden_;
};

template <class T>
class RmsNormOp : public Op {
 public:
  RmsNormOp(ValueId x, Parameter* weight, float eps, ValueId y, ValueId rstd)
      : x_(x), weight_(weight), eps_(eps), y_(y), rstd_(rstd), cols_(weight->value.dim(0)) {}
  std::string name() const override { return "rmsnorm"; }
  bool is_cheap() const override { return true; }
  std::vector<ValueId> reads() const override { return {x_}; }
  std::vector<ValueId> writes() const override { return {y_, rstd_}; }
  std::vector<ValueId> saves() const override { return {x_, rstd_}; }
  std::vector<Parameter*> parameters() const override { return {weight_}; }

  void forward(Exec& exec) const override {
    exec.for_token_blocks([&](int64_t first, int64_t count, int) {
      for (int64_t t = first; t < first + count; ++t) {
        exec.data<float>(rstd_)[t] =
            exec.rows<T>().rmsnorm(exec.data<float>(x_) + t * cols_, weight_->value.f32(), eps_,
                                   cols_, exec.data<T>(y_) + t * cols_);
      }
    });
  }

  void backward(Exec& exec) const override {
    const float* w = weight_->value.f32();
    if (exec.graph().requires_grad(x_)) {
      exec.for_token_blocks([&](int64_t first, int64_t count, int) {
        for (int64_t t = first; t < first + count; ++t) {
          exec.rows<T>().rmsnorm_backward(
              exec.grad<T>(y_) + t * cols_, exec.data<float>(x_) + t * cols_, w,
              exec.data<float>(rstd_)[t], cols_, exec.grad<float>(x_) + t * cols_);
        }
      });
    }
    if (!weight_->trains) return;
    constexpr int64_t kCols = 32;
    exec.run((cols_ + kCols - 1) / kCols, [&](int64_t task, int) {
      const int64_t col = task * kCols;
      exec.rows<T>().norm_weight_grad(
          exec.grad<T>(y_) + col, exec.data<float>(x_) + col, exec.data<float>(rstd_),
          exec.tokens(), cols_, std::min(kCols, cols_ - col), weight_->grad.mutable_f32() + col);
    });
  }

 private:
  ValueId x_;
  Parameter* weight_;
  float eps_;
  ValueId y_;
  ValueId rstd_;
  int64_t cols_;
};

template <class T>
class RopeOp : public Op {
 public:
  RopeOp(ValueId x, int64_t num_heads, int64_t head_dim, const RopeSource* source)
      : x_(x), num_heads_(num_heads), head_dim_(head_dim), source_(source) {}
  std::string name() const override { return "rope"; }
  std::vector<ValueId> reads() const override { return {x_}; }
  std::vector<ValueId> writes() const override { return {x_}; }
  std::vector<ValueId> saves() const override { return {}; }
  void forward(Exec& exec) const override { rotate(exec, exec.data<T>(x_), 1.0f); }
  void backward(Exec& exec) const override { rotate(exec, exec.grad<T>(x_), -1.0f); }

 private:
  // A row's length is its last position and one, so that a cached sequence counts in full.
  void rotate(Exec& exec, T* x, float sign) const {
    const auto& rows = exec.batch().rows;
    std::vector<std::shared_ptr<const RopeTable>> tables;
    for (const BatchRow& row : rows) {
      tables.push_back(
          source_->table(exec.batch().positions[static_cast<size_t>(row.end - 1)] + 1));
    }
    exec.for_token_blocks([&](int64_t first, int64_t count, int) {
      const auto next = std::partition_point(rows.begin(), rows.end(),
                                             [&](const BatchRow& r) { return r.end <= first; });
      auto row = static_cast<size_t>(next - rows.begin());
      for (int64_t t = first; t < first + count; ++t) {
        while (t >= rows[row].end) ++row;
        const RopeTable& table = *tables[row];
        const int64_t half = table.rot / 2;
        const int64_t at = exec.batch().positions[static_cast<size_t>(t)] * half;
        check(at >= 0 && at + half <= static_cast<int64_t>(table.cos.size()),
              "rope: a position beyond the table");
        exec.rows<T>().rope(x + t * num_heads_ * head_dim_, num_heads_, head_dim_, table.rot,
                            table.cos.data() + at, table.sin.data() + at, sign);
      }
    });
  }

  ValueId x_;
  int64_t num_heads_;
  int64_t head_dim_;
  const RopeSource* source_;
};

enum class Gate { kSilu, kGelu };

template <class T>
class GatedOp : public Op {
 public:
  GatedOp(Gate kind, ValueId gate, ValueId up, ValueId out, int64_t cols)
      : kind_(kind), gate_(gate), up_(up), out_(out), cols_(cols) {}
  std::string name() const override { return kind_ == Gate::kSilu ? "silu_mul" : "gelu_mul"; }
  bool is_cheap() const override { return true; }
  std::vector<ValueId> reads() const override { return {gate_, up_}; }
  std::vector<ValueId> writes() const override { return {out_}; }
  std::vector<ValueId> saves() const override { return {gate_, up_}; }

  void forward(Exec& exec) const override {
    const RowKernels<T>& k = exec.rows<T>();
    const auto kernel = kind_ == Gate::kSilu ? k.silu_mul : k.gelu_mul;
    exec.for_token_blocks([&](int64_t first, int64_t count, int) {
      const int64_t at = first * cols_;
      kernel(exec.data<T>(gate_) + at, exec.data<T>(up_) + at, count * cols_,
             exec.data<T>(out_) + at);
    });
  }
  void backward(Exec& exec) const override {
    const RowKernels<T>& k = exec.rows<T>();
    const auto kernel = kind_ == Gate::kSilu ? k.silu_mul_backward : k.gelu_mul_backward;
    exec.for_token_blocks([&](int64_t first, int64_t count, int) {
      const int64_t at = first * cols_;
      kernel(exec.grad<T>(out_) + at, exec.data<T>(gate_) + at, exec.data<T>(up_) + at,
             count * cols_, exec.grad<T>(gate_) + at, exec.grad<T>(up_) + at);
    });
  }

 private:
  Gate kind_;
  ValueId gate_;
  ValueId up_;
  ValueId out_;
  int64_t cols_;
};

}  // namespace

ValueId embed(Graph& graph, Parameter* table, DType dtype, float scale) {
  check(table->value.dtype() == dtype, "embed: the table is not in the activation type");
  const ValueId out = graph.add_value(table->name, table->value.dim(1), DType::kF32, true);
  add_typed<EmbedOp>(graph, dtype, table, scale, out);
  return out;
}

ValueId rmsnorm(Graph& graph, ValueId x, Parameter* weight, float eps, DType dtype) {
  const ValueId y = graph.add_value(weight->name, weight->value.dim(0), dtype);
  const ValueId rstd = graph.add_value(weight->name + " rstd", 1, DType::kF32);
  add_typed<RmsNormOp>(graph, dtype, x, weight, eps, y, rstd);
  return y;
}

void rope(Graph& graph, ValueId x, int64_t num_heads, int64_t head_dim, const RopeSource* source,
          DType dtype) {
  add_typed<RopeOp>(graph, dtype, x, num_heads, head_dim, source);
}

namespace {

ValueId add_gated(Graph& graph, Gate kind, ValueId gate, ValueId up, DType dtype) {
  const int64_t cols = graph.cols(gate);
  const ValueId out = graph.add_value(kind == Gate::kSilu ? "silu_mul" : "gelu_mul", cols, dtype);
  add_typed<GatedOp>(graph, dtype, kind, gate, up, out, cols);
  return out;
}

}  // namespace

ValueId silu_mul(Graph& graph, ValueId gate, ValueId up, DType dtype) {
  return add_gated(graph, Gate::kSilu, gate, up, dtype);
}

ValueId gelu_mul(Graph& graph, ValueId gate, ValueId up, DType dtype) {
  return add_gated(graph, Gate::kGelu, gate, up, dtype);
}

}  // namespace dlm
