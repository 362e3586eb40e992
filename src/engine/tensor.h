// Tensors: a shape, an element type and shared storage, row-major. A tensor never computes; the
// operations are in ops.h. Memory-mapped weights are tensors whose storage is the mapping.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace dlm {

class Arena;

enum class DType : uint8_t { kF32, kBF16, kF16, kI32 };

size_t dtype_size(DType dtype);
const char* dtype_name(DType dtype);

// bfloat16: the upper half of a float32.
struct BF16 {
  uint16_t bits;
};
// A number of IEEE half precision.
struct F16 {
  uint16_t bits;
};

float to_f32(BF16 value);
BF16 to_bf16(float value);  // round to nearest, ties to even; NaN stays NaN
float f16_to_f32(uint16_t bits);

class Tensor {
 public:
  Tensor() = default;
  // Zero-filled, 64-byte aligned; in `arena` unless that is null.
  static Tensor zeros(std::vector<int64_t> shape, DType dtype, Arena* arena = nullptr);
  // A view of bytes that `owner` keeps alive.
  static Tensor view(std::vector<int64_t> shape, DType dtype, const void* data,
                     std::shared_ptr<const void> owner);
  // A shape whose elements all read as zero and take address space, but no memory. Throws
  // Error(kTrain) when there is none.
  static Tensor zeros_without_memory(std::vector<int64_t> shape, DType dtype);

  // No data: stands for a matrix that is held in another form.
  static Tensor shape_only(std::vector<int64_t> shape, DType dtype) {
    return view(std::move(shape), dtype, nullptr, nullptr);
  }

  bool empty() const { return data_ == nullptr; }
  DType dtype() const { return dtype_; }
  const std::vector<int64_t>& shape() const { return shape_; }
  int64_t dim(size_t i) const { return shape_[i]; }
  int64_t numel() const { return numel_; }
  size_t size_bytes() const { return static_cast<size_t>(numel_) * dtype_size(dtype_); }

  const void* data() const { return data_; }
  void* mutable_data();  // invariant: not a view
  // The elements of a tensor of the same shape and type.
  void copy_from(const Tensor& other);
  const float* f32() const { return static_cast<const float*>(data_); }
  float* mutable_f32() { return static_cast<float*>(mutable_data()); }
  const BF16* bf16() const { return static_cast<const BF16*>(data_); }

  // Bytes that this tensor itself allocated (0 for a view).
  size_t owned_bytes() const { return is_view_ ? 0 : size_bytes(); }

  // A copy with each element converted (f32, bf16, f16 to f32 or bf16).
  Tensor cast(DType dtype) const;

 private:
  std::vector<int64_t> shape_;
  DType dtype_ = DType::kF32;
  int64_t numel_ = 0;
  const void* data_ = nullptr;
  bool is_view_ = true;
  std::shared_ptr<const void> owner_;
};

// "[2, 24, 272]"
std::string shape_text(const std::vector<int64_t>& shape);

// Uninitialised 64-byte aligned memory, in huge pages where it is large. Throws Error(kTrain) with
// a hint when there is none.
std::shared_ptr<std::byte> allocate_aligned(size_t size_bytes);

}  // namespace dlm
