// Products of bf16 matrices with AMX tiles (Intel 64 and IA-32 Architectures SDM, TDPBF16PS), on
// the calling thread; only where isa_tier() is kAmx. Every element of C is one f32 sum over k in
// rising order, by pairs, whatever surrounds it: its bits depend on its line of A and its column of
// B only. Subnormal numbers count as zero, as the instruction has it.
//
// Factors of low rank are f32. Each is split into two bf16 numbers, the rounded one and what the
// rounding left, and all four products are summed: 16 bits of every factor count.
#pragma once

#include "engine/cpu/gemm.h"

namespace dlm {

// U[m, rank] V[rank, n].
struct LowRankTerm {
  const float* u = nullptr;
  int64_t ldu = 0;
  const float* v = nullptr;
  int64_t ldv = 0;
  int64_t rank = 0;
};

// C = (op(A) op(B) + addend + U V) + plus. The addend, from which the sums start, and plus, which
// is added to them at the end, are f32 [m, n] with leading dimensions of their own, or null, and
// may be C itself.
struct AmxProduct {
  GemmShape shape;  // of C, A and B; `accumulate` is not looked at
  const BF16* a = nullptr;
  const BF16* b = nullptr;
  void* c = nullptr;
  const float* addend = nullptr;
  int64_t ld_addend = 0;
  const float* plus = nullptr;
  int64_t ld_plus = 0;
  bool past_caches = false;  // C in bf16 goes to memory, since it is read after much else
  LowRankTerm low_rank;
};

void amx_product(const AmxProduct& product);

// gemm_pack() in bf16.
void amx_pack(const GemmShape& shape, const BF16* b, BF16* to);

// to[i, r] = scale * sum over k of x[i, k] v[r, k]; x is [lines, cols] with leading dimension ldx,
// v [rank, cols] dense, to [lines, rank] dense.
void amx_rank_project(const BF16* x, int64_t lines, int64_t ldx, int64_t cols, const float* v,
                      int64_t rank, float scale, float* to);

// to[r, k] += sum over i of u[i, r] x[i, k]; u is [lines, rank] dense, to [rank, cols] with leading
// dimension ld_to.
void amx_rank_outer(const BF16* x, int64_t lines, int64_t ldx, int64_t cols, const float* u,
                    int64_t rank, float* to, int64_t ld_to);

}  // namespace dlm
