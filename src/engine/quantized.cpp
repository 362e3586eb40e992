#include "engine/quantized.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <mutex>
#include <vector>

#include "engine/arena.h"
#include "support/error.h"

namespace dlm {

namespace {

constexpr int64_t kScaleBlock = 256;  // absmaxes that share mean and step
constexpr int64_t kTaskRows = 32;
constexpr size_t kReadBehind = 64;  // bytes that products may read behind the last scale

float to_f32(float x) {
  return x;
}
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

// Codes of our own formats.
class CodedMatrix : public QuantizedMatrix {
 public:
  CodedMatrix(const Tensor& weights, QuantFormat format, const std::string& name,
              const Kernels& kernels, ThreadPool& pool, Arena& arena);

  size_t size_bytes() const override { return codes_bytes_ + scales_bytes_; }
  void dequantize(const Kernels& kernels, int64_t first, int64_t count, float* out) const override {
    decode(kernels, first, count, out);
  }
  void dequantize(const Kernels& kernels, int64_t first, int64_t count, BF16* out) const override {
    decode(kernels, first, count, out);
  }
  void multiply(const Kernels& kernels, int64_t first, int64_t count, const FewLines& x, float* y,
                int64_t ldy) const override;

 private:
  template <class T>
  void quantize_rows(const T* weights, int64_t first, int64_t count, const Kernels& kernels,
                     float* scales);
  template <class T>
  void decode(const Kernels& kernels, int64_t first, int64_t count, T* out) const;
  // Block scales of `count` blocks from `first` on; int8 scales lie ready, others go to `spare`.
  const float* scales(const Kernels& kernels, int64_t first, int64_t count, float* spare) const;
  void quantize_scales(const float* absmax, int64_t group);
  int64_t padded_cols() const { return blocks_ * kQuantBlock; }
  const int8_t* int8_row(int64_t row) const {
    return reinterpret_cast<const int8_t*>(codes_.get()) + row * padded_cols();
  }
  const uint16_t* nf4_row(int64_t row) const {
    return reinterpret_cast<const uint16_t*>(codes_.get()) + row * padded_cols() / 4;
  }

  QuantFormat format_;
  int64_t blocks_;                    // of a row
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

CodedMatrix::CodedMatrix(const Tensor& weights, QuantFormat format, const std::string& name,
                         const Kernels& kernels, ThreadPool& pool, Arena& arena)
    : QuantizedMatrix(weights.dim(0), weights.dim(1)),
      format_(format),
      blocks_((weights.dim(1) + kQuantBlock - 1) / kQuantBlock) {
  const int64_t num_blocks = rows() * blocks_;
  const bool is_nf4 = format == QuantFormat::kNF4;
  codes_bytes_ = static_cast<size_t>(num_blocks * kQuantBlock / (is_nf4 ? 2 : 1));
  codes_ = arena.allocate(codes_bytes_);
  // The scales in f32; NF4 needs them for a moment only.
  const size_t absmax_bytes = static_cast<size_t>(num_blocks) * sizeof(float) + kReadBehind;
  const auto absmax = is_nf4 ? allocate_aligned(absmax_bytes) : arena.allocate(absmax_bytes);
  auto* scales = reinterpret_cast<float*>(absmax.get());
  pool.run((rows() + kTaskRows - 1) / kTaskRows, [&](int64_t task, int) {
    const int64_t first = task * kTaskRows;
    const int64_t count = std::min(kTaskRows, rows() - first);
    switch (weights.dtype()) {
      case DType::kF32:
        return quantize_rows(weights.f32(), first, count, kernels, scales);
      case DType::kBF16:
        return quantize_rows(weights.bf16(), first, count, kernels, scales);
      case DType::kF16:
        return quantize_rows(static_cast<const F16*>(weights.data()), first, count, kernels,
                             scales);
      case DType::kI32:
        check(false, "quantize: integers");
    }
  });
  for (int64_t block = 0; block < num_blocks; ++block) {
    if (std::isfinite(scales[block])) continue;
    throw Error(ErrorKind::kBase,
                "tensor \"" + name + "\" holds a number that is not finite, in row " +
                    std::to_string(block / blocks_),
                "the checkpoint is damaged: fetch it again");
  }
  if (!is_nf4) {
    scales_ = absmax;
    scales_bytes_ = static_cast<size_t>(num_blocks) * sizeof(float);
    return;
  }
  groups_.resize(static_cast<size_t>((num_blocks + kScaleBlock - 1) / kScaleBlock));
  scales_ = arena.allocate(static_cast<size_t>(num_blocks));
  scales_bytes_ = static_cast<size_t>(num_blocks) + groups_.size() * sizeof(ScaleGroup);
  for (size_t group = 0; group < groups_.size(); ++group) {
    quantize_scales(scales, static_cast<int64_t>(group));
  }
}

template <class T>
void CodedMatrix::quantize_rows(const T* weights, int64_t first, int64_t count,
                                const Kernels& kernels, float* scales) {
  std::vector<float> row(static_cast<size_t>(cols()));
  for (int64_t r = first; r < first + count; ++r) {
    widen_row(kernels, weights + r * cols(), cols(), row.data());
    if (format_ == QuantFormat::kInt8) {
      kernels.quantize_int8(row.data(), cols(), const_cast<int8_t*>(int8_row(r)),
                            scales + r * blocks_);
    } else {
      kernels.quantize_nf4(row.data(), cols(), const_cast<uint16_t*>(nf4_row(r)),
                           scales + r * blocks_);
    }
  }
}

void CodedMatrix::quantize_scales(const float* absmax, int64_t group) {
  const int64_t first = group * kScaleBlock;
  const int64_t count = std::min(kScaleBlock, rows() * blocks_ - first);
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

const float* CodedMatrix::scales(const Kernels& kernels, int64_t first, int64_t count,
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
void CodedMatrix::decode(const Kernels& kernels, int64_t first, int64_t count, T* out) const {
  check(first >= 0 && count >= 0 && first + count <= rows(), "dequantize: rows beyond the matrix");
  std::vector<float> spare(static_cast<size_t>(blocks_));
  for (int64_t r = first; r < first + count; ++r) {
    const float* row_scales = scales(kernels, r * blocks_, blocks_, spare.data());
    T* line = out + (r - first) * cols();
    if (format_ == QuantFormat::kInt8) {
      kernels.rows<T>().dequantize_int8(int8_row(r), row_scales, cols(), line);
    } else {
      kernels.rows<T>().dequantize_nf4(nf4_row(r), row_scales, cols(), line);
    }
  }
}

void CodedMatrix::multiply(const Kernels& kernels, int64_t first, int64_t count, const FewLines& x,
                           float* y, int64_t ldy) const {
  if (format_ == QuantFormat::kInt8) {
    kernels.gemv_int8(int8_row(first), scales(kernels, first * blocks_, count * blocks_, nullptr),
                      count, blocks_, x, y, ldy);
    return;
  }
  // A few rows at a time, so that their scales stay in the first cache.
  constexpr int64_t kRows = 16;
  std::vector<float> spare(static_cast<size_t>(std::min(kRows, count) * blocks_));
  for (int64_t r = 0; r < count; r += kRows) {
    const int64_t some = std::min(kRows, count - r);
    const float* some_scales = scales(kernels, (first + r) * blocks_, some * blocks_, spare.data());
    kernels.gemv_nf4(nf4_row(first + r), some_scales, some, blocks_, x, y + r, ldy);
  }
}

// Rows of a GGUF file.
class BlockMatrix : public QuantizedMatrix {
 public:
  BlockMatrix(GgmlType type, int64_t rows, int64_t cols, const std::byte* data,
              std::shared_ptr<const void> owner)
      : QuantizedMatrix(rows, cols),
        type_(type),
        row_bytes_(ggml_row_bytes(type, cols)),
        data_(data),
        owner_(std::move(owner)) {}

  size_t size_bytes() const override { return static_cast<size_t>(rows() * row_bytes_); }
  const BF16* bf16_rows() const override {
    const bool is_aligned = reinterpret_cast<uintptr_t>(data_) % alignof(BF16) == 0;
    return type_ == GgmlType::kBF16 && is_aligned ? reinterpret_cast<const BF16*>(data_) : nullptr;
  }
  void dequantize(const Kernels& kernels, int64_t first, int64_t count, float* out) const override {
    decode(kernels.blocks(type_).dequantize, first, count, out);
  }
  void dequantize(const Kernels& kernels, int64_t first, int64_t count, BF16* out) const override {
    decode(kernels.blocks(type_).dequantize_bf16, first, count, out);
  }
  void multiply(const Kernels& kernels, int64_t first, int64_t count, const FewLines& x, float* y,
                int64_t ldy) const override {
    const BlockKernels& k = kernels.blocks(type_);
    const int64_t halves = halves_of_row(k);
    if (halves > 0) std::call_once(collected_, [&] { collect(k, halves); });
    k.gemv(data_ + first * row_bytes_, halves_.data() + first * halves, count, cols(), x, y, ldy);
  }

 private:
  int64_t halves_of_row(const BlockKernels& k) const {
    return cols() / ggml_traits(type_).block_elements * k.halves_per_block;
  }
  // At the first product of few tokens: prompts and proofs, which decode the rows, need none.
  void collect(const BlockKernels& k, int64_t halves) const {
    halves_.resize(static_cast<size_t>(rows() * halves) + kReadBehind / sizeof(uint16_t));
    k.collect_halves(data_, rows(), cols(), halves_.data());
  }
  template <class T>
  void decode(void (*decode_row)(const std::byte*, int64_t, T*), int64_t first, int64_t count,
              T* out) const {
    check(first >= 0 && count >= 0 && first + count <= rows(),
          "dequantize: rows beyond the matrix");
    for (int64_t r = 0; r < count; ++r) {
      decode_row(data_ + (first + r) * row_bytes_, cols(), out + r * cols());
    }
  }

  GgmlType type_;
  int64_t row_bytes_;
  const std::byte* data_;
  std::shared_ptr<const void> owner_;
  mutable std::once_flag collected_;
  mutable std::vector<uint16_t> halves_;
};

}  // namespace

std::shared_ptr<const QuantizedMatrix> QuantizedMatrix::quantize(const Tensor& weights,
                                                                 QuantFormat format,
                                                                 const std::string& name,
                                                                 const Kernels& kernels,
                                                                 ThreadPool& pool, Arena& arena) {
  check(weights.shape().size() == 2 && weights.data() != nullptr, "quantize: not a matrix");
  return std::make_shared<CodedMatrix>(weights, format, name, kernels, pool, arena);
}

std::shared_ptr<const QuantizedMatrix> QuantizedMatrix::from_blocks(
    GgmlType type, int64_t rows, int64_t cols, const std::byte* data,
    std::shared_ptr<const void> owner) {
  check(type != GgmlType::kI32, "from_blocks: integers are no weights");
  check(rows > 0 && cols > 0 && cols % ggml_traits(type).block_elements == 0,
        "from_blocks: rows are no whole number of blocks");
  return std::make_shared<BlockMatrix>(type, rows, cols, data, std::move(owner));
}

}  // namespace dlm
