#include "engine/tensor.h"

#include <sys/mman.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "engine/arena.h"
#include "formats/half.h"
#include "support/error.h"

namespace dlm {

size_t dtype_size(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kI32 ? 4 : 2;
}

const char* dtype_name(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return "f32";
    case DType::kBF16:
      return "bf16";
    case DType::kF16:
      return "f16";
    case DType::kI32:
      return "i32";
  }
  return "?";
}

float to_f32(BF16 value) {
  const uint32_t bits = static_cast<uint32_t>(value.bits) << 16;
  float result;
  std::memcpy(&result, &bits, sizeof(result));
  return result;
}

BF16 to_bf16(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  if ((bits & 0x7fffffffU) > 0x7f800000U) return {static_cast<uint16_t>((bits >> 16) | 0x40U)};
  return {static_cast<uint16_t>((bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16)};
}

float f16_to_f32(uint16_t half) {
  return half_to_f32(half);
}

namespace {

constexpr size_t kHugePage = size_t{2} << 20;

[[noreturn]] void fail_to_allocate(size_t size_bytes) {
  throw Error(ErrorKind::kTrain,
              "not enough memory: " + std::to_string(size_bytes >> 20) + " MiB asked for",
              "close other programs, use a smaller base, or a smaller training.sequence_len");
}

// Pages of its own, which the system has back at once when they are freed.
std::shared_ptr<std::byte> allocate_huge(size_t size_bytes) {
  const size_t mapped = size_bytes + kHugePage;
  void* memory =
      ::mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) fail_to_allocate(size_bytes);
  const auto address = reinterpret_cast<uintptr_t>(memory);
  auto* aligned = reinterpret_cast<std::byte*>((address + kHugePage - 1) / kHugePage * kHugePage);
#if defined(MADV_HUGEPAGE)
  ::madvise(aligned, size_bytes, MADV_HUGEPAGE);  // a kernel without them says no
#endif
  return {aligned, [memory, mapped](std::byte*) { ::munmap(memory, mapped); }};
}

}  // namespace

std::shared_ptr<std::byte> allocate_aligned(size_t size_bytes) {
  if (size_bytes > SIZE_MAX / 2) fail_to_allocate(size_bytes);
  const size_t rounded = std::max<size_t>(64, (size_bytes + 63) / 64 * 64);
  if (rounded >= 2 * kHugePage) return allocate_huge(rounded);
  void* memory = std::aligned_alloc(64, rounded);
  if (memory == nullptr) fail_to_allocate(size_bytes);
  return {static_cast<std::byte*>(memory), [](std::byte* p) { std::free(p); }};
}

Tensor Tensor::zeros(std::vector<int64_t> shape, DType dtype, Arena* arena) {
  int64_t numel = 1;
  for (const int64_t d : shape) numel *= d;
  const size_t bytes = static_cast<size_t>(numel) * dtype_size(dtype);
  auto memory = arena == nullptr ? allocate_aligned(bytes) : arena->allocate(bytes);
  std::memset(memory.get(), 0, bytes);
  const void* data = memory.get();
  Tensor tensor = view(std::move(shape), dtype, data, std::move(memory));
  tensor.is_view_ = false;
  return tensor;
}

Tensor Tensor::view(std::vector<int64_t> shape, DType dtype, const void* data,
                    std::shared_ptr<const void> owner) {
  Tensor tensor;
  tensor.numel_ = 1;
  for (const int64_t d : shape) tensor.numel_ *= d;
  tensor.shape_ = std::move(shape);
  tensor.dtype_ = dtype;
  tensor.data_ = data;
  tensor.owner_ = std::move(owner);
  return tensor;
}

void* Tensor::mutable_data() {
  check(!is_view_, "a view of foreign bytes is read-only");
  return const_cast<void*>(data_);
}

void Tensor::copy_from(const Tensor& other) {
  check(other.shape() == shape() && other.dtype() == dtype(), "a copy has shape and type of both");
  std::memcpy(mutable_data(), other.data(), size_bytes());
}

Tensor Tensor::zeros_without_memory(std::vector<int64_t> shape, DType dtype) {
  size_t size = dtype_size(dtype);
  for (const int64_t d : shape) size *= static_cast<size_t>(d);
  size = std::max<size_t>(size, 1);
  // Pages that nobody writes are all the one page of zeros.
  void* memory =
      ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    throw Error(ErrorKind::kTrain,
                "no address space for a tensor of " + std::to_string(size >> 20) + " MiB",
                "use a smaller base, or raise the limit of virtual memory");
  }
  const std::shared_ptr<const void> owner(memory, [size](void* p) { ::munmap(p, size); });
  return view(std::move(shape), dtype, memory, owner);
}

namespace {

float widened(float x) {
  return x;
}
float widened(BF16 x) {
  return to_f32(x);
}
float widened(uint16_t half) {
  return f16_to_f32(half);
}
float widened(int32_t x) {
  return static_cast<float>(x);
}

template <class From>
void convert(const void* from, int64_t count, Tensor& out) {
  const auto* in = static_cast<const From*>(from);
  if (out.dtype() == DType::kF32) {
    float* to = out.mutable_f32();
    for (int64_t i = 0; i < count; ++i) to[i] = widened(in[i]);
  } else {
    auto* to = static_cast<BF16*>(out.mutable_data());
    for (int64_t i = 0; i < count; ++i) to[i] = to_bf16(widened(in[i]));
  }
}

}  // namespace

Tensor Tensor::cast(DType dtype) const {
  Tensor out = zeros(shape_, dtype);
  check(dtype == DType::kF32 || dtype == DType::kBF16, "cast: only to f32 or bf16");
  switch (dtype_) {
    case DType::kF32:
      convert<float>(data_, numel_, out);
      break;
    case DType::kBF16:
      convert<BF16>(data_, numel_, out);
      break;
    case DType::kF16:
      convert<uint16_t>(data_, numel_, out);
      break;
    case DType::kI32:
      convert<int32_t>(data_, numel_, out);
      break;
  }
  return out;
}

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) {
    if (i > 0) text += ", ";
    text += std::to_string(shape[i]);
  }
  return text + "]";
}

}  // namespace dlm
