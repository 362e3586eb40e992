// A frozen weight matrix held in 8 or 4 bits. It is never updated and never multiplied as a whole:
// few tokens are multiplied by its rows as they lie, and for many tokens its rows are decoded into
// the computing type first.
//
// Both formats cut a row into blocks of 64 weights; the last block of a row is filled with zeros.
// - int8: code = round(127 w / absmax), absmax the block's largest magnitude; one f32 scale a
// block,
//   8.5 bits a weight.
// - NF4 (Dettmers et al. 2023, QLoRA): the nearest of 16 levels times absmax. The absmaxes are
//   quantized themselves: 256 consecutive blocks, in row order, share an f32 mean and an f32 step,
//   and each stores round((absmax - mean) / step) in 8 bits, step = the largest distance from the
//   mean / 127. 4.13 bits a weight. (The paper stores the second level as 8-bit floats; equal steps
//   around the mean need no table and move a scale by less than 0.4% of the spread of its group.)
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/cpu/kernels.h"
#include "engine/tensor.h"
#include "support/threads.h"

namespace dlm {

enum class QuantFormat : uint8_t { kInt8, kNF4 };

class QuantizedMatrix {
 public:
  // From f32, bf16 or f16 [rows, cols], read once, row by row. The bytes depend on the weights
  // only. Throws Error(kBase) naming `name` when a weight is not a finite number.
  static std::shared_ptr<const QuantizedMatrix> quantize(const Tensor& weights, QuantFormat format,
                                                         const std::string& name,
                                                         const Kernels& kernels, ThreadPool& pool);

  QuantFormat format() const { return format_; }
  int64_t rows() const { return rows_; }
  int64_t cols() const { return cols_; }
  // cols() rounded up to whole blocks: the length of the x lines of multiply().
  int64_t padded_cols() const { return blocks_ * kQuantBlock; }
  size_t size_bytes() const { return codes_bytes_ + scales_bytes_; }

  // Rows [first, first + count) in T, dense [count, cols].
  template <class T>
  void dequantize(const Kernels& kernels, int64_t first, int64_t count, T* out) const;

  // y[m, j] = row(first + j) . x[m], for one to four tokens m: x f32 [tokens, ldx] with zeros from
  // cols() to padded_cols(), y f32 [tokens, ldy]. A result does not depend on what else the call
  // computes.
  void multiply(const Kernels& kernels, int64_t first, int64_t count, const float* x, int64_t ldx,
                int64_t tokens, float* y, int64_t ldy) const;

 private:
  QuantizedMatrix() = default;
  template <class T>
  void quantize_rows(const T* weights, int64_t first, int64_t count, const Kernels& kernels,
                     float* scales);
  // Block scales of `count` blocks from `first` on; int8 scales lie ready, others go to `spare`.
  const float* scales(const Kernels& kernels, int64_t first, int64_t count, float* spare) const;
  void quantize_scales(const float* absmax, int64_t group);
  const int8_t* int8_row(int64_t row) const {
    return reinterpret_cast<const int8_t*>(codes_.get()) + row * padded_cols();
  }
  const uint16_t* nf4_row(int64_t row) const {
    return reinterpret_cast<const uint16_t*>(codes_.get()) + row * padded_cols() / 4;
  }

  QuantFormat format_ = QuantFormat::kInt8;
  int64_t rows_ = 0;
  int64_t cols_ = 0;
  int64_t blocks_ = 0;                // of a row
  std::shared_ptr<std::byte> codes_;  // [rows, padded_cols], 8 or 4 bits each
  size_t codes_bytes_ = 0;
  std::shared_ptr<std::byte> scales_;  // int8: f32 [rows, blocks]; NF4: int8 [rows, blocks]
  size_t scales_bytes_ = 0;
  // NF4: of each 256 blocks.
  struct ScaleGroup {
    float mean = 0;
    float step = 0;
  };
  std::vector<ScaleGroup> groups_;
};

}  // namespace dlm
