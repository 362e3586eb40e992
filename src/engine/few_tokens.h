// Products of one to four tokens with rows of a weight: bound by reading the weight, in whatever
// form it is held, not by arithmetic.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/cpu/kernels.h"
#include "engine/parameter.h"

namespace dlm {

inline constexpr int64_t kFewTokens = 4;

// Up to kFewTokens lines of T [in], in the forms that products take (FewLines).
template <class T>
class FewTokens {
 public:
  FewTokens(const Kernels& kernels, const T* lines, int64_t tokens, int64_t in)
      : ld_((in + kLineBlock - 1) / kLineBlock * kLineBlock),
        x_(static_cast<size_t>(tokens * ld_)),
        codes_(x_.size()),
        scales_16_(x_.size() / 16),
        scales_32_(x_.size() / 32),
        scales_64_(x_.size() / 64),
        sums_(x_.size() / 32) {
    for (int64_t m = 0; m < tokens; ++m) {
      const int64_t at = m * ld_;
      kernels.rows<T>().to_f32(lines + m * in, in, x_.data() + at);
      kernels.encode_line(x_.data() + at, in, codes_.data() + at, scales_16_.data() + at / 16,
                          scales_32_.data() + at / 32, scales_64_.data() + at / 64,
                          sums_.data() + at / 32);
    }
    lines_ = {.tokens = tokens,
              .ld = ld_,
              .x = x_.data(),
              .codes = codes_.data(),
              .scales_16 = scales_16_.data(),
              .scales_32 = scales_32_.data(),
              .scales_64 = scales_64_.data(),
              .sums = sums_.data()};
  }
  FewTokens(const FewTokens&) = delete;
  FewTokens& operator=(const FewTokens&) = delete;

  const FewLines& lines() const { return lines_; }

  // y[m, j] = weight[first + j] . line m: weight T or quantized, y f32 [tokens, ldy].
  void multiply(const Kernels& kernels, const Parameter& weight, int64_t first, int64_t count,
                float* y, int64_t ldy) const {
    if (weight.quantized != nullptr) {
      weight.quantized->multiply(kernels, first, count, lines_, y, ldy);
      return;
    }
    const int64_t in = weight.value.dim(1);
    kernels.rows<T>().gemv(static_cast<const T*>(weight.value.data()) + first * in, count, in,
                           lines_.x, ld_, lines_.tokens, y, ldy);
  }

 private:
  int64_t ld_;
  std::vector<float> x_;
  std::vector<int16_t> codes_;
  std::vector<float> scales_16_, scales_32_, scales_64_, sums_;
  FewLines lines_;
};

}  // namespace dlm
