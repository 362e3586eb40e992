// Products with a factor of low rank, as AMX products with the factor's rounded half and its rest.

#include "engine/cpu/amx_gemm.h"
#include "engine/cpu/amx_pack.h"

namespace dlm {

using amx::Memory;
using amx::split;

void amx_rank_project(const BF16* x, int64_t lines, int64_t ldx, int64_t cols, const float* v,
                      int64_t rank, float scale, float* to) {
  thread_local Memory<BF16> memory_of_v;
  thread_local Memory<float> memory_of_sums;
  BF16* halves = memory_of_v.take(2 * rank * cols);
  for (int64_t r = 0; r < rank; ++r) {
    split(v + r * cols, cols, halves + r * cols, halves + (rank + r) * cols);
  }
  AmxProduct p;
  p.shape.m = lines;
  p.shape.n = p.shape.ldc = 2 * rank;
  p.shape.k = p.shape.ldb = cols;
  p.shape.lda = ldx;
  p.shape.trans_b = true;
  p.a = x;
  p.b = halves;
  float* sums = memory_of_sums.take(lines * 2 * rank);
  p.c = sums;
  amx_product(p);
  for (int64_t i = 0; i < lines; ++i) {
    for (int64_t r = 0; r < rank; ++r) {
      to[i * rank + r] = scale * (sums[i * 2 * rank + r] + sums[(i * 2 + 1) * rank + r]);
    }
  }
}

void amx_rank_outer(const BF16* x, int64_t lines, int64_t ldx, int64_t cols, const float* u,
                    int64_t rank, float* to, int64_t ld_to) {
  thread_local Memory<BF16> memory_of_u;
  thread_local Memory<float> memory_of_sums;
  BF16* halves = memory_of_u.take(lines * 2 * rank);
  for (int64_t i = 0; i < lines; ++i) {
    split(u + i * rank, rank, halves + i * 2 * rank, halves + (i * 2 + 1) * rank);
  }
  AmxProduct p;
  p.shape.m = p.shape.lda = 2 * rank;
  p.shape.n = p.shape.ldc = cols;
  p.shape.k = lines;
  p.shape.ldb = ldx;
  p.shape.trans_a = true;
  p.a = halves;
  p.b = x;
  float* sums = memory_of_sums.take(2 * rank * cols);
  p.c = sums;
  amx_product(p);
  for (int64_t r = 0; r < rank; ++r) {
    for (int64_t k = 0; k < cols; ++k) {
      to[r * ld_to + k] += sums[r * cols + k] + sums[(rank + r) * cols + k];
    }
  }
}

}  // namespace dlm
