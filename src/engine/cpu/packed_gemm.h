// Matrix products whose right side was reordered once into the layout that oneDNN prefers. It costs
// a second copy of the weights, so it serves measurements only: the engine multiplies weights as
// they lie.
#pragma once

#include <cstdint>
#include <memory>

#include "engine/tensor.h"

namespace dlm {

struct PackedShape {
  int64_t m = 0;  // lines of A a product has
  int64_t n = 0;
  int64_t k = 0;
  int64_t ldb = 0;
  bool trans_b = false;  // B is stored [n, k], else [k, n]
  DType dtype = DType::kF32;
};

class PackedMatrix {
 public:
  // Reorders B, which is not needed afterwards. `num_workers` threads may multiply at once. Throws
  // Error(kInternal) when oneDNN refuses the shape.
  PackedMatrix(const PackedShape& shape, const void* b, int num_workers);
  ~PackedMatrix();
  PackedMatrix(PackedMatrix&&) noexcept;
  PackedMatrix& operator=(PackedMatrix&&) noexcept;

  // C[m, n] = A[m, k] B, both dense and of the shape's type; on the calling thread, which is
  // `worker`.
  void multiply(const void* a, void* c, int worker);

  size_t packed_bytes() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace dlm
