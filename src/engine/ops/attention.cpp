// Causal attention within each row. The backward pass recomputes the scores from the saved
// log-sum-exp (Dao et al. 2022).

#include <algorithm>
#include <cstring>

#include "engine/cpu/gemm.h"
#include "engine/exec.h"
#include "engine/ops.h"
#include "engine/ops/attention_blocks.h"
#include "engine/ops/attention_forward.h"
#include "support/error.h"

namespace dlm {

namespace {

template <class T>
class AttentionOp : public Op {
 public:
  AttentionOp(ValueId q, ValueId k, ValueId v, AttentionSpec spec, ValueId out, ValueId lse,
              ValueId delta, ValueId head_dk, ValueId head_dv)
      : q_(q),
        k_(k),
        v_(v),
        spec_(spec),
        out_(out),
        lse_(lse),
        delta_(delta),
        head_dk_(head_dk),
        head_dv_(head_dv) {}

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
    const AttentionForward<T> math{spec_, {q_, out_, lse_}};
    std::vector<QueryBlock> blocks;
    const auto& rows = exec.batch().rows;
    for (size_t i = 0; i < rows.size(); ++i) add_blocks(i, rows[i], 0, spec_.num_heads, blocks);
    exec.run(static_cast<int64_t>(blocks.size()), [&](int64_t task, int worker) {
      const QueryBlock& b = blocks[static_cast<size_t>(task)];
      const int64_t begin = rows[b.row].begin;
      const int64_t at = begin * kv_stride() + math.kv_head(b.head) * spec_.head_dim;
      const HeadLines<T> lines{exec.data<T>(k_) + at, exec.data<T>(v_) + at, kv_stride(),
                               exec.tokens() - begin};
      math.attend_block(exec, b, lines, exec.scratch(worker));
    });
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
      GemmShape qk = head_product<T>(block, keys, hd, q.ld, k.ld, stride);
      qk.trans_b = true;
      qk.triangle = Triangle::kOutput;
      qk.diagonal = range.diagonal();
      gemm(qk, q.data, block_k, scores);
      GemmShape dov = head_product<T>(block, keys, hd, dout.ld, v.ld, stride);
      dov.trans_b = true;
      dov.triangle = Triangle::kOutput;
      dov.diagonal = range.diagonal();
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
      GemmShape to_queries = head_product<T>(block, hd, keys, stride, k.ld, hd);
      to_queries.triangle = Triangle::kLowerLeft;
      to_queries.diagonal = range.diagonal();
      gemm(to_queries, dscores, block_k, tile);
      for (int64_t i = 0; i < block && first + i < row.end; ++i) {
        exec.rows<T>().from_f32(tile + i * hd, hd,
                                exec.grad<T>(q_) + (first + i) * q_stride() + head * hd);
      }
      GemmShape to_keys = head_product<T>(keys, hd, block, stride, q.ld, hd);
      to_keys.trans_a = true;
      to_keys.accumulate = true;
      to_keys.triangle = Triangle::kUpperLeft;
      to_keys.diagonal = range.diagonal();
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

  ValueId q_;
  ValueId k_;
  ValueId v_;
  AttentionSpec spec_;
  ValueId out_;
  ValueId lse_;
  ValueId delta_;
  ValueId head_dk_;  // f32 [num_heads * head_dim], gradient of k from each query head
  ValueId head_dv_;
};

}  // namespace

ValueId attention(Graph& graph, ValueId q, ValueId k, ValueId v, const AttentionSpec& spec,
                  DType dtype) {
  check(spec.num_heads % spec.num_kv_heads == 0,
        "attention: heads must share key-value heads evenly");
  const int64_t cols = spec.num_heads * spec.head_dim;
  const ValueId out = graph.add_value("attention", cols, dtype);
  const ValueId lse = graph.add_value("attention lse", spec.num_heads, DType::kF32);
  const ValueId delta = graph.add_value("attention delta", spec.num_heads, DType::kF32);
  const ValueId dk = graph.add_value("attention dk of heads", cols, DType::kF32);
  const ValueId dv = graph.add_value("attention dv of heads", cols, DType::kF32);
  if (dtype == DType::kBF16) {
    graph.add_op(std::make_unique<AttentionOp<BF16>>(q, k, v, spec, out, lse, delta, dk, dv));
  } else {
    graph.add_op(std::make_unique<AttentionOp<float>>(q, k, v, spec, out, lse, delta, dk, dv));
  }
  return out;
}

}  // namespace dlm
