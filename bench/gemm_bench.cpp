// One core's rate of matrix products in the tiles that the engine uses, in the file's layout of
// weights and in oneDNN's packed one. Counter: operations a second, a multiply-add counted as two.

#include <benchmark/benchmark.h>

#include "engine/cpu/gemm.h"
#include "engine/cpu/isa.h"
#include "engine/cpu/packed_gemm.h"

namespace dlm {
namespace {

// Ones: the rate does not depend on the numbers, but zero pages would be shared.
Tensor ones(int64_t count, DType dtype) {
  Tensor wide = Tensor::zeros({count}, DType::kF32);
  for (int64_t i = 0; i < count; ++i) wide.mutable_f32()[i] = 1.0f;
  return dtype == DType::kF32 ? wide : wide.cast(dtype);
}

// Arguments: lines of the tile, columns, inner size.
void count_operations(benchmark::State& state) {
  const double operations = 2.0 * static_cast<double>(state.range(0)) *
                            static_cast<double>(state.range(1)) *
                            static_cast<double>(state.range(2));
  state.counters["flops"] =
      benchmark::Counter(operations, benchmark::Counter::kIsIterationInvariantRate);
}

void plain(benchmark::State& state, DType dtype, bool trans_b) {
  if (dtype == DType::kBF16 && !has_bf16_products(isa_tier())) {
    state.SkipWithError("no bf16 products on this tier");
    return;
  }
  use_one_openmp_thread();
  GemmShape s;
  s.m = state.range(0);
  s.n = state.range(1);
  s.k = state.range(2);
  s.lda = s.k;
  s.ldb = trans_b ? s.k : s.n;
  s.ldc = s.n;
  s.trans_b = trans_b;
  s.input = dtype;
  const Tensor a = ones(s.m * s.k, dtype);
  const Tensor b = ones(s.n * s.k, dtype);
  Tensor c = Tensor::zeros({s.m * s.n}, DType::kF32);
  for (auto _ : state) {
    gemm(s, a.data(), b.data(), c.mutable_data());
    benchmark::ClobberMemory();
  }
  count_operations(state);
}

void packed(benchmark::State& state, DType dtype) {
  if (dtype == DType::kBF16 && !has_bf16_products(isa_tier())) {
    state.SkipWithError("no bf16 products on this tier");
    return;
  }
  use_one_openmp_thread();
  PackedShape s;
  s.m = state.range(0);
  s.n = state.range(1);
  s.k = state.range(2);
  s.ldb = s.k;
  s.trans_b = true;
  s.dtype = dtype;
  const Tensor a = ones(s.m * s.k, dtype);
  const Tensor b = ones(s.n * s.k, dtype);
  Tensor c = Tensor::zeros({s.m * s.n}, dtype);
  PackedMatrix matrix(s, b.data(), 1);
  for (auto _ : state) {
    matrix.multiply(a.data(), c.mutable_data(), 0);
    benchmark::ClobberMemory();
  }
  count_operations(state);
}

// Shapes of SmolLM2 135M (576 and 1,536 wide) and Qwen2.5 0.5B (896 and 4,864), tiles of 32 to 512.
void shapes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"m", "n", "k"});
  for (const int64_t m : {32, 128, 512}) {
    b->Args({m, 576, 576})->Args({m, 768, 576})->Args({m, 576, 1536})->Args({m, 1024, 896});
    b->Args({m, 896, 4864});
  }
}

BENCHMARK_CAPTURE(plain, bf16_forward, DType::kBF16, true)->Apply(shapes);
BENCHMARK_CAPTURE(plain, bf16_input_gradient, DType::kBF16, false)->Apply(shapes);
BENCHMARK_CAPTURE(packed, bf16, DType::kBF16)->Apply(shapes);
BENCHMARK_CAPTURE(plain, f32_forward, DType::kF32, true)->Apply(shapes);

}  // namespace
}  // namespace dlm
