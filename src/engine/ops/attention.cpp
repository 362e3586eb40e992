// Causal attention within each row, in blocks of queries. Scores of one block are f32 and live only
// in a worker's scratch; the backward pass recomputes them from the saved log-sum-exp (Dao et al.
// 2022).

#include <algorithm>
#include <cstring>

#include "engine/cpu/gemm.h"
#include "engine/exec.h"
#include "engine/ops.h"
#include "engine/ops/attention_blocks.h"
#include "support/error.h"

namespace dlm {

namespace {

template <class T>
constexpr DType dtype_of() {
  return sizeof(T) == 2 ? DType::kBF16 : DType::kF32;
}

template <class T>
GemmShape product(int64_t m, int64_t n, int64_t k, int64_t lda, int64_t ldb, int64_t ldc) {
  GemmShape shape;
  shape.m = m;
  shape.n = n;
  shape.k = k;
  shape.lda = lda;
  shape.ldb = ldb;
  shape.ldc = ldc;
  shape.input = dtype_of<T>();
  return shape;
}

template <class T>
class AttentionOp : public Op {
 public:
  AttentionOp(ValueId q, ValueId k, ValueId v, AttentionSpec spec, ValueId out, ValueId lse,
              ValueId delta, ValueId head_dk, ValueId head_dv, KvCacheLayer* cache)
      : q_(q),
        k_(k),
        v_(v),
        spec_(spec),
        out_(out),
        lse_(lse),
        delta_(delta),
        head_dk_(head_dk),
        head_dv_(head_dv),
        cache_(cache) {}

  std::string name() const override { return "attention"; }
  std::vector<ValueId> reads() const override { return {q_, k_, v_}; }
  std::vector<ValueId> writes() const override { return {out_, lse_}; }
  std::vector<ValueId> saves() const override { return {q_, k_, v_, out_, lse_}; }
  std::vector<ValueId> backward_scratch() const override { return {delta_, head_dk_, head_dv_}; }
  size_t scratch_bytes(int64_t tokens) const override {
    // Backward: two f32 and two T score blocks, two f32 and four T sets of head lines, one f32
    // block.
    const int64_t length = std::max<int64_t>(128, (tokens + 127) / 128 * 128);
    const int64_t scores = 128 * score_stride(tokens);
    const int64_t lines = (length + 128) * spec_.head_dim;
    const int64_t bytes = scores * (8 + 2 * static_cast<int64_t>(sizeof(T))) +
                          lines * (8 + 4 * static_cast<int64_t>(sizeof(T))) +
                          128 * spec_.head_dim * 4;
    return static_cast<size_t>(bytes) + 16 * 64;
  }

  void forward(Exec& exec) const override {
    if (cache_ != nullptr) append_to_cache(exec);
    if (cache_ != nullptr && exec.batch().positions[0] > 0) {
      forward_from_cache(exec);
    } else {
      forward_blocks(exec);
    }
  }

  void backward(Exec& exec) const override {
    exec.for_token_blocks([&](int64_t first, int64_t count, int) {
      for (int64_t t = first; t < first + count; ++t) {
        for (int64_t h = 0; h < spec_.num_heads; ++h) {
          const int64_t at = (t * spec_.num_heads + h) * spec_.head_dim;
          exec.data<float>(delta_)[t * spec_.num_heads + h] =
              exec.rows<T>().dot(exec.data<T>(out_) + at, exec.grad<T>(out_) + at, spec_.head_dim);
        }
      }
    });
    const auto& rows = exec.batch().rows;
    exec.run(static_cast<int64_t>(rows.size()) * spec_.num_heads, [&](int64_t task, int worker) {
      const BatchRow& row = rows[static_cast<size_t>(task / spec_.num_heads)];
      backward_head(exec, row, task % spec_.num_heads, exec.scratch(worker));
    });
    sum_over_heads(exec, head_dk_, k_);
    sum_over_heads(exec, head_dv_, v_);
  }

 private:
  int64_t q_stride() const { return spec_.num_heads * spec_.head_dim; }
  int64_t kv_stride() const { return spec_.num_kv_heads * spec_.head_dim; }
  int64_t group() const { return spec_.num_heads / spec_.num_kv_heads; }

  void forward_blocks(Exec& exec) const {
    struct Task {
      BatchRow row;
      int64_t head, start, block;
    };
    std::vector<Task> tasks;
    for (const BatchRow& row : exec.batch().rows) {
      const int64_t block = block_size(row.end - row.begin);
      for (int64_t head = 0; head < spec_.num_heads; ++head) {
        // The last blocks see the most keys: first come the long tasks.
        const int64_t blocks = (row.end - row.begin + block - 1) / block;
        for (int64_t i = blocks - 1; i >= 0; --i) tasks.push_back({row, head, i * block, block});
      }
    }
    const int64_t hd = spec_.head_dim;
    exec.run(static_cast<int64_t>(tasks.size()), [&](int64_t index, int worker) {
      const Task& t = tasks[static_cast<size_t>(index)];
      const int64_t stride = score_stride(t.row.end - t.row.begin);
      const KeyRange range(t.start, t.block, spec_.window);
      const int64_t keys = range.count();
      const int64_t kv_head = t.head / group();
      Scratch scratch(exec.scratch(worker));
      float* scores = scratch.take<float>(t.block * stride);
      T* probs = scratch.take<T>(t.block * stride);
      float* tile = scratch.take<float>(t.block * hd);
      const Lines<T> q(exec.data<T>(q_) + t.head * hd, q_stride(), hd, t.row.begin + t.start,
                       t.block, exec.tokens(), scratch.take<T>(t.block * hd));
      const Lines<T> k(exec.data<T>(k_) + kv_head * hd, kv_stride(), hd, t.row.begin + range.first,
                       keys, exec.tokens(), scratch.take<T>(keys * hd));
      const Lines<T> v(exec.data<T>(v_) + kv_head * hd, kv_stride(), hd, t.row.begin + range.first,
                       keys, exec.tokens(), scratch.take<T>(keys * hd));
      GemmShape qk = product<T>(t.block, keys, hd, q.ld, k.ld, stride);
      qk.trans_b = true;
      gemm(qk, q.data, k.data, scores);
      const int64_t first = t.row.begin + t.start;
      for (int64_t i = 0; i < t.block; ++i) {
        if (first + i >= t.row.end) {
          std::memset(static_cast<void*>(probs + i * stride), 0,
                      static_cast<size_t>(keys) * sizeof(T));
          continue;
        }
        exec.data<float>(lse_)[(first + i) * spec_.num_heads + t.head] =
            softmax_line(exec, scores + i * stride, range.visible_first(i), range.visible_end(i),
                         keys, probs + i * stride);
      }
      gemm(product<T>(t.block, hd, keys, stride, v.ld, hd), probs, v.data, tile);
      for (int64_t i = 0; i < t.block && first + i < t.row.end; ++i) {
        exec.rows<T>().from_f32(tile + i * hd, hd,
                                exec.data<T>(out_) + (first + i) * q_stride() + t.head * hd);
      }
    });
  }

  // p = softmax of the scores [first, end) of a line of `count`, after scale and cap; 0 elsewhere.
  // Returns the log-sum-exp. Destroys the scores.
  template <class P>
  float softmax_line(Exec& exec, float* scores, int64_t first, int64_t end, int64_t count,
                     P* probs) const {
    std::memset(static_cast<void*>(probs), 0, static_cast<size_t>(first) * sizeof(P));
    float scale = spec_.scale;
    if (spec_.softcap > 0) {
      exec.kernels().softcap(scores + first, end - first, spec_.scale, spec_.softcap);
      scale = 1.0f;
    }
    return exec.rows<P>().softmax(scores + first, end - first, count - first, scale, probs + first);
  }

  // Gradients from one query head in one row. Those of keys and values stay apart for each head, so
  // that heads are independent tasks.
  void backward_head(Exec& exec, const BatchRow& row, int64_t head, std::byte* memory) const {
    const int64_t kv_head = head / group();
    const int64_t hd = spec_.head_dim;
    const int64_t length = row.end - row.begin;
    const int64_t block = block_size(length);
    const int64_t stride = score_stride(length);
    const int64_t lines = (length + block - 1) / block * block;
    Scratch scratch(memory);
    float* scores = scratch.take<float>(block * stride);
    float* dprobs = scratch.take<float>(block * stride);
    T* probs = scratch.take<T>(block * stride);
    T* dscores = scratch.take<T>(block * stride);
    float* dk = scratch.take<float>(lines * hd);
    float* dv = scratch.take<float>(lines * hd);
    float* tile = scratch.take<float>(block * hd);
    T* spare_q = scratch.take<T>(block * hd);
    T* spare_do = scratch.take<T>(block * hd);
    const Lines<T> k(exec.data<T>(k_) + kv_head * hd, kv_stride(), hd, row.begin, lines,
                     exec.tokens(), scratch.take<T>(lines * hd));
    const Lines<T> v(exec.data<T>(v_) + kv_head * hd, kv_stride(), hd, row.begin, lines,
                     exec.tokens(), scratch.take<T>(lines * hd));
    std::memset(dk, 0, static_cast<size_t>(lines * hd) * sizeof(float));
    std::memset(dv, 0, static_cast<size_t>(lines * hd) * sizeof(float));
    for (int64_t start = 0; start < length; start += block) {
      const KeyRange range(start, block, spec_.window);
      const int64_t keys = range.count();
      const int64_t first = row.begin + start;
      const T* block_k = k.data + range.first * k.ld;
      const T* block_v = v.data + range.first * v.ld;
      const Lines<T> q(exec.data<T>(q_) + head * hd, q_stride(), hd, first, block, exec.tokens(),
                       spare_q);
      const Lines<T> dout(exec.grad<T>(out_) + head * hd, q_stride(), hd, first, block,
                          exec.tokens(), spare_do);
      GemmShape qk = product<T>(block, keys, hd, q.ld, k.ld, stride);
      qk.trans_b = true;
      gemm(qk, q.data, block_k, scores);
      GemmShape dov = product<T>(block, keys, hd, dout.ld, v.ld, stride);
      dov.trans_b = true;
      gemm(dov, dout.data, block_v, dprobs);
      for (int64_t i = 0; i < block; ++i) {
        if (first + i >= row.end) {
          std::memset(static_cast<void*>(probs + i * stride), 0,
                      static_cast<size_t>(keys) * sizeof(T));
          std::memset(static_cast<void*>(dscores + i * stride), 0,
                      static_cast<size_t>(keys) * sizeof(T));
          continue;
        }
        softmax_line_backward(exec, (first + i) * spec_.num_heads + head, range.visible_first(i),
                              range.visible_end(i), keys, scores + i * stride, dprobs + i * stride,
                              probs + i * stride, dscores + i * stride);
      }
      gemm(product<T>(block, hd, keys, stride, k.ld, hd), dscores, block_k, tile);
      for (int64_t i = 0; i < block && first + i < row.end; ++i) {
        exec.rows<T>().from_f32(tile + i * hd, hd,
                                exec.grad<T>(q_) + (first + i) * q_stride() + head * hd);
      }
      GemmShape to_keys = product<T>(keys, hd, block, stride, q.ld, hd);
      to_keys.trans_a = true;
      to_keys.accumulate = true;
      gemm(to_keys, dscores, q.data, dk + range.first * hd);
      to_keys.ldb = dout.ld;
      gemm(to_keys, probs, dout.data, dv + range.first * hd);
    }
    const auto line_bytes = static_cast<size_t>(hd) * sizeof(float);
    for (int64_t t = 0; t < length; ++t) {
      const int64_t at = ((row.begin + t) * spec_.num_heads + head) * hd;
      std::memcpy(exec.data<float>(head_dk_) + at, dk + t * hd, line_bytes);
      std::memcpy(exec.data<float>(head_dv_) + at, dv + t * hd, line_bytes);
    }
  }

  // The gradient of keys or values: the sum over the query heads that share them, in their order.
  void sum_over_heads(Exec& exec, ValueId parts, ValueId sum) const {
    const int64_t hd = spec_.head_dim;
    exec.for_token_blocks([&](int64_t first, int64_t count, int) {
      for (int64_t line = first * spec_.num_kv_heads; line < (first + count) * spec_.num_kv_heads;
           ++line) {
        float* total = exec.data<float>(parts) + line * group() * hd;
        for (int64_t h = 1; h < group(); ++h) exec.kernels().add(total + h * hd, hd, total);
        exec.rows<T>().from_f32(total, hd, exec.grad<T>(sum) + line * hd);
      }
    });
  }

  // The backward pass of softmax_line() for line `at` of the saved log-sum-exps, from new scores.
  void softmax_line_backward(Exec& exec, int64_t at, int64_t first, int64_t end, int64_t count,
                             float* scores, const float* dprobs, T* probs, T* dscores) const {
    std::memset(static_cast<void*>(probs), 0, static_cast<size_t>(first) * sizeof(T));
    std::memset(static_cast<void*>(dscores), 0, static_cast<size_t>(first) * sizeof(T));
    const float lse = exec.data<float>(lse_)[at];
    const float delta = exec.data<float>(delta_)[at];
    if (spec_.softcap > 0) {
      exec.rows<T>().softmax_backward_capped(scores + first, dprobs + first, end - first,
                                             count - first, spec_.scale, spec_.softcap, lse, delta,
                                             probs + first, dscores + first);
    } else {
      exec.rows<T>().softmax_backward(scores + first, dprobs + first, end - first, count - first,
                                      spec_.scale, lse, delta, probs + first, dscores + first);
    }
  }

  void append_to_cache(Exec& exec) const {
    const Batch& batch = exec.batch();
    check(batch.rows.size() == 1, "cached attention: one sequence at a time");
    const int64_t first = batch.positions[0];
    check(first + exec.tokens() <= cache_->keys.dim(0), "cached attention: the cache is full");
    const auto bytes = static_cast<size_t>(exec.tokens() * kv_stride()) * sizeof(T);
    std::memcpy(static_cast<T*>(cache_->keys.mutable_data()) + first * kv_stride(),
                exec.data<T>(k_), bytes);
    std::memcpy(static_cast<T*>(cache_->values.mutable_data()) + first * kv_stride(),
                exec.data<T>(v_), bytes);
  }

  // Few queries against many cached keys: bound by reading the cache, so plain dot products.
  void forward_from_cache(Exec& exec) const {
    const int64_t hd = spec_.head_dim;
    exec.run(exec.tokens() * spec_.num_heads, [&](int64_t task, int) {
      const int64_t t = task / spec_.num_heads;
      const int64_t head = task % spec_.num_heads;
      const int64_t end = exec.batch().positions[static_cast<size_t>(t)] + 1;
      const int64_t keys = spec_.window > 0 ? std::min(end, spec_.window) : end;
      const int64_t at = (t * spec_.num_heads + head) * hd;
      const int64_t oldest = (end - keys) * kv_stride() + head / group() * hd;
      const T* k = static_cast<const T*>(cache_->keys.data()) + oldest;
      const T* v = static_cast<const T*>(cache_->values.data()) + oldest;
      std::vector<float> memory(static_cast<size_t>(2 * keys + 2 * hd));
      float* scores = memory.data();
      float* probs = scores + keys;
      float* query = probs + keys;
      float* sum = query + hd;
      exec.rows<T>().to_f32(exec.data<T>(q_) + at, hd, query);
      exec.rows<T>().rank_project(k, keys, kv_stride(), hd, query, hd, 1, 1.0f, scores);
      exec.data<float>(lse_)[task] = softmax_line(exec, scores, 0, keys, keys, probs);
      exec.rows<T>().rank_outer(v, keys, kv_stride(), hd, probs, 1, sum, hd);
      exec.rows<T>().from_f32(sum, hd, exec.data<T>(out_) + at);
    });
  }

  ValueId q_;
  ValueId k_;
  ValueId v_;
  AttentionSpec spec_;
  ValueId out_;
  ValueId lse_;
  ValueId delta_;
  ValueId head_dk_;  // f32 [num_heads * head_dim], gradient of k from each query head
  ValueId head_dv_;
  KvCacheLayer* cache_;
};

ValueId add_attention(Graph& graph, ValueId q, ValueId k, ValueId v, const AttentionSpec& spec,
                      KvCacheLayer* cache, DType dtype) {
  check(spec.num_heads % spec.num_kv_heads == 0,
        "attention: heads must share key-value heads evenly");
  const ValueId out = graph.add_value("attention", spec.num_heads * spec.head_dim, dtype);
  const ValueId lse = graph.add_value("attention lse", spec.num_heads, DType::kF32);
  const ValueId delta = graph.add_value("attention delta", spec.num_heads, DType::kF32);
  const int64_t cols = spec.num_heads * spec.head_dim;
  const ValueId dk = graph.add_value("attention dk of heads", cols, DType::kF32);
  const ValueId dv = graph.add_value("attention dv of heads", cols, DType::kF32);
  if (dtype == DType::kBF16) {
    graph.add_op(
        std::make_unique<AttentionOp<BF16>>(q, k, v, spec, out, lse, delta, dk, dv, cache));
  } else {
    graph.add_op(
        std::make_unique<AttentionOp<float>>(q, k, v, spec, out, lse, delta, dk, dv, cache));
  }
  return out;
}

}  // namespace

ValueId attention(Graph& graph, ValueId q, ValueId k, ValueId v, const AttentionSpec& spec,
                  DType dtype) {
  return add_attention(graph, q, k, v, spec, nullptr, dtype);
}

ValueId cached_attention(Graph& graph, ValueId q, ValueId k, ValueId v, const AttentionSpec& spec,
                         KvCacheLayer* cache, DType dtype) {
  check(cache != nullptr, "cached attention: no cache");
  return add_attention(graph, q, k, v, spec, cache, dtype);
}

}  // namespace dlm
