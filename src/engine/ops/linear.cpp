// Linear layers that share an input, with their LoRA updates, tile by tile. The output
// tile stays in f32 until the low-rank update, the bias and the residual have been added.

#include "engine/ops/linear.h"

#include <atomic>
#include <cstring>
#include <thread>

#include "engine/cpu/gemm.h"
#include "engine/dora.h"
#include "support/error.h"

namespace dlm {

namespace linear {

template <class T>
void LinearOp<T>::forward(Exec& exec) const {
  for (const LinearSpec& spec : specs_) {
    if (spec.lora != nullptr && spec.lora->dora) {
      refresh_row_scale(*spec.lora, *spec.weight, exec.device());
    }
  }
  if (exec.graph().generates() && exec.tokens() <= kFewTokens) {
    forward_few(exec);
  } else {
    project_lora(exec);
    const bool amx = has_amx_products<T>(exec);
    for_tiles(exec, Pass::kForward, [&](const Tile& t, const RightSides& weights, float* memory) {
      if constexpr (sizeof(T) == sizeof(BF16)) {
        if (amx) {
          forward_tile_amx(exec, t, weights, memory);
          return;
        }
      }
      forward_tile(exec, t, weights, memory);
    });
  }
}

// lora_hidden = scale * dropout(x) A^T, [tokens, rank].
template <class T>
void LinearOp<T>::project_lora(Exec& exec) const {
  if (!has_lora()) return;
  for_projections(exec, [&](int64_t first, int64_t count, int worker) {
    for (size_t i = 0; i < specs_.size(); ++i) {
      const Lora* lora = specs_[i].lora;
      if (lora == nullptr) continue;
      const T* x = exec.data<T>(x_) + first * in_;
      if (drops(exec, i)) {
        T* dropped = reinterpret_cast<T*>(exec.scratch(worker));
        dropped_input(exec, *lora, first, count, dropped);
        x = dropped;
      }
      project(exec, x, count, in_, lora->a, *lora,
              exec.data<float>(lora_hidden_[i]) + first * lora->rank);
    }
  });
}

template <class T>
bool LinearOp<T>::has_lora() const {
  return std::any_of(specs_.begin(), specs_.end(),
                     [](const LinearSpec& s) { return s.lora != nullptr; });
}

template <class T>
void LinearOp<T>::forward_tile(Exec& exec, const Tile& t, const RightSides& weights,
                               float* memory) const {
  const LinearSpec& spec = specs_[t.spec];
  const int64_t n = out(t.spec);
  GemmShape shape;
  shape.m = padded(t.count);
  shape.n = t.cols;
  shape.k = in_;
  shape.lda = in_;
  shape.input = kType;
  const void* weight = weights.of(Pass::kForward, t.spec, t.col, shape);
  const T* x = exec.data<T>(x_) + t.first * in_;
  if (spec.lora == nullptr && spec.bias == nullptr && !residual_.valid()) {
    shape.ldc = n;
    shape.output = shape.input;
    gemm(shape, x, weight, exec.data<T>(outputs_[t.spec]) + t.first * n + t.col);
    return;
  }
  const Sums sums = sums_of(exec, t, exec.data<T>(outputs_[t.spec]), n, memory);
  shape.ldc = sums.ld;
  gemm(shape, x, weight, sums.at);
  finish_tile(exec, t, sums);
}

template <class T>
void LinearOp<T>::forward_tile_amx(Exec& exec, const Tile& t, const RightSides& weights,
                                   float* memory) const {
  const LinearSpec& spec = specs_[t.spec];
  const int64_t n = out(t.spec);
  AmxProduct p;
  p.shape.m = t.count;
  p.shape.n = t.cols;
  p.shape.k = p.shape.lda = in_;
  p.shape.input = kType;
  p.a = exec.data<BF16>(x_) + t.first * in_;
  p.b = static_cast<const BF16*>(weights.of(Pass::kForward, t.spec, t.col, p.shape));
  p.low_rank = low_rank_term(exec, t.spec, t.first, t.col);
  const bool is_scaled = spec.lora != nullptr && spec.lora->dora != nullptr;
  if (!is_scaled && spec.bias == nullptr) {
    const int64_t at = t.first * n + t.col;
    p.shape.ldc = p.ld_plus = n;
    p.past_caches = leaves_caches(exec, all_out());
    if (residual_.valid()) {
      p.plus = exec.data<float>(residual_) + at;
      p.c = exec.data<float>(outputs_[t.spec]) + at;
    } else {
      p.shape.output = DType::kBF16;
      p.c = exec.data<BF16>(outputs_[t.spec]) + at;
    }
    amx_product(p);
    return;
  }
  p.shape.ldc = t.cols;
  p.c = memory;
  amx_product(p);
  const Sums sums{memory, t.cols};
  scale_and_add_bias(exec, t, sums);
  store_tile(exec, t, sums);
}

// lora_hidden B^T of tokens from `first`, columns from `col`; nothing without LoRA.
template <class T>
LowRankTerm LinearOp<T>::low_rank_term(Exec& exec, size_t i, int64_t first, int64_t col) const {
  const Lora* lora = specs_[i].lora;
  if (lora == nullptr) return {};
  return {exec.data<float>(lora_hidden_[i]) + first * lora->rank, lora->rank,
          lora->bt.value.f32() + col, out(i), lora->rank};
}

// Asks for the piece of B that a tile will read: its lines are short and lie far apart, so that the
// processor does not foresee them.
inline void fetch_low_rank(const LowRankTerm& term, int64_t cols) {
  constexpr int64_t kCacheLine = 64 / sizeof(float);
  for (int64_t r = 0; r < term.rank; ++r) {
    for (int64_t c = 0; c < cols; c += kCacheLine) {
      __builtin_prefetch(term.v + r * term.ldv + c, 0, 3);
    }
  }
}

// A few tokens: every weight row is read once and multiplied by all of them. Whoever comes first
// makes lora_hidden meanwhile, in pieces, of which those that need it take what is left: handing
// out work twice would cost a tenth of a token's time.
template <class T>
void LinearOp<T>::forward_few(Exec& exec) const {
  constexpr int64_t kLoraRows = 4;
  const int64_t tokens = exec.tokens();
  const FewTokens<T> x(exec.kernels(), exec.data<T>(x_), tokens, in_);
  std::vector<Tile> projections;
  for (size_t i = 0; i < specs_.size(); ++i) {
    const int64_t rank = specs_[i].lora == nullptr ? 0 : specs_[i].lora->rank;
    for (int64_t row = 0; row < rank; row += kLoraRows) {
      projections.push_back({i, 0, tokens, row, std::min(kLoraRows, rank - row)});
    }
  }
  std::vector<Tile> tasks;
  const int64_t rows = rows_of_few(exec);
  for (size_t i = 0; i < specs_.size(); ++i) {
    for (int64_t col = 0; col < out(i); col += rows) {
      tasks.push_back({i, 0, tokens, col, std::min(rows, out(i) - col)});
    }
  }
  std::atomic<bool> is_begun = false;
  std::atomic<size_t> next_piece = 0;
  std::atomic<size_t> num_projected = 0;
  const auto project_pieces = [&] {
    for (size_t i = next_piece.fetch_add(1); i < projections.size(); i = next_piece.fetch_add(1)) {
      project_few(exec, x.lines(), projections[i]);
      num_projected.fetch_add(1, std::memory_order_release);
    }
  };
  exec.run(static_cast<int64_t>(tasks.size()), [&](int64_t index, int) {
    if (!is_begun.load() && !is_begun.exchange(true)) project_pieces();
    const Tile& t = tasks[static_cast<size_t>(index)];
    float product[kMostFewRows * kFewTokens];
    fetch_low_rank(low_rank_term(exec, t.spec, 0, t.col), t.cols);
    x.multiply(exec.kernels(), *specs_[t.spec].weight, t.col, t.cols, product, t.cols);
    const auto is_projected = [&] {
      return num_projected.load(std::memory_order_acquire) == projections.size();
    };
    if (!is_projected()) project_pieces();
    while (!is_projected()) std::this_thread::yield();
    finish_tile(exec, t, {product, t.cols});
  });
}

template <class T>
int64_t LinearOp<T>::rows_of_few(Exec& exec) const {
  int64_t rows = few_rows_.load(std::memory_order_relaxed);
  if (rows == 0) {
    std::vector<int64_t> outs;
    for (size_t i = 0; i < specs_.size(); ++i) outs.push_back(out(i));
    rows = few_rows(outs, in_, exec.device().pool().num_threads());
    few_rows_.store(rows, std::memory_order_relaxed);
  }
  return rows;
}

// lora_hidden = scale * x A^T of a few tokens, in f32: rows [t.col, t.col + t.cols) of A. Factors
// of one layer are small, but those of all layers are a good part of what a token reads.
template <class T>
void LinearOp<T>::project_few(Exec& exec, const FewLines& x, const Tile& t) const {
  const Lora& lora = *specs_[t.spec].lora;
  float* hidden = exec.data<float>(lora_hidden_[t.spec]) + t.col;
  exec.kernels().f32.gemv(lora.a.value.f32() + t.col * in_, t.cols, in_, x.x, x.ld, x.tokens,
                          hidden, lora.rank);
  for (int64_t m = 0; m < x.tokens; ++m) {
    for (int64_t r = 0; r < t.cols; ++r) hidden[m * lora.rank + r] *= lora.scale;
  }
}

template <class T>
void LinearOp<T>::finish_tile(Exec& exec, const Tile& t, const Sums& sums) const {
  const LowRankTerm term = low_rank_term(exec, t.spec, t.first, t.col);
  if (term.rank > 0) {
    exec.kernels().rank_expand(sums.at, t.count, sums.ld, t.cols, term.u, term.v, term.ldv,
                               term.rank);
  }
  scale_and_add_bias(exec, t, sums);
  store_tile(exec, t, sums);
}

template <class T>
void LinearOp<T>::scale_and_add_bias(Exec& exec, const Tile& t, const Sums& sums) const {
  const LinearSpec& spec = specs_[t.spec];
  if (spec.lora != nullptr && spec.lora->dora) {
    const int64_t n = out(t.spec);
    for (int64_t m = 0; m < t.count; ++m) {
      if (exec.graph().training()) {
        exec.rows<T>().from_f32(sums.line(m), t.cols,
                                exec.data<T>(unscaled_[t.spec]) + (t.first + m) * n + t.col);
      }
      exec.kernels().multiply(spec.lora->dora->row_scale.data() + t.col, t.cols, sums.line(m));
    }
  }
  if (spec.bias != nullptr) {
    for (int64_t m = 0; m < t.count; ++m) {
      exec.kernels().add(spec.bias->value.f32() + t.col, t.cols, sums.line(m));
    }
  }
}

template <class T>
void LinearOp<T>::store_tile(Exec& exec, const Tile& t, const Sums& sums) const {
  const int64_t n = out(t.spec);
  for (int64_t m = 0; m < t.count; ++m) {
    const int64_t at = (t.first + m) * n + t.col;
    float* line = sums.line(m);
    if (residual_.valid()) {
      exec.kernels().add(exec.data<float>(residual_) + at, t.cols, line);
      float* to = exec.data<float>(outputs_[t.spec]) + at;
      if (line != to) std::memcpy(to, line, static_cast<size_t>(t.cols) * sizeof(float));
    } else if (!sums.in_place) {
      exec.rows<T>().from_f32(line, t.cols, exec.data<T>(outputs_[t.spec]) + at);
    }
  }
}

template class LinearOp<float>;
template class LinearOp<BF16>;

}  // namespace linear

namespace {

std::vector<ValueId> add_linear(Graph& graph, ValueId x, std::vector<LinearSpec> specs,
                                ValueId residual, DType dtype) {
  std::vector<ValueId> outputs;
  std::vector<ValueId> hidden;
  std::vector<ValueId> grads;
  std::vector<ValueId> unscaled;
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
    const bool has_dora = has_lora && spec.lora->dora;
    unscaled.push_back(has_dora ? graph.add_value(spec.lora->dora->magnitude.name, out, dtype)
                                : ValueId{});
    // A gradient in f32 is read where it lies, unless DoRA scales it.
    if (to_residual && (dtype != DType::kF32 || has_dora)) {
      narrowed = graph.add_value(spec.weight->name + " gradient", out, dtype);
    }
  }
  if (dtype == DType::kBF16) {
    graph.add_op(std::make_unique<linear::LinearOp<BF16>>(x, std::move(specs), outputs, residual,
                                                          std::move(hidden), std::move(grads),
                                                          std::move(unscaled), narrowed));
  } else {
    graph.add_op(std::make_unique<linear::LinearOp<float>>(x, std::move(specs), outputs, residual,
                                                           std::move(hidden), std::move(grads),
                                                           std::move(unscaled), narrowed));
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
