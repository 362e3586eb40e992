// Linear layers that share an input, with their LoRA updates, in tiles of 128 tokens. The output
// tile stays in f32 until the low-rank update, the bias and the residual have been added.

#include <algorithm>
#include <cstring>

#include "engine/cpu/gemm.h"
#include "engine/exec.h"
#include "engine/ops.h"
#include "engine/random.h"
#include "support/error.h"

namespace dlm {

namespace {

// 128 tokens a tile amortise oneDNN's packing of the weights (98% of its best rate); 1,024 columns
// keep the f32 tile at 512 KiB, inside a 1-2 MiB L2.
constexpr int64_t kTileTokens = 128;
constexpr int64_t kTileCols = 1024;
// Up to this many tokens the product is bound by reading the weights once, not by arithmetic.
constexpr int64_t kFewTokens = 4;
constexpr int64_t kFewRows = 64;
constexpr int64_t kDropBlock = 64;

// Tokens [first, first + count) by output columns [col, col + cols) of one layer of the group.
struct Tile {
  size_t spec;
  int64_t first;
  int64_t count;
  int64_t col;
  int64_t cols;
};

int64_t chunk_cols(int64_t cols) {
  const int64_t chunks = (cols + kTileCols - 1) / kTileCols;
  return ((cols + chunks - 1) / chunks + 31) / 32 * 32;
}

template <class T>
class LinearOp : public Op {
 public:
  LinearOp(ValueId x, std::vector<LinearSpec> specs, std::vector<ValueId> outputs, ValueId residual,
           std::vector<ValueId> lora_hidden, std::vector<ValueId> lora_grad, ValueId narrowed)
      : x_(x),
        specs_(std::move(specs)),
        outputs_(std::move(outputs)),
        residual_(residual),
        lora_hidden_(std::move(lora_hidden)),
        lora_grad_(std::move(lora_grad)),
        narrowed_(narrowed),
        in_(specs_[0].weight->value.dim(1)) {}

  std::string name() const override { return "linear"; }
  std::vector<ValueId> reads() const override {
    std::vector<ValueId> ids{x_};
    if (residual_.valid()) ids.push_back(residual_);
    return ids;
  }
  std::vector<ValueId> writes() const override {
    std::vector<ValueId> ids = outputs_;
    for (const ValueId v : lora_hidden_) {
      if (v.valid()) ids.push_back(v);
    }
    return ids;
  }
  std::vector<ValueId> saves() const override {
    std::vector<ValueId> ids;
    bool needs_input = false;
    for (size_t i = 0; i < specs_.size(); ++i) {
      needs_input |= specs_[i].weight->trains || specs_[i].lora != nullptr;
      if (lora_hidden_[i].valid()) ids.push_back(lora_hidden_[i]);
    }
    if (needs_input) ids.push_back(x_);
    return ids;
  }
  std::vector<ValueId> backward_scratch() const override {
    std::vector<ValueId> ids;
    for (const ValueId v : lora_grad_) {
      if (v.valid()) ids.push_back(v);
    }
    if (narrowed_.valid()) ids.push_back(narrowed_);
    return ids;
  }
  std::vector<Parameter*> parameters() const override {
    std::vector<Parameter*> all;
    for (const LinearSpec& spec : specs_) {
      all.push_back(spec.weight);
      if (spec.lora != nullptr) {
        all.push_back(&spec.lora->a);
        all.push_back(&spec.lora->bt);
      }
    }
    return all;
  }
  size_t scratch_bytes(int64_t) const override {
    const auto tile = static_cast<size_t>(kTileTokens * kTileCols) * sizeof(float);
    const auto dropped = static_cast<size_t>(kDropBlock * in_) * sizeof(T);
    return std::max(tile, dropped);
  }

  void forward(Exec& exec) const override {
    project_lora(exec);
    if (exec.tokens() <= kFewTokens) {
      forward_few(exec);
    } else {
      forward_tiles(exec);
    }
  }

  void backward(Exec& exec) const override {
    if (residual_.valid()) narrow_gradient(exec);
    project_lora_gradient(exec);
    if (exec.graph().requires_grad(x_)) backward_input(exec);
    for (size_t i = 0; i < specs_.size(); ++i) {
      if (specs_[i].lora != nullptr) backward_lora(exec, i);
      if (specs_[i].weight->trains) backward_weight(exec, i);
    }
  }

 private:
  int64_t out(size_t i) const { return specs_[i].weight->value.dim(0); }
  const T* weight(size_t i) const { return static_cast<const T*>(specs_[i].weight->value.data()); }
  bool drops(Exec& exec, size_t i) const {
    return exec.dropout_on && specs_[i].lora != nullptr && specs_[i].lora->dropout > 0;
  }
  const T* output_gradient(Exec& exec, size_t i) const {
    return residual_.valid() ? exec.data<T>(narrowed_) : exec.grad<T>(outputs_[i]);
  }
  static uint64_t mask_key(Exec& exec, const Lora& lora, int64_t token) {
    return random_key({exec.token_key(token), lora.key});
  }

  // Rows [first, first + count) of dropout(x) of one layer, into `to`.
  void dropped_input(Exec& exec, const Lora& lora, int64_t first, int64_t count, T* to) const {
    const T* x = exec.data<T>(x_);
    for (int64_t t = first; t < first + count; ++t) {
      exec.rows<T>().dropout(x + t * in_, in_, mask_key(exec, lora, t), 0, lora.dropout,
                             to + (t - first) * in_);
    }
  }

  // lora_hidden = scale * dropout(x) A^T, [tokens, rank].
  void project_lora(Exec& exec) const {
    if (!has_lora()) return;
    exec.for_token_blocks([&](int64_t first, int64_t count, int worker) {
      for (size_t i = 0; i < specs_.size(); ++i) {
        const Lora* lora = specs_[i].lora;
        if (lora == nullptr) continue;
        const T* x = exec.data<T>(x_) + first * in_;
        if (drops(exec, i)) {
          T* dropped = reinterpret_cast<T*>(exec.scratch(worker));
          dropped_input(exec, *lora, first, count, dropped);
          x = dropped;
        }
        exec.rows<T>().rank_project(x, count, in_, in_, lora->a.value.f32(), in_, lora->rank,
                                    lora->scale,
                                    exec.data<float>(lora_hidden_[i]) + first * lora->rank);
      }
    });
  }

  bool has_lora() const {
    return std::any_of(specs_.begin(), specs_.end(),
                       [](const LinearSpec& s) { return s.lora != nullptr; });
  }

  void forward_tiles(Exec& exec) const {
    std::vector<Tile> tasks;
    for (int64_t first = 0; first < exec.padded_tokens(); first += kTileTokens) {
      const int64_t count = std::min(kTileTokens, exec.padded_tokens() - first);
      for (size_t i = 0; i < specs_.size(); ++i) {
        const int64_t chunk = chunk_cols(out(i));
        for (int64_t col = 0; col < out(i); col += chunk) {
          tasks.push_back({i, first, count, col, std::min(chunk, out(i) - col)});
        }
      }
    }
    exec.run(static_cast<int64_t>(tasks.size()), [&](int64_t index, int worker) {
      const Tile& t = tasks[static_cast<size_t>(index)];
      const LinearSpec& spec = specs_[t.spec];
      const int64_t n = out(t.spec);
      GemmShape shape;
      shape.m = t.count;
      shape.n = t.cols;
      shape.k = in_;
      shape.lda = in_;
      shape.ldb = in_;
      shape.trans_b = true;
      shape.input = spec.weight->value.dtype();
      const T* x = exec.data<T>(x_) + t.first * in_;
      const T* w = weight(t.spec) + t.col * in_;
      const bool plain = spec.lora == nullptr && spec.bias == nullptr && !residual_.valid();
      if (plain) {
        shape.ldc = n;
        shape.output = shape.input;
        gemm(shape, x, w, exec.data<T>(outputs_[t.spec]) + t.first * n + t.col);
        return;
      }
      float* tile = reinterpret_cast<float*>(exec.scratch(worker));
      shape.ldc = t.cols;
      gemm(shape, x, w, tile);
      const int64_t real = std::min(t.count, exec.tokens() - t.first);
      add_lora_and_bias(exec, t.spec, t.first, real, t.col, t.cols, tile);
      for (int64_t m = 0; m < real; ++m) {
        store_line(exec, t.spec, t.first + m, t.col, t.cols, tile + m * t.cols);
      }
    });
  }

  // A few tokens: every weight row is read once and multiplied by all of them.
  void forward_few(Exec& exec) const {
    const int64_t tokens = exec.tokens();
    std::vector<float> x(static_cast<size_t>(tokens * in_));
    exec.rows<T>().to_f32(exec.data<T>(x_), tokens * in_, x.data());
    std::vector<Tile> tasks;
    for (size_t i = 0; i < specs_.size(); ++i) {
      for (int64_t col = 0; col < out(i); col += kFewRows) {
        tasks.push_back({i, 0, tokens, col, std::min(kFewRows, out(i) - col)});
      }
    }
    exec.run(static_cast<int64_t>(tasks.size()), [&](int64_t index, int) {
      const Tile& t = tasks[static_cast<size_t>(index)];
      float product[kFewRows * kFewTokens];
      exec.rows<T>().rank_project(weight(t.spec) + t.col * in_, t.cols, in_, in_, x.data(), in_,
                                  tokens, 1.0f, product);
      float line[kFewRows];
      for (int64_t m = 0; m < tokens; ++m) {
        for (int64_t c = 0; c < t.cols; ++c) line[c] = product[c * tokens + m];
        add_lora_and_bias(exec, t.spec, m, 1, t.col, t.cols, line);
        store_line(exec, t.spec, m, t.col, t.cols, line);
      }
    });
  }

  void add_lora_and_bias(Exec& exec, size_t i, int64_t first, int64_t count, int64_t col,
                         int64_t cols, float* tile) const {
    const LinearSpec& spec = specs_[i];
    if (spec.lora != nullptr && count > 0) {
      exec.kernels().rank_expand(tile, count, cols, cols,
                                 exec.data<float>(lora_hidden_[i]) + first * spec.lora->rank,
                                 spec.lora->bt.value.f32() + col, out(i), spec.lora->rank);
    }
    if (spec.bias != nullptr) {
      for (int64_t m = 0; m < count; ++m) {
        exec.kernels().add(spec.bias->value.f32() + col, cols, tile + m * cols);
      }
    }
  }

  void store_line(Exec& exec, size_t i, int64_t token, int64_t col, int64_t cols,
                  float* line) const {
    const int64_t at = token * out(i) + col;
    if (residual_.valid()) {
      float* sum = exec.data<float>(outputs_[i]) + at;
      exec.kernels().add(exec.data<float>(residual_) + at, cols, line);
      std::memcpy(sum, line, static_cast<size_t>(cols) * sizeof(float));
    } else {
      exec.rows<T>().from_f32(line, cols, exec.data<T>(outputs_[i]) + at);
    }
  }

  // The residual stream's gradient in activation type, as the products want it.
  void narrow_gradient(Exec& exec) const {
    const int64_t n = out(0);
    exec.for_token_blocks([&](int64_t first, int64_t count, int) {
      exec.rows<T>().from_f32(exec.grad<float>(outputs_[0]) + first * n, count * n,
                              exec.data<T>(narrowed_) + first * n);
    });
  }

  // lora_grad = scale * dy B, [tokens, rank].
  void project_lora_gradient(Exec& exec) const {
    if (!has_lora()) return;
    exec.for_token_blocks([&](int64_t first, int64_t count, int) {
      for (size_t i = 0; i < specs_.size(); ++i) {
        const Lora* lora = specs_[i].lora;
        if (lora == nullptr) continue;
        exec.rows<T>().rank_project(output_gradient(exec, i) + first * out(i), count, out(i),
                                    out(i), lora->bt.value.f32(), out(i), lora->rank, lora->scale,
                                    exec.data<float>(lora_grad_[i]) + first * lora->rank);
      }
    });
  }

  // dx = sum over layers of dy W + mask(lora_grad A).
  void backward_input(Exec& exec) const {
    const int64_t chunk = chunk_cols(in_);
    const int64_t num_chunks = (in_ + chunk - 1) / chunk;
    const int64_t num_tiles = (exec.padded_tokens() + kTileTokens - 1) / kTileTokens;
    exec.run(num_tiles * num_chunks, [&](int64_t task, int worker) {
      const int64_t first = task / num_chunks * kTileTokens;
      const int64_t col = task % num_chunks * chunk;
      const int64_t cols = std::min(chunk, in_ - col);
      const int64_t count = std::min(kTileTokens, exec.padded_tokens() - first);
      const int64_t real = std::min(count, exec.tokens() - first);
      float* tile = reinterpret_cast<float*>(exec.scratch(worker));
      for (size_t i = 0; i < specs_.size(); ++i) {
        GemmShape shape;
        shape.m = count;
        shape.n = cols;
        shape.k = out(i);
        shape.lda = out(i);
        shape.ldb = in_;
        shape.ldc = cols;
        shape.accumulate = i > 0;
        shape.input = specs_[i].weight->value.dtype();
        gemm(shape, output_gradient(exec, i) + first * out(i), weight(i) + col, tile);
      }
      for (size_t i = 0; i < specs_.size(); ++i) {
        const Lora* lora = specs_[i].lora;
        if (lora == nullptr) continue;
        const float* c = exec.data<float>(lora_grad_[i]) + first * lora->rank;
        const float* a = lora->a.value.f32() + col;
        if (!drops(exec, i)) {
          exec.kernels().rank_expand(tile, real, cols, cols, c, a, in_, lora->rank);
          continue;
        }
        for (int64_t m = 0; m < real; ++m) {
          exec.kernels().rank_expand_dropout(tile + m * cols, cols, c + m * lora->rank, a, in_,
                                             lora->rank, mask_key(exec, *lora, first + m), col,
                                             lora->dropout);
        }
      }
      for (int64_t m = 0; m < real; ++m) {
        exec.rows<T>().from_f32(tile + m * cols, cols, exec.grad<T>(x_) + (first + m) * in_ + col);
      }
    });
  }

  // dA = lora_grad^T dropout(x) and dB^T = lora_hidden^T dy: summed within each document row, then
  // over rows in order, so that the split into batches never shows.
  void backward_lora(Exec& exec, size_t i) const {
    Lora& lora = *specs_[i].lora;
    constexpr int64_t kCols = 64;
    const int64_t in_tiles = (in_ + kCols - 1) / kCols;
    const int64_t out_tiles = (out(i) + kCols - 1) / kCols;
    const T* dy = output_gradient(exec, i);
    const bool dropped = drops(exec, i);
    exec.run(in_tiles + out_tiles, [&](int64_t task, int worker) {
      const bool is_a = task < in_tiles;
      const int64_t dim = is_a ? in_ : out(i);
      const int64_t col = (is_a ? task : task - in_tiles) * kCols;
      const int64_t cols = std::min(kCols, dim - col);
      const float* c = exec.data<float>(is_a ? lora_grad_[i] : lora_hidden_[i]);
      float* grad = is_a ? lora.a.grad.mutable_f32() : lora.bt.grad.mutable_f32();
      const T* x = is_a ? exec.data<T>(x_) : dy;
      for (const BatchRow& row : exec.batch().rows) {
        const int64_t count = row.end - row.begin;
        const T* lines = x + row.begin * dim + col;
        int64_t ld = dim;
        std::vector<T> copy;
        if (is_a && dropped) {
          copy.resize(static_cast<size_t>(count * cols));
          for (int64_t t = 0; t < count; ++t) {
            exec.rows<T>().dropout(lines + t * dim, cols, mask_key(exec, lora, row.begin + t), col,
                                   lora.dropout, copy.data() + t * cols);
          }
          lines = copy.data();
          ld = cols;
        }
        float* partial = reinterpret_cast<float*>(exec.scratch(worker));
        std::memset(partial, 0, static_cast<size_t>(lora.rank * cols) * sizeof(float));
        exec.rows<T>().rank_outer(lines, count, ld, cols, c + row.begin * lora.rank, lora.rank,
                                  partial, cols);
        for (int64_t j = 0; j < lora.rank; ++j) {
          exec.kernels().add(partial + j * cols, cols, grad + j * dim + col);
        }
      }
    });
  }

  // dW += dy^T x, in tiles of output rows.
  void backward_weight(Exec& exec, size_t i) const {
    constexpr int64_t kRows = 128;
    const int64_t n = out(i);
    T* dy = const_cast<T*>(output_gradient(exec, i));
    T* x = exec.data<T>(x_);
    const auto pad = static_cast<size_t>(exec.padded_tokens() - exec.tokens());
    std::memset(static_cast<void*>(dy + exec.tokens() * n), 0,
                pad * static_cast<size_t>(n) * sizeof(T));
    std::memset(static_cast<void*>(x + exec.tokens() * in_), 0,
                pad * static_cast<size_t>(in_) * sizeof(T));
    exec.run((n + kRows - 1) / kRows, [&](int64_t task, int) {
      GemmShape shape;
      shape.m = std::min(kRows, n - task * kRows);
      shape.n = in_;
      shape.k = exec.padded_tokens();
      shape.lda = n;
      shape.ldb = in_;
      shape.ldc = in_;
      shape.trans_a = true;
      shape.accumulate = true;
      shape.input = specs_[i].weight->value.dtype();
      gemm(shape, dy + task * kRows, x, specs_[i].weight->grad.mutable_f32() + task * kRows * in_);
    });
  }

  ValueId x_;
  std::vector<LinearSpec> specs_;
  std::vector<ValueId> outputs_;
  ValueId residual_;
  std::vector<ValueId> lora_hidden_;
  std::vector<ValueId> lora_grad_;
  ValueId narrowed_;
  int64_t in_;
};

std::vector<ValueId> add_linear(Graph& graph, ValueId x, std::vector<LinearSpec> specs,
                                ValueId residual, DType dtype) {
  std::vector<ValueId> outputs;
  std::vector<ValueId> hidden;
  std::vector<ValueId> grads;
  ValueId narrowed;
  for (const LinearSpec& spec : specs) {
    check(spec.weight->value.dtype() == dtype, "linear: the weight is not in the activation type");
    const int64_t out = spec.weight->value.dim(0);
    const bool to_residual = residual.valid();
    outputs.push_back(
        graph.add_value(spec.weight->name, out, to_residual ? DType::kF32 : dtype, to_residual));
    const bool has_lora = spec.lora != nullptr;
    hidden.push_back(has_lora ? graph.add_value(spec.lora->a.name, spec.lora->rank, DType::kF32)
                              : ValueId{});
    grads.push_back(has_lora ? graph.add_value(spec.lora->bt.name, spec.lora->rank, DType::kF32)
                             : ValueId{});
    if (to_residual) narrowed = graph.add_value(spec.weight->name + " gradient", out, dtype);
  }
  if (dtype == DType::kBF16) {
    graph.add_op(std::make_unique<LinearOp<BF16>>(x, std::move(specs), outputs, residual,
                                                  std::move(hidden), std::move(grads), narrowed));
  } else {
    graph.add_op(std::make_unique<LinearOp<float>>(x, std::move(specs), outputs, residual,
                                                   std::move(hidden), std::move(grads), narrowed));
  }
  return outputs;
}

}  // namespace

std::vector<ValueId> linear_group(Graph& graph, ValueId x, std::vector<LinearSpec> specs,
                                  DType dtype) {
  return add_linear(graph, x, std::move(specs), ValueId{}, dtype);
}

ValueId linear_add(Graph& graph, ValueId x, LinearSpec spec, ValueId residual, DType dtype) {
  return add_linear(graph, x, {spec}, residual, dtype)[0];
}

}  // namespace dlm
