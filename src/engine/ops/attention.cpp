// Causal attention within each row, in blocks of queries. Scores of one block are f32 and live only
// in a worker's scratch; the backward pass recomputes them from the saved log-sum-exp (Dao et al.
// 2022).

#include <algorithm>
#include <bit>
#include <cstring>

#include "engine/cpu/gemm.h"
#include "engine/exec.h"
#include "engine/ops.h"
#include "support/error.h"

namespace dlm {

namespace {

// 128 queries a block fill oneDNN's tiles (190 GFLOP/s a core in bf16); short rows take the next
// smaller size that holds them, so that little of the block is padding.
int64_t block_size(int64_t row_length) {
  if (row_length <= 32) return 32;
  return row_length <= 64 ? 64 : 128;
}

// Score lines are this long in memory: a power of two, so that few product shapes exist.
int64_t score_stride(int64_t row_length) {
  return std::max<int64_t>(128,
                           static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(row_length))));
}

// Hands out pieces of a worker's scratch memory.
class Scratch {
 public:
  explicit Scratch(std::byte* memory) : at_(memory) {}
  template <class T>
  T* take(int64_t count) {
    T* piece = reinterpret_cast<T*>(at_);
    at_ += (static_cast<size_t>(count) * sizeof(T) + 63) / 64 * 64;
    return piece;
  }

 private:
  std::byte* at_;
};

// Lines [first, first + count) of one head: in place when they all are tokens of the batch, else
// copied into `spare` with zeros after the last token (what lies there must not reach a sum).
template <class T>
struct Lines {
  const T* data;
  int64_t ld;

  Lines(const T* base, int64_t stride, int64_t head_dim, int64_t first, int64_t count,
        int64_t num_tokens, T* spare)
      : data(base + first * stride), ld(stride) {
    if (first + count <= num_tokens) return;
    const int64_t real = num_tokens - first;
    for (int64_t t = 0; t < real; ++t) {
      std::memcpy(static_cast<void*>(spare + t * head_dim), data + t * stride,
                  static_cast<size_t>(head_dim) * sizeof(T));
    }
    std::memset(static_cast<void*>(spare + real * head_dim), 0,
                static_cast<size_t>((count - real) * head_dim) * sizeof(T));
    data = spare;
    ld = head_dim;
  }
};

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
              ValueId delta, KvCacheLayer* cache)
      : q_(q), k_(k), v_(v), spec_(spec), out_(out), lse_(lse), delta_(delta), cache_(cache) {}

  std::string name() const override { return "attention"; }
  std::vector<ValueId> reads() const override { return {q_, k_, v_}; }
  std::vector<ValueId> writes() const override { return {out_, lse_}; }
  std::vector<ValueId> saves() const override { return {q_, k_, v_, out_, lse_}; }
  std::vector<ValueId> backward_scratch() const override { return {delta_}; }
  size_t scratch_bytes(int64_t tokens) const override {
    // Backward: two f32 and two T score blocks, two f32 and four T sets of head lines, one f32
    // block.
    const int64_t length = std::max<int64_t>(128, (tokens + 127) / 128 * 128);
    const int64_t scores = 128 * score_stride(tokens);
    const int64_t lines = (length + 128) * spec_.head_dim;
    const int64_t bytes = scores * (8 + 2 * static_cast<int64_t>(sizeof(T))) +
                          lines * (8 + 4 * static_cast<int64_t>(sizeof(T))) +
                          128 * spec_.head_dim * 4;
    const int64_t cached = cache_ == nullptr ? 0 : 2 * cache_->keys.dim(0) + 2 * spec_.head_dim;
    return static_cast<size_t>(std::max(bytes, cached * 4)) + 16 * 64;
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
    exec.run(static_cast<int64_t>(rows.size()) * spec_.num_kv_heads, [&](int64_t task, int worker) {
      const BatchRow& row = rows[static_cast<size_t>(task / spec_.num_kv_heads)];
      backward_head_group(exec, row, task % spec_.num_kv_heads, exec.scratch(worker));
    });
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
        for (int64_t start = 0; row.begin + start < row.end; start += block) {
          tasks.push_back({row, head, start, block});
        }
      }
    }
    const int64_t hd = spec_.head_dim;
    exec.run(static_cast<int64_t>(tasks.size()), [&](int64_t index, int worker) {
      const Task& t = tasks[static_cast<size_t>(index)];
      const int64_t stride = score_stride(t.row.end - t.row.begin);
      const int64_t keys = t.start + t.block;
      const int64_t kv_head = t.head / group();
      Scratch scratch(exec.scratch(worker));
      float* scores = scratch.take<float>(t.block * stride);
      T* probs = scratch.take<T>(t.block * stride);
      float* tile = scratch.take<float>(t.block * hd);
      const Lines<T> q(exec.data<T>(q_) + t.head * hd, q_stride(), hd, t.row.begin + t.start,
                       t.block, exec.tokens(), scratch.take<T>(t.block * hd));
      const Lines<T> k(exec.data<T>(k_) + kv_head * hd, kv_stride(), hd, t.row.begin, keys,
                       exec.tokens(), scratch.take<T>(keys * hd));
      const Lines<T> v(exec.data<T>(v_) + kv_head * hd, kv_stride(), hd, t.row.begin, keys,
                       exec.tokens(), scratch.take<T>(keys * hd));
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
        exec.data<float>(lse_)[(first + i) * spec_.num_heads + t.head] = exec.rows<T>().softmax(
            scores + i * stride, t.start + i + 1, keys, spec_.scale, probs + i * stride);
      }
      gemm(product<T>(t.block, hd, keys, stride, v.ld, hd), probs, v.data, tile);
      for (int64_t i = 0; i < t.block && first + i < t.row.end; ++i) {
        exec.rows<T>().from_f32(tile + i * hd, hd,
                                exec.data<T>(out_) + (first + i) * q_stride() + t.head * hd);
      }
    });
  }

  // Gradients of all query heads that share one key-value head, in one row.
  void backward_head_group(Exec& exec, const BatchRow& row, int64_t kv_head,
                           std::byte* memory) const {
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
    for (int64_t head = kv_head * group(); head < (kv_head + 1) * group(); ++head) {
      for (int64_t start = 0; start < length; start += block) {
        const int64_t keys = start + block;
        const int64_t first = row.begin + start;
        const Lines<T> q(exec.data<T>(q_) + head * hd, q_stride(), hd, first, block, exec.tokens(),
                         spare_q);
        const Lines<T> dout(exec.grad<T>(out_) + head * hd, q_stride(), hd, first, block,
                            exec.tokens(), spare_do);
        GemmShape qk = product<T>(block, keys, hd, q.ld, k.ld, stride);
        qk.trans_b = true;
        gemm(qk, q.data, k.data, scores);
        GemmShape dov = product<T>(block, keys, hd, dout.ld, v.ld, stride);
        dov.trans_b = true;
        gemm(dov, dout.data, v.data, dprobs);
        for (int64_t i = 0; i < block; ++i) {
          const int64_t valid = first + i < row.end ? start + i + 1 : 0;
          const int64_t at = valid > 0 ? (first + i) * spec_.num_heads + head : 0;
          exec.rows<T>().softmax_backward(scores + i * stride, dprobs + i * stride, valid, keys,
                                          spec_.scale, exec.data<float>(lse_)[at],
                                          exec.data<float>(delta_)[at], probs + i * stride,
                                          dscores + i * stride);
        }
        gemm(product<T>(block, hd, keys, stride, k.ld, hd), dscores, k.data, tile);
        for (int64_t i = 0; i < block && first + i < row.end; ++i) {
          exec.rows<T>().from_f32(tile + i * hd, hd,
                                  exec.grad<T>(q_) + (first + i) * q_stride() + head * hd);
        }
        GemmShape to_keys = product<T>(keys, hd, block, stride, q.ld, hd);
        to_keys.trans_a = true;
        to_keys.accumulate = true;
        gemm(to_keys, dscores, q.data, dk);
        to_keys.ldb = dout.ld;
        gemm(to_keys, probs, dout.data, dv);
      }
    }
    for (int64_t t = 0; t < length; ++t) {
      const int64_t at = (row.begin + t) * kv_stride() + kv_head * hd;
      exec.rows<T>().from_f32(dk + t * hd, hd, exec.grad<T>(k_) + at);
      exec.rows<T>().from_f32(dv + t * hd, hd, exec.grad<T>(v_) + at);
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
    exec.run(exec.tokens() * spec_.num_heads, [&](int64_t task, int worker) {
      const int64_t t = task / spec_.num_heads;
      const int64_t head = task % spec_.num_heads;
      const int64_t keys = exec.batch().positions[static_cast<size_t>(t)] + 1;
      const int64_t at = (t * spec_.num_heads + head) * hd;
      const T* k = static_cast<const T*>(cache_->keys.data()) + head / group() * hd;
      const T* v = static_cast<const T*>(cache_->values.data()) + head / group() * hd;
      Scratch scratch(exec.scratch(worker));
      float* scores = scratch.take<float>(keys);
      float* probs = scratch.take<float>(keys);
      float* query = scratch.take<float>(hd);
      float* sum = scratch.take<float>(hd);
      std::memset(sum, 0, static_cast<size_t>(hd) * sizeof(float));
      exec.rows<T>().to_f32(exec.data<T>(q_) + at, hd, query);
      exec.rows<T>().rank_project(k, keys, kv_stride(), hd, query, hd, 1, 1.0f, scores);
      exec.data<float>(lse_)[task] =
          exec.rows<float>().softmax(scores, keys, keys, spec_.scale, probs);
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
  KvCacheLayer* cache_;
};

ValueId add_attention(Graph& graph, ValueId q, ValueId k, ValueId v, const AttentionSpec& spec,
                      KvCacheLayer* cache, DType dtype) {
  check(spec.num_heads % spec.num_kv_heads == 0,
        "attention: heads must share key-value heads evenly");
  const ValueId out = graph.add_value("attention", spec.num_heads * spec.head_dim, dtype);
  const ValueId lse = graph.add_value("attention lse", spec.num_heads, DType::kF32);
  const ValueId delta = graph.add_value("attention delta", spec.num_heads, DType::kF32);
  if (dtype == DType::kBF16) {
    graph.add_op(std::make_unique<AttentionOp<BF16>>(q, k, v, spec, out, lse, delta, cache));
  } else {
    graph.add_op(std::make_unique<AttentionOp<float>>(q, k, v, spec, out, lse, delta, cache));
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
