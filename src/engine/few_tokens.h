// Products of one to four tokens with rows of a weight: bound by reading the weight, in whatever
// form it is held, not by arithmetic.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "engine/cpu/kernels.h"
#include "engine/parameter.h"

namespace dlm {

inline constexpr int64_t kFewTokens = 4;

// Up to kFewTokens lines of T [in], in f32 and filled with zeros to whole blocks of a quantized
// weight.
template <class T>
class FewTokens {
 public:
  FewTokens(const RowKernels<T>& rows, const T* lines, int64_t tokens, int64_t in)
      : tokens_(tokens),
        ld_((in + kQuantBlock - 1) / kQuantBlock * kQuantBlock),
        x_(static_cast<size_t>(tokens * ld_)) {
    for (int64_t m = 0; m < tokens; ++m) rows.to_f32(lines + m * in, in, x_.data() + m * ld_);
  }

  // y[m, j] = weight[first + j] . line m: weight T or quantized, y f32 [tokens, ldy].
  void multiply(const Kernels& kernels, const Parameter& weight, int64_t first, int64_t count,
                float* y, int64_t ldy) const {
    if (weight.quantized != nullptr) {
      weight.quantized->multiply(kernels, first, count, x_.data(), ld_, tokens_, y, ldy);
      return;
    }
    const int64_t in = weight.value.dim(1);
    kernels.rows<T>().gemv(static_cast<const T*>(weight.value.data()) + first * in, count, in,
                           x_.data(), ld_, tokens_, y, ldy);
  }

 private:
  int64_t tokens_;
  int64_t ld_;
  std::vector<float> x_;
};

}  // namespace dlm
