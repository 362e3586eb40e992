#include "engine/dora.h"

#include <algorithm>
#include <cmath>

namespace dlm {

namespace {

// Rows of one task: 64 rows of 4,096 bf16 weights are 512 KiB, which stay in L2 for both readings.
constexpr int64_t kRows = 64;

template <class T>
double sum_of_squares(const T* row, int64_t in, const Kernels& kernels, std::vector<float>& wide) {
  wide.resize(static_cast<size_t>(in));
  kernels.rows<T>().to_f32(row, in, wide.data());
  return kernels.sum_of_squares(wide.data(), in);
}

// Calls body with a typed pointer to the weight's elements.
template <class Body>
void with_elements(const Tensor& weight, const Body& body) {
  if (weight.dtype() == DType::kBF16) {
    body(weight.bf16());
  } else {
    body(weight.f32());
  }
}

// A A^T, [rank, rank].
std::vector<float> gram(const Lora& lora, int64_t in, const Kernels& kernels) {
  std::vector<float> out(static_cast<size_t>(lora.rank * lora.rank));
  const float* a = lora.a.value.f32();
  kernels.f32.rank_project(a, lora.rank, in, in, a, in, lora.rank, 1.0f, out.data());
  return out;
}

// 2 s B_j (A W_j^T) + s^2 B_j (A A^T) B_j^T; projected = A W_j^T [rank].
double update_squares(const Lora& lora, int64_t j, const float* projected, const float* gram) {
  const float* bt = lora.bt.value.f32();
  const int64_t out = lora.bt.value.dim(1);
  const auto b = [&](int64_t r) { return static_cast<double>(bt[r * out + j]); };
  const auto s = static_cast<double>(lora.scale);
  double cross = 0;
  double square = 0;
  for (int64_t r = 0; r < lora.rank; ++r) {
    cross += b(r) * static_cast<double>(projected[r]);
    double line = 0;
    for (int64_t q = 0; q < lora.rank; ++q) {
      line += b(q) * static_cast<double>(gram[r * lora.rank + q]);
    }
    square += b(r) * line;
  }
  return 2 * s * cross + s * s * square;
}

}  // namespace

std::vector<float> row_norms(const Tensor& weight, const Kernels& kernels) {
  const int64_t in = weight.dim(1);
  std::vector<float> norms(static_cast<size_t>(weight.dim(0)));
  std::vector<float> wide;
  with_elements(weight, [&](const auto* w) {
    for (size_t j = 0; j < norms.size(); ++j) {
      const auto row = w + static_cast<int64_t>(j) * in;
      norms[j] = static_cast<float>(std::sqrt(sum_of_squares(row, in, kernels, wide)));
    }
  });
  return norms;
}

void refresh_row_scale(Lora& lora, const Tensor& weight, Device& device) {
  Dora& dora = *lora.dora;
  // The versions only grow, so their sum names one state; 1 more than that is never 0.
  const uint64_t version = lora.a.version + lora.bt.version + dora.magnitude.version + 1;
  if (dora.version == version) return;
  const int64_t out = weight.dim(0);
  const int64_t in = weight.dim(1);
  const bool first_time = dora.weight_squares.empty();
  dora.weight_squares.resize(static_cast<size_t>(out));
  dora.row_norm.resize(static_cast<size_t>(out));
  dora.row_scale.resize(static_cast<size_t>(out));
  const Kernels& kernels = device.kernels();
  const std::vector<float> products = gram(lora, in, kernels);
  with_elements(weight, [&]<class T>(const T* w) {
    device.pool().run((out + kRows - 1) / kRows, [&](int64_t task, int) {
      const int64_t begin = task * kRows;
      const int64_t count = std::min(kRows, out - begin);
      std::vector<float> projected(static_cast<size_t>(count * lora.rank));
      kernels.rows<T>().rank_project(w + begin * in, count, in, in, lora.a.value.f32(), in,
                                     lora.rank, 1.0f, projected.data());
      std::vector<float> wide;
      for (int64_t j = begin; j < begin + count; ++j) {
        const auto at = static_cast<size_t>(j);
        if (first_time) dora.weight_squares[at] = sum_of_squares(w + j * in, in, kernels, wide);
        const double update =
            update_squares(lora, j, projected.data() + (j - begin) * lora.rank, products.data());
        const double square = std::max(0.0, dora.weight_squares[at] + update);
        const auto norm = static_cast<float>(std::sqrt(square));
        dora.row_norm[at] = norm;
        dora.row_scale[at] = norm > 0 ? dora.magnitude.value.f32()[at] / norm : 0.0f;
      }
    });
  });
  dora.version = version;
}

}  // namespace dlm
