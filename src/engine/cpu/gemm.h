// Matrix products, one single-threaded call per tile: with AMX tiles by our own kernel, through
// oneDNN on AVX-512, by our own kernel in f32 below it, where oneDNN's bits change with the number
// of lines. So the bits of a line of C depend on that line of A, on B and K only: not on thread
// count, place or the other lines (products of a single line excepted, which the engine does not
// make).
#pragma once

#include <cstdint>

#include "engine/tensor.h"

namespace dlm {

// What a product of causal attention knows of its operands, for the sake of speed alone: with or
// without it the elements that count have the same bits.
enum class Triangle : uint8_t {
  kNone,
  kOutput,     // C[i, j] does not count where j > i + diagonal, and may hold anything
  kLowerLeft,  // op(A)[i, k] is zero where k > i + diagonal
  kUpperLeft,  // op(A)[i, k] is zero where i > k + diagonal
};

// C[m, n] (+)= op(A)[m, k] * op(B)[k, n], all row-major with leading dimensions. trans_a: A is
// stored [k, m]; trans_b: B is stored [n, k]. A and B share `input`, but B may be bf16 beside an A
// of f32 where gemm_widens_bf16(): it is widened while it is packed, which gives the bits of a copy
// in f32. C is f32, or `input` when not accumulating.
struct GemmShape {
  int64_t m = 0;
  int64_t n = 0;
  int64_t k = 0;
  int64_t lda = 0;
  int64_t ldb = 0;
  int64_t ldc = 0;
  bool trans_a = false;
  bool trans_b = false;
  bool accumulate = false;
  bool b_is_bf16 = false;
  bool b_is_packed = false;  // by gemm_pack(): ldb, trans_b and b_is_bf16 are not looked at
  DType input = DType::kF32;
  DType output = DType::kF32;
  Triangle triangle = Triangle::kNone;
  int64_t diagonal = 0;  // at least 0

  friend bool operator==(const GemmShape&, const GemmShape&) = default;
};

// Runs on the calling thread, which must have called use_one_openmp_thread() once. Products of bf16
// throw Error(kInternal) on tiers without has_bf16_products().
void gemm(const GemmShape& shape, const void* a, const void* b, void* c);

// Whether products of such numbers are our own: their bits do not depend on N either.
bool gemm_is_own(DType input);

// Where gemm_is_own(), B may be packed once for many products, panel after panel of 32 columns:
// columns from a multiple of 32 on begin there. The bits of C are the same.
inline constexpr int64_t kPackedCols = 32;
size_t packed_panel_bytes(DType input, int64_t k);
// Packs op(B)[k, n] of a shape, of which m, A and C are not looked at. Numbers beyond column n are
// zero.
void gemm_pack(const GemmShape& shape, const void* b, void* to);

// Whether f32 products are our own, of this tier, and take weights in bf16 as they are.
bool gemm_widens_bf16();

// Tells OpenMP, and so oneDNN, that this thread works alone. Call it in every worker.
void use_one_openmp_thread();

// "2.6.3": the version of the loaded library.
const char* onednn_version();

}  // namespace dlm
