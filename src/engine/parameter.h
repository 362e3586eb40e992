// A parameter: a named weight, how it is stored for computing, and its gradient when it trains.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "engine/quantized.h"
#include "engine/tensor.h"

namespace dlm {

// Rows of a weight, dense, as the right side of a product: of the computing type, or bf16 beside
// f32 (GemmShape::b_is_bf16).
struct WeightRows {
  const std::byte* data = nullptr;
  DType dtype = DType::kF32;
  const void* at(int64_t element) const {
    return data + element * static_cast<int64_t>(dtype_size(dtype));
  }
};

struct Parameter {
  std::string name;
  // What operations multiply by: bf16 or f32. For a frozen weight this may be a view of a mapped
  // file.
  Tensor value;
  // When set, the weight is frozen and held in this form; `value` then keeps shape and computing
  // type, and no data.
  std::shared_ptr<const QuantizedMatrix> quantized;
  // f32, only when the parameter trains: the optimizer's copy and the accumulated gradient. When
  // `value` is f32 and trains, `master` is empty and `value` itself is updated.
  Tensor master;
  Tensor grad;
  bool trains = false;
  // Counts the changes of the elements: what is derived from them (the row norms of DoRA) is
  // computed again when it has moved on. Whoever writes elements other than AdamW raises it.
  uint64_t version = 0;

  // Replaces the value by its quantized form, made from `stored` (the value itself, or the same
  // weights in the type of their file), in `arena`. Throws Error(kBase) when a weight is not
  // finite.
  void quantize(const Tensor& stored, QuantFormat format, const Kernels& kernels, ThreadPool& pool,
                Arena& arena);

  // Where products of many tokens find the rows without decoding them; empty when they cannot.
  std::optional<WeightRows> rows_as_they_lie() const;

  // Allocates the gradient (and the master copy of a bf16 value) of a parameter that is to train.
  void make_trainable();
  // The f32 elements that the optimizer updates.
  float* trained_elements() { return master.empty() ? value.mutable_f32() : master.mutable_f32(); }
  // The same for reading, of any parameter with f32 elements.
  const float* f32_elements() const { return master.empty() ? value.f32() : master.f32(); }
  // After trained_elements() were written: rounds the master copy into a bf16 value, raises the
  // version.
  void publish();
};

}  // namespace dlm
