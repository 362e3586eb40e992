// A frozen weight matrix held in codes of 8 bits or fewer, or as a GGUF file holds it. It is never
// updated and never multiplied as a whole: few tokens are multiplied by its rows as they lie, and
// for many tokens its rows are decoded into the computing type first.
//
// Two formats are our own. Both cut a row into blocks of 64 weights; the last block of a row is
// filled with zeros.
// - int8: code = round(127 w / absmax), absmax the block's largest magnitude; one f32 scale a
// block,
//   8.5 bits a weight.
// - NF4 (Dettmers et al. 2023, QLoRA): the nearest of 16 levels times absmax. The absmaxes are
//   quantized themselves: 256 consecutive blocks, in row order, share an f32 mean and an f32 step,
//   and each stores round((absmax - mean) / step) in 8 bits, step = the largest distance from the
//   mean / 127. 4.13 bits a weight. (The paper stores the second level as 8-bit floats; equal steps
//   around the mean need no table and move a scale by less than 0.4% of the spread of its group.)
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "engine/cpu/kernels.h"
#include "engine/tensor.h"
#include "formats/ggml_type.h"
#include "support/threads.h"

namespace dlm {

enum class QuantFormat : uint8_t { kInt8, kNF4 };

class QuantizedMatrix {
 public:
  // From f32, bf16 or f16 [rows, cols], read once, row by row. The bytes depend on the weights
  // only. They lie in `arena`. Throws Error(kBase) naming `name` when a weight is not a finite
  // number.
  static std::shared_ptr<const QuantizedMatrix> quantize(const Tensor& weights, QuantFormat format,
                                                         const std::string& name,
                                                         const Kernels& kernels, ThreadPool& pool,
                                                         Arena& arena);

  // A view of rows as a GGUF file holds them, in any type but integers: `data` has rows times
  // ggml_row_bytes(type, cols) bytes, which live as long as `owner`; cols is a whole number of
  // blocks. Rows are those of the file, in its order. Nothing is read here.
  static std::shared_ptr<const QuantizedMatrix> from_blocks(GgmlType type, int64_t rows,
                                                            int64_t cols, const std::byte* data,
                                                            std::shared_ptr<const void> owner);

  virtual ~QuantizedMatrix() = default;
  QuantizedMatrix(const QuantizedMatrix&) = delete;
  QuantizedMatrix& operator=(const QuantizedMatrix&) = delete;

  int64_t rows() const { return rows_; }
  int64_t cols() const { return cols_; }
  // Bytes of codes and scales: what a product reads.
  virtual size_t size_bytes() const = 0;
  // The rows as they lie, dense, where they are held as bf16; else null.
  virtual const BF16* bf16_rows() const { return nullptr; }

  // Rows [first, first + count) in f32 or bf16, dense [count, cols]. bf16 is f32 rounded once.
  virtual void dequantize(const Kernels& kernels, int64_t first, int64_t count,
                          float* out) const = 0;
  virtual void dequantize(const Kernels& kernels, int64_t first, int64_t count,
                          BF16* out) const = 0;

  // y[m, j] = row(first + j) . x[m], for one to four tokens m, y f32 [tokens, ldy]. A result does
  // not depend on what else the call computes.
  virtual void multiply(const Kernels& kernels, int64_t first, int64_t count, const FewLines& x,
                        float* y, int64_t ldy) const = 0;

 protected:
  QuantizedMatrix(int64_t rows, int64_t cols) : rows_(rows), cols_(cols) {}

 private:
  int64_t rows_;
  int64_t cols_;
};

}  // namespace dlm
