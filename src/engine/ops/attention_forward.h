// Causal attention forwards, in blocks of queries: shared by attention within the rows of a batch
// and attention over cached sequences. Scores of one block are f32 and live only in a worker's
// scratch memory. Private to the two operations.
#pragma once

#include <algorithm>
#include <cstring>
#include <vector>

#include "engine/cpu/gemm.h"
#include "engine/exec.h"
#include "engine/ops.h"
#include "engine/ops/attention_blocks.h"

namespace dlm {

template <class T>
GemmShape head_product(int64_t m, int64_t n, int64_t k, int64_t lda, int64_t ldb, int64_t ldc) {
  GemmShape shape;
  shape.m = m;
  shape.n = n;
  shape.k = k;
  shape.lda = lda;
  shape.ldb = ldb;
  shape.ldc = ldc;
  shape.input = sizeof(T) == 2 ? DType::kBF16 : DType::kF32;
  return shape;
}

// Of a sequence from its first position, of one head: `count` lines T [head_dim], ld apart.
template <class T>
struct HeadLines {
  const T* keys;
  const T* values;
  int64_t ld;
  int64_t count;
};

// Some queries of a row, of one head.
struct QueryBlock {
  size_t row;  // index in the batch
  int64_t head;
  int64_t token;     // the first, in the batch
  int64_t end;       // of the row, in the batch
  int64_t position;  // of the first, in its sequence
  int64_t size;
  int64_t stride;  // of score lines
};

// All of a row whose first token has that position.
inline void add_blocks(size_t index, const BatchRow& row, int64_t position, int64_t num_heads,
                       std::vector<QueryBlock>& blocks) {
  const int64_t length = row.end - row.begin;
  const int64_t size = block_size(length);
  const int64_t count = (length + size - 1) / size;
  const int64_t stride = position == 0
                             ? score_stride(length)
                             : score_stride(KeyRange(position + (count - 1) * size, size, 0).end);
  for (int64_t head = 0; head < num_heads; ++head) {
    // The last blocks see the most keys: first come the long tasks.
    for (int64_t i = count - 1; i >= 0; --i) {
      const int64_t first = i * size;
      blocks.push_back({index, head, row.begin + first, row.end, position + first, size, stride});
    }
  }
}

template <class T>
class AttentionForward {
 public:
  struct Values {
    ValueId q;
    ValueId out;
    ValueId lse;
  };
  AttentionForward(const AttentionSpec& spec, Values values) : spec_(spec), values_(values) {}

  int64_t q_stride() const { return spec_.num_heads * spec_.head_dim; }
  int64_t kv_head(int64_t head) const { return head / (spec_.num_heads / spec_.num_kv_heads); }

  // What attend_block() needs for sequences of so many tokens.
  static size_t block_bytes(const AttentionSpec& spec, int64_t tokens) {
    const int64_t keys = (tokens + 128 + kTokenBlock) / kTokenBlock * kTokenBlock;
    const int64_t scores = 128 * score_stride(keys) * static_cast<int64_t>(4 + sizeof(T));
    const int64_t lines = (128 + 2 * keys) * spec.head_dim * static_cast<int64_t>(sizeof(T));
    return static_cast<size_t>(scores + lines + 128 * spec.head_dim * 4) + 8 * 64;
  }

  void attend_block(Exec& exec, const QueryBlock& b, const HeadLines<T>& lines,
                    std::byte* memory) const {
    const int64_t hd = spec_.head_dim;
    const KeyRange range(b.position, b.size, spec_.window);
    const int64_t keys = range.count();
    Scratch scratch(memory);
    float* scores = scratch.take<float>(b.size * b.stride);
    T* probs = scratch.take<T>(b.size * b.stride);
    float* tile = scratch.take<float>(b.size * hd);
    const Lines<T> q(exec.data<T>(values_.q) + b.head * hd, q_stride(), hd, b.token, b.size,
                     exec.tokens(), scratch.take<T>(b.size * hd));
    const Lines<T> k(lines.keys, lines.ld, hd, range.first, keys, lines.count,
                     scratch.take<T>(keys * hd));
    const Lines<T> v(lines.values, lines.ld, hd, range.first, keys, lines.count,
                     scratch.take<T>(keys * hd));
    GemmShape qk = head_product<T>(b.size, keys, hd, q.ld, k.ld, b.stride);
    qk.trans_b = true;
    qk.triangle = Triangle::kOutput;
    qk.diagonal = range.diagonal();
    gemm(qk, q.data, k.data, scores);
    for (int64_t i = 0; i < b.size; ++i) {
      if (b.token + i >= b.end) {
        std::memset(static_cast<void*>(probs + i * b.stride), 0,
                    static_cast<size_t>(keys) * sizeof(T));
        continue;
      }
      exec.data<float>(values_.lse)[(b.token + i) * spec_.num_heads + b.head] =
          softmax_line(exec, scores + i * b.stride, range.visible_first(i), range.visible_end(i),
                       keys, probs + i * b.stride);
    }
    GemmShape pv = head_product<T>(b.size, hd, keys, b.stride, v.ld, hd);
    pv.triangle = Triangle::kLowerLeft;
    pv.diagonal = range.diagonal();
    gemm(pv, probs, v.data, tile);
    for (int64_t i = 0; i < b.size && b.token + i < b.end; ++i) {
      exec.rows<T>().from_f32(tile + i * hd, hd,
                              exec.data<T>(values_.out) + (b.token + i) * q_stride() + b.head * hd);
    }
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

 private:
  const AttentionSpec& spec_;
  Values values_;
};

}  // namespace dlm
