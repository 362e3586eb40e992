// How attention cuts a row: blocks of queries, the keys that they see, and lines of one head in
// memory. Private to the operations of attention.
#pragma once

#include <algorithm>
#include <bit>
#include <cstring>

#include "engine/graph.h"

namespace dlm {

// 128 queries a block fill oneDNN's tiles (190 GFLOP/s a core in bf16); short rows take the next
// smaller size that holds them, so that little of the block is padding.
inline int64_t block_size(int64_t row_length) {
  if (row_length <= 32) return 32;
  return row_length <= 64 ? 64 : 128;
}

// Score lines are this long in memory: a power of two, so that few product shapes exist, and a
// little more, so that lines do not fall into the same cache sets.
inline int64_t score_stride(int64_t row_length) {
  const auto power = static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(row_length)));
  return std::max<int64_t>(128, power) + 32;
}

// The keys that a block of queries sees, as positions in the row: [first, end) for the block, whole
// blocks of tokens so that few product shapes exist, and within it [visible_first(i),
// visible_end(i)) for its i-th query, counted from `first`.
struct KeyRange {
  int64_t start;   // the block's first query
  int64_t window;  // 0: no limit
  int64_t first;
  int64_t end;

  KeyRange(int64_t start_in_row, int64_t block, int64_t window_size)
      : start(start_in_row),
        window(window_size),
        end((start_in_row + block + kTokenBlock - 1) / kTokenBlock * kTokenBlock) {
    const int64_t oldest = window > 0 ? std::max<int64_t>(0, start - window + 1) : 0;
    first = oldest / kTokenBlock * kTokenBlock;
  }
  int64_t count() const { return end - first; }
  // The i-th query sees no key after the (i + diagonal)-th.
  int64_t diagonal() const { return start - first; }
  int64_t visible_first(int64_t i) const {
    return window > 0 ? std::max(start + i - window + 1, first) - first : 0;
  }
  int64_t visible_end(int64_t i) const { return i + diagonal() + 1; }
};

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

// Lines [first, first + count) of one head: in place when they all are among the num_tokens from
// `base`, else copied into `spare` with zeros after the last one (what lies there must not reach a
// sum).
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

}  // namespace dlm
