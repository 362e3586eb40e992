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

// Calls body(lines, wide) with lines [first, first + count) of the weight, in the type that they
// are held in or, when they are quantized, decoded; `wide` is working memory.
template <class Body>
void with_lines(const Parameter& weight, int64_t first, int64_t count, const Kernels& kernels,
                const Body& body) {
  const int64_t in = weight.value.dim(1);
  std::vector<float> wide;
  if (weight.quantized != nullptr) {
    std::vector<float> decoded(static_cast<size_t>(count * in));
    weight.quantized->dequantize(kernels, first, count, decoded.data());
    body(decoded.data(), wide);
  } else if (weight.value.dtype() == DType::kBF16) {
    body(weight.value.bf16() + first * in, wide);
  } else {
    body(weight.value.f32() + first * in, wide);
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

std::vector<float> row_norms(const Parameter& weight, const Kernels& kernels) {
  const int64_t out = weight.value.dim(0);
  const int64_t in = weight.value.dim(1);
  std::vector<float> norms(static_cast<size_t>(out));
  for (int64_t first = 0; first < out; first += kRows) {
    const int64_t count = std::min(kRows, out - first);
    with_lines(weight, first, count, kernels, [&](const auto* lines, std::vector<float>& wide) {
      for (int64_t j = 0; j < count; ++j) {
        const double squares = sum_of_squares(lines + j * in, in, kernels, wide);
        norms[static_cast<size_t>(first + j)] = static_cast<float>(std::sqrt(squares));
      }
    });
  }
  return norms;
}

void refresh_row_scale(Lora& lora, const Parameter& weight, Device& device) {
  Dora& dora = *lora.dora;
  // The versions only grow, so their sum names one state; 1 more than that is never 0.
  const uint64_t version = lora.a.version + lora.bt.version + dora.magnitude.version + 1;
  if (dora.version == version) return;
  const int64_t out = weight.value.dim(0);
  const int64_t in = weight.value.dim(1);
  const bool first_time = dora.weight_squares.empty();
  dora.weight_squares.resize(static_cast<size_t>(out));
  dora.row_norm.resize(static_cast<size_t>(out));
  dora.row_scale.resize(static_cast<size_t>(out));
  const Kernels& kernels = device.kernels();
  const std::vector<float> products = gram(lora, in, kernels);
  device.pool().run((out + kRows - 1) / kRows, [&](int64_t task, int) {
    const int64_t begin = task * kRows;
    const int64_t count = std::min(kRows, out - begin);
    std::vector<float> projected(static_cast<size_t>(count * lora.rank));
    with_lines(weight, begin, count, kernels,
               [&]<class T>(const T* lines, std::vector<float>& wide) {
                 kernels.rows<T>().rank_project(lines, count, in, in, lora.a.value.f32(), in,
                                                lora.rank, 1.0f, projected.data());
                 if (!first_time) return;
                 for (int64_t j = 0; j < count; ++j) {
                   dora.weight_squares[static_cast<size_t>(begin + j)] =
                       sum_of_squares(lines + j * in, in, kernels, wide);
                 }
               });
    for (int64_t j = begin; j < begin + count; ++j) {
      const auto at = static_cast<size_t>(j);
      const double update =
          update_squares(lora, j, projected.data() + (j - begin) * lora.rank, products.data());
      const double square = std::max(0.0, dora.weight_squares[at] + update);
      const auto norm = static_cast<float>(std::sqrt(square));
      dora.row_norm[at] = norm;
      dora.row_scale[at] = norm > 0 ? dora.magnitude.value.f32()[at] / norm : 0.0f;
    }
  });
  dora.version = version;
}

}  // namespace dlm
