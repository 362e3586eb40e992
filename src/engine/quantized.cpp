#include "engine/quantized.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <vector>

#include "support/error.h"

namespace dlm {

namespace {

constexpr int64_t kScaleBlock = 256;  // absmaxes that share mean and step
constexpr int64_t kTaskRows = 32;

float to_f32(float x) {
  return x;
}
struct F16 {
  uint16_t bits;
};
float to_f32(F16 x) {
  return f16_to_f32(x.bits);
}

template <class T>
void widen_row(const Kernels&, const T* x, int64_t n, float* y) {
  for (int64_t i = 0; i < n; ++i) y[i] = to_f32(x[i]);
}
template <>
void widen_row(const Kernels& kernels, const BF16* x, int64_t n, float* y) {
  kernels.bf16.to_f32(x, n, y);
}

}  // namespace

std::shared_ptr<const QuantizedMatrix> QuantizedMatrix::quantize(const Tensor& weights,
                                                                 QuantFormat format,
                                                                 const std::string& name,
                                                                 const Kernels& kernels,
                                                                 ThreadPool& pool) {
  check(weights.shape().size() == 2 && weights.data() != nullptr, "quantize: not a matrix");
  std::shared_ptr<QuantizedMatrix> q(new QuantizedMatrix);
  q->format_ = format;
  q->rows_ = weights.dim(0);
  q->cols_ = weights.dim(1);
  q->blocks_ = (q->cols_ + kQuantBlock - 1) / kQuantBlock;
  const int64_t num_blocks = q->rows_ * q->blocks_;
  const bool is_nf4 = format == QuantFormat::kNF4;
  q->codes_bytes_ = static_cast<size_t>(num_blocks * kQuantBlock / (is_nf4 ? 2 : 1));
  q->codes_ = allocate_aligned(q->codes_bytes_);
  // The scales in f32; NF4 needs them for a moment only.
  const auto absmax = allocate_aligned(static_cast<size_t>(num_blocks) * sizeof(float));
  auto* scales = reinterpret_cast<float*>(absmax.get());
  pool.run((q->rows_ + kTaskRows - 1) / kTaskRows, [&](int64_t task, int) {
    const int64_t first = task * kTaskRows;
    const int64_t count = std::min(kTaskRows, q->rows_ - first);
    switch (weights.dtype()) {
      case DType::kF32:
        return q->quantize_rows(weights.f32(), first, count, kernels, scales);
      case DType::kBF16:
        return q->quantize_rows(weights.bf16(), first, count, kernels, scales);
      case DType::kF16:
        return q->quantize_rows(static_cast<const F16*>(weights.data()), first, count, kernels,
                                scales);
      case DType::kI32:
        check(false, "quantize: integers");
    }
  });
  for (int64_t block = 0; block < num_blocks; ++block) {
    if (std::isfinite(scales[block])) continue;
    throw Error(ErrorKind::kBase,
                "tensor \"" + name + "\" holds a number that is not finite, in row " +
                    std::to_string(block / q->blocks_),
                "the checkpoint is damaged: fetch it again");
  }
  if (!is_nf4) {
    q->scales_ = absmax;
    q->scales_bytes_ = static_cast<size_t>(num_blocks) * sizeof(float);
    return q;
  }
  q->groups_.resize(static_cast<size_t>((num_blocks + kScaleBlock - 1) / kScaleBlock));
  q->scales_ = allocate_aligned(static_cast<size_t>(num_blocks));
  q->scales_bytes_ = static_cast<size_t>(num_blocks) + q->groups_.size() * sizeof(ScaleGroup);
  for (size_t group = 0; group < q->groups_.size(); ++group) {
    q->quantize_scales(scales, static_cast<int64_t>(group));
  }
  return q;
}

template <class T>
void QuantizedMatrix::quantize_rows(const T* weights, int64_t first, int64_t count,
                                    const Kernels& kernels, float* scales) {
  std::vector<float> row(static_cast<size_t>(cols_));
  for (int64_t r = first; r < first + count; ++r) {
    widen_row(kernels, weights + r * cols_, cols_, row.data());
    if (format_ == QuantFormat::kInt8) {
      kernels.quantize_int8(row.data(), cols_, const_cast<int8_t*>(int8_row(r)),
                            scales + r * blocks_);
    } else {
      kernels.quantize_nf4(row.data(), cols_, const_cast<uint16_t*>(nf4_row(r)),
                           scales + r * blocks_);
    }
  }
}

void QuantizedMatrix::quantize_scales(const float* absmax, int64_t group) {
  const int64_t first = group * kScaleBlock;
  const int64_t count = std::min(kScaleBlock, rows_ * blocks_ - first);
  const float* a = absmax + first;
  auto* codes = reinterpret_cast<int8_t*>(scales_.get()) + first;
  double total = 0;
  for (int64_t i = 0; i < count; ++i) total += static_cast<double>(a[i]);
  const auto mean = static_cast<float>(total / static_cast<double>(count));
  float farthest = 0;
  for (int64_t i = 0; i < count; ++i) farthest = std::max(farthest, std::abs(a[i] - mean));
  const float step = farthest / 127.0f;
  groups_[static_cast<size_t>(group)] = {mean, step};
  for (int64_t i = 0; i < count; ++i) {
    const float code = step > 0 ? std::nearbyint((a[i] - mean) / step) : 0.0f;
    codes[i] = static_cast<int8_t>(std::clamp(code, -127.0f, 127.0f));
  }
}

const float* QuantizedMatrix::scales(const Kernels& kernels, int64_t first, int64_t count,
                                     float* spare) const {
  if (format_ == QuantFormat::kInt8) {
    return reinterpret_cast<const float*>(scales_.get()) + first;
  }
  const auto* codes = reinterpret_cast<const int8_t*>(scales_.get());
  for (int64_t at = first; at < first + count;) {
    const int64_t group = at / kScaleBlock;
    const int64_t end = std::min((group + 1) * kScaleBlock, first + count);
    const ScaleGroup& g = groups_[static_cast<size_t>(group)];
    kernels.decode_scales(codes + at, end - at, g.mean, g.step, spare + (at - first));
    at = end;
  }
  return spare;
}

template <class T>
void QuantizedMatrix::dequantize(const Kernels& kernels, int64_t first, int64_t count,
                                 T* out) const {
  check(first >= 0 && count >= 0 && first + count <= rows_, "dequantize: rows beyond the matrix");
  std::vector<float> spare(static_cast<size_t>(blocks_));
  for (int64_t r = first; r < first + count; ++r) {
    const float* row_scales = scales(kernels, r * blocks_, blocks_, spare.data());
    T* line = out + (r - first) * cols_;
    if (format_ == QuantFormat::kInt8) {
      kernels.rows<T>().dequantize_int8(int8_row(r), row_scales, cols_, line);
    } else {
      kernels.rows<T>().dequantize_nf4(nf4_row(r), row_scales, cols_, line);
    }
  }
}

template void QuantizedMatrix::dequantize(const Kernels&, int64_t, int64_t, float*) const;
template void QuantizedMatrix::dequantize(const Kernels&, int64_t, int64_t, BF16*) const;

void QuantizedMatrix::multiply(const Kernels& kernels, int64_t first, int64_t count, const float* x,
                               int64_t ldx, int64_t tokens, float* y, int64_t ldy) const {
  if (format_ == QuantFormat::kInt8) {
    kernels.gemv_int8(int8_row(first), scales(kernels, first * blocks_, count * blocks_, nullptr),
                      count, blocks_, x, ldx, tokens, y, ldy);
    return;
  }
  // A few rows at a time, so that their scales stay in the first cache.
  constexpr int64_t kRows = 16;
  std::vector<float> spare(static_cast<size_t>(std::min(kRows, count) * blocks_));
  for (int64_t r = 0; r < count; r += kRows) {
    const int64_t some = std::min(kRows, count - r);
    const float* some_scales = scales(kernels, (first + r) * blocks_, some * blocks_, spare.data());
    kernels.gemv_nf4(nf4_row(first + r), some_scales, some, blocks_, x, ldx, tokens, y + r, ldy);
  }
}

}  // namespace dlm
