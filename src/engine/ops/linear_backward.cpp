// The backward pass of linear layers: gradients of the input, of the low-rank factors and, when it
// trains, of the weight.

#include <cstring>

#include "engine/cpu/gemm.h"
#include "engine/ops/linear.h"

namespace dlm::linear {

template <class T>
void LinearOp<T>::backward(Exec& exec) const {
  if (narrowed_.valid()) narrow_gradient(exec);
  for (size_t i = 0; i < specs_.size(); ++i) {
    if (unscaled_[i].valid()) backward_row_scale(exec, i);
  }
  project_lora_gradient(exec);
  if (exec.graph().requires_grad(x_)) backward_input(exec);
  for (size_t i = 0; i < specs_.size(); ++i) {
    if (specs_[i].lora != nullptr) backward_lora(exec, i);
    if (specs_[i].weight->trains) backward_weight(exec, i);
  }
}

// The residual stream's gradient in activation type, as the products want it.
template <class T>
void LinearOp<T>::narrow_gradient(Exec& exec) const {
  const int64_t n = out(0);
  exec.for_token_blocks([&](int64_t first, int64_t count, int) {
    exec.rows<T>().from_f32(exec.grad<float>(outputs_[0]) + first * n, count * n,
                            exec.data<T>(narrowed_) + first * n);
  });
}

// d magnitude_j = sum over tokens of dy_j u_j / row_norm_j, with u the output before its scale:
// summed within each document row, then over rows in order.
template <class T>
void LinearOp<T>::backward_row_scale(Exec& exec, size_t i) const {
  Dora& dora = *specs_[i].lora->dora;
  constexpr int64_t kCols = 256;
  const int64_t n = out(i);
  // The output's gradient is this operation's own: nobody reads it later.
  T* dy = const_cast<T*>(output_gradient(exec, i));
  const T* u = exec.data<T>(unscaled_[i]);
  exec.run((n + kCols - 1) / kCols, [&](int64_t task, int) {
    const int64_t col = task * kCols;
    const int64_t cols = std::min(kCols, n - col);
    for (const BatchRow& row : exec.batch().rows) {
      float dots[kCols] = {};
      const int64_t at = row.begin * n + col;
      exec.rows<T>().row_scale_backward(dy + at, u + at, dora.row_scale.data() + col,
                                        row.end - row.begin, n, cols, dots);
      if (!dora.magnitude.trains) continue;
      float* grad = dora.magnitude.grad.mutable_f32() + col;
      for (int64_t c = 0; c < cols; ++c) {
        const float norm = dora.row_norm[static_cast<size_t>(col + c)];
        if (norm > 0) grad[c] += dots[c] / norm;
      }
    }
  });
}

// lora_grad = scale * dy B, [tokens, rank].
template <class T>
void LinearOp<T>::project_lora_gradient(Exec& exec) const {
  if (!has_lora()) return;
  for_projections(exec, [&](int64_t first, int64_t count, int) {
    for (size_t i = 0; i < specs_.size(); ++i) {
      const Lora* lora = specs_[i].lora;
      if (lora == nullptr) continue;
      project(exec, output_gradient(exec, i) + first * out(i), count, out(i), lora->bt, *lora,
              exec.data<float>(lora_grad_[i]) + first * lora->rank);
    }
  });
}

// dx = sum over layers of dy W + mask(lora_grad A).
template <class T>
void LinearOp<T>::backward_input(Exec& exec) const {
  const bool amx = has_amx_products<T>(exec);
  for_tiles(exec, Pass::kInputGradient,
            [&](const Tile& t, const RightSides& weights, float* memory) {
              if constexpr (sizeof(T) == sizeof(BF16)) {
                if (amx) {
                  backward_input_tile_amx(exec, t, weights, memory);
                  return;
                }
              }
              backward_input_tile(exec, t, weights, memory);
            });
}

template <class T>
void LinearOp<T>::backward_input_tile(Exec& exec, const Tile& t, const RightSides& weights,
                                      float* memory) const {
  const Sums sums = sums_of(exec, t, exec.grad<T>(x_), in_, memory);
  for (size_t i = 0; i < specs_.size(); ++i) {
    GemmShape shape;
    shape.m = padded(t.count);
    shape.n = t.cols;
    shape.k = out(i);
    shape.lda = out(i);
    shape.ldc = sums.ld;
    shape.accumulate = i > 0;
    shape.input = kType;
    const void* weight = weights.of(Pass::kInputGradient, i, t.col, shape);
    gemm(shape, output_gradient(exec, i) + t.first * out(i), weight, sums.at);
  }
  for (size_t i = 0; i < specs_.size(); ++i) {
    if (specs_[i].lora != nullptr) add_lora_input_gradient(exec, i, t, sums);
  }
  if (sums.in_place) return;
  for (int64_t m = 0; m < t.count; ++m) {
    exec.rows<T>().from_f32(memory + m * t.cols, t.cols,
                            exec.grad<T>(x_) + (t.first + m) * in_ + t.col);
  }
}

// The low-rank terms go with the products, but for those under a mask.
template <class T>
void LinearOp<T>::backward_input_tile_amx(Exec& exec, const Tile& t, const RightSides& weights,
                                          float* memory) const {
  bool any_mask = false;
  for (size_t i = 0; i < specs_.size(); ++i) any_mask |= drops(exec, i);
  BF16* to = exec.grad<BF16>(x_) + t.first * in_ + t.col;
  for (size_t i = 0; i < specs_.size(); ++i) {
    const Lora* lora = specs_[i].lora;
    AmxProduct p;
    p.shape.m = t.count;
    p.shape.n = t.cols;
    p.shape.k = p.shape.lda = out(i);
    p.shape.input = kType;
    p.a = reinterpret_cast<const BF16*>(output_gradient(exec, i)) + t.first * out(i);
    p.b = static_cast<const BF16*>(weights.of(Pass::kInputGradient, i, t.col, p.shape));
    if (lora != nullptr && !drops(exec, i)) {
      p.low_rank = {exec.data<float>(lora_grad_[i]) + t.first * lora->rank, lora->rank,
                    lora->a.value.f32() + t.col, in_, lora->rank};
    }
    p.addend = i > 0 ? memory : nullptr;
    p.ld_addend = t.cols;
    const bool ends_here = i + 1 == specs_.size() && !any_mask;
    p.shape.output = ends_here ? DType::kBF16 : DType::kF32;
    p.shape.ldc = ends_here ? in_ : t.cols;
    p.c = ends_here ? static_cast<void*>(to) : memory;
    p.past_caches = ends_here && leaves_caches(exec, in_);
    amx_product(p);
  }
  if (!any_mask) return;
  for (size_t i = 0; i < specs_.size(); ++i) {
    if (drops(exec, i)) add_lora_input_gradient(exec, i, t, {memory, t.cols});
  }
  for (int64_t m = 0; m < t.count; ++m) {
    exec.rows<BF16>().from_f32(memory + m * t.cols, t.cols, to + m * in_);
  }
}

template <class T>
void LinearOp<T>::add_lora_input_gradient(Exec& exec, size_t i, const Tile& t,
                                          const Sums& sums) const {
  const Lora& lora = *specs_[i].lora;
  const float* c = exec.data<float>(lora_grad_[i]) + t.first * lora.rank;
  const float* a = lora.a.value.f32() + t.col;
  if (!drops(exec, i)) {
    exec.kernels().rank_expand(sums.at, t.count, sums.ld, t.cols, c, a, in_, lora.rank);
    return;
  }
  for (int64_t m = 0; m < t.count; ++m) {
    exec.kernels().rank_expand_dropout(sums.line(m), t.cols, c + m * lora.rank, a, in_, lora.rank,
                                       mask_key(exec, lora, t.first + m), t.col, lora.dropout);
  }
}

// dA = lora_grad^T dropout(x) and dB^T = lora_hidden^T dy: summed within each document row, then
// over rows in order, so that the split into batches never shows.
template <class T>
void LinearOp<T>::backward_lora(Exec& exec, size_t i) const {
  Lora& lora = *specs_[i].lora;
  constexpr int64_t kCols = 256;
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
      outer(exec, lines, count, ld, cols, c + row.begin * lora.rank, lora.rank, partial);
      for (int64_t j = 0; j < lora.rank; ++j) {
        exec.kernels().add(partial + j * cols, cols, grad + j * dim + col);
      }
    }
  });
}

// dW += dy^T x, in tiles of output rows.
template <class T>
void LinearOp<T>::backward_weight(Exec& exec, size_t i) const {
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

template void LinearOp<float>::backward(Exec&) const;
template void LinearOp<BF16>::backward(Exec&) const;

}  // namespace dlm::linear
