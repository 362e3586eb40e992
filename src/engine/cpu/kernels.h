// The row kernels of the CPU backend, one table per instruction-set tier. Matrix products are not
// here (gemm.h); these are what surrounds them. Every kernel works on rows in memory that the
// caller owns, uses one thread, and reads no padding. T is the activation type, float or BF16; all
// arithmetic is f32.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/cpu/gemm.h"
#include "engine/cpu/isa.h"
#include "engine/tensor.h"
#include "formats/ggml_type.h"

namespace dlm {

// Up to four lines that rows of a weight are multiplied by, in the forms that the products take:
// as f32, and as 16-bit codes, code * scale, one scale for each 64 numbers. Scales are powers of
// two and the largest code of a block has 15 bits: the error of a number is at most 2^-15 of the
// largest magnitude among its 64, and bf16 numbers down to 1/128 of that are exact. Columns from
// the line's length to `ld` are zeros.
struct FewLines {
  int64_t tokens = 0;
  int64_t ld = 0;                  // columns, a multiple of kLineBlock
  const float* x = nullptr;        // [tokens, ld]
  const int16_t* codes = nullptr;  // [tokens, ld]
  // The scale of each 16, 32 or 64 columns.
  const float* scales_16 = nullptr;  // [tokens, ld / 16]
  const float* scales_32 = nullptr;  // [tokens, ld / 32]
  const float* scales_64 = nullptr;  // [tokens, ld / 64]
  // Scale times the sum of the codes, of each 32 columns.
  const float* sums = nullptr;  // [tokens, ld / 32]
};
// Sixteen blocks of 64.
inline constexpr int64_t kLineBlock = 1024;

template <class T>
struct RowKernels {
  // y[c] = x[c] * rstd * w[c], rstd = 1 / sqrt(mean(x^2) + eps); returns rstd.
  float (*rmsnorm)(const float* x, const float* w, float eps, int64_t cols, T* y);
  // dx += gradient of rmsnorm for one row, given dy and the saved rstd.
  void (*rmsnorm_backward)(const T* dy, const float* x, const float* w, float rstd, int64_t cols,
                           float* dx);
  // The same of a value of activation type; the gradient replaces what dx holds.
  float (*value_norm)(const T* x, const float* w, float eps, int64_t cols, T* y);
  void (*value_norm_backward)(const T* dy, const T* x, const float* w, float rstd, int64_t cols,
                              T* dx);
  // y[c] = residual[c] + x[c] * rstd * w[c]; the gradient of x replaces what dx holds.
  float (*rmsnorm_add)(const T* x, const float* w, float eps, int64_t cols, const float* residual,
                       float* y);
  void (*rmsnorm_add_backward)(const float* dy, const T* x, const float* w, float rstd,
                               int64_t cols, T* dx);
  // dw[c] += sum over rows of dy * x * rstd, for columns [0, cols) of matrices with row stride ld.
  void (*norm_weight_grad)(const T* dy, const float* x, const float* rstd, int64_t rows, int64_t ld,
                           int64_t cols, float* dw);
  // Half-split rotary embedding in place on num_heads vectors of head_dim, the first rot elements
  // of each; sign -1 is the inverse rotation (the backward pass). cos, sin: [rot / 2].
  void (*rope)(T* x, int64_t num_heads, int64_t head_dim, int64_t rot, const float* cos,
               const float* sin, float sign);
  // a = silu(g) * u, and its gradients.
  void (*silu_mul)(const T* g, const T* u, int64_t n, T* a);
  void (*silu_mul_backward)(const T* da, const T* g, const T* u, int64_t n, T* dg, T* du);
  // a = gelu(g) * u in the tanh form, and its gradients.
  void (*gelu_mul)(const T* g, const T* u, int64_t n, T* a);
  void (*gelu_mul_backward)(const T* da, const T* g, const T* u, int64_t n, T* dg, T* du);
  // p[0..n) = softmax(scale * s[0..n)), p[n..padded) = 0; returns log(sum(exp(scale * s))).
  // Destroys s.
  float (*softmax)(float* s, int64_t n, int64_t padded, float scale, T* p);
  // p = exp(scale * s - lse), ds = p * (dp - delta) * scale over [0, n); zero up to padded.
  void (*softmax_backward)(const float* s, const float* dp, int64_t n, int64_t padded, float scale,
                           float lse, float delta, T* p, T* ds);
  // The same where p came from softcap(): s are plain scores again, t = cap * tanh(scale * s /
  // cap), p = exp(t - lse), ds = p * (dp - delta) * scale * (1 - (t / cap)^2).
  void (*softmax_backward_capped)(const float* s, const float* dp, int64_t n, int64_t padded,
                                  float scale, float cap, float lse, float delta, T* p, T* ds);
  // d *= 1 - (y / cap)^2 for y = cap * tanh(x / cap): the gradient of softcap() from its result.
  void (*softcap_backward)(const float* y, int64_t n, float cap, T* d);
  float (*dot)(const T* a, const T* b, int64_t n);
  // Widening and narrowing copies; add_to accumulates into f32.
  void (*to_f32)(const T* x, int64_t n, float* y);
  void (*from_f32)(const float* x, int64_t n, T* y);
  void (*add_to_f32)(const T* x, int64_t n, float* y);
  // Cross-entropy of one row of logits [0, vocab): returns -log softmax[label]; when d is not null
  // writes d = scale * (softmax - onehot(label)). Destroys the logits; d may start where they do.
  float (*cross_entropy)(float* logits, int64_t vocab, int64_t label, float scale, T* d);
  // out[m, j] = scale * sum_k x[m, k] * p[j, k]: x [rows, ldx], p f32 [rank, ldp], out [rows,
  // rank].
  void (*rank_project)(const T* x, int64_t rows, int64_t ldx, int64_t dim, const float* p,
                       int64_t ldp, int64_t rank, float scale, float* out);
  // out[j, k] += sum_t c[t, j] * x[t, k]: x [rows, ldx], c [rows, rank], out [rank, ldo].
  void (*rank_outer)(const T* x, int64_t rows, int64_t ldx, int64_t dim, const float* c,
                     int64_t rank, float* out, int64_t ldo);
  // DoRA's backward step over `rows` rows of stride ld, for columns [0, cols), in one pass:
  // dots[k] += sum_t dy[t, k] * u[t, k], then dy[t, k] *= scale[k].
  void (*row_scale_backward)(T* dy, const T* u, const float* scale, int64_t rows, int64_t ld,
                             int64_t cols, float* dots);
  // y = dropout(x) with keep probability 1 - p, survivors scaled by 1 / (1 - p). Element k of the
  // row depends on (key, first + k) only, where x starts at column `first`. The key
  // is a hash (random_key): masks of keys that differ in a few bits only may be related.
  void (*dropout)(const T* x, int64_t n, uint64_t key, int64_t first, float p, T* y);
  // y[m, j] = sum_k w[j, k] * x[m, k] for one to four tokens m: w [rows, cols] dense, x f32
  // [tokens, ldx], y f32 [tokens, ldy].
  void (*gemv)(const T* w, int64_t rows, int64_t cols, const float* x, int64_t ldx, int64_t tokens,
               float* y, int64_t ldy);
  // y[0..n) = the weights that the codes of one row stand for (quantize_int8, quantize_nf4 below).
  void (*dequantize_int8)(const int8_t* codes, const float* scales, int64_t n, T* y);
  void (*dequantize_nf4)(const uint16_t* codes, const float* scales, int64_t n, T* y);
};

// Quantized weights lie in blocks of this many along a row; a row's last block is filled with
// zeros.
inline constexpr int64_t kQuantBlock = 64;

// Rows of one element type of GGUF files (formats/ggml_type.h), as they lie there; a row has a
// whole number of blocks.
struct BlockKernels {
  // y[0..n) = the weights of one row, scales times codes in f32; bf16 is that rounded once.
  void (*dequantize)(const std::byte* row, int64_t n, float* y);
  void (*dequantize_bf16)(const std::byte* row, int64_t n, BF16* y);
  // Scales and minimums that gemv wants apart from the codes: f16 numbers of a block, and what
  // copies those of `count` rows to halves [count, blocks * halves_per_block]. None: 0, not called.
  int64_t halves_per_block;
  void (*collect_halves)(const std::byte* rows, int64_t count, int64_t cols, uint16_t* halves);
  // y[m, j] = row j . x[m], y [tokens, ldy]. Floats are multiplied as f32; codes by the codes of x,
  // exactly within a block, and blocks are added in f32, in one order on every tier. halves: those
  // of these rows; up to fifteen behind them are read.
  void (*gemv)(const std::byte* rows, const uint16_t* halves, int64_t count, int64_t cols,
               const FewLines& x, float* y, int64_t ldy);
};

struct Kernels {
  RowKernels<float> f32;
  RowKernels<BF16> bf16;

  // acc[m, k] += sum_j c[m, j] * p[j, k]: acc [rows, ld], c [rows, rank], p [rank, ldp].
  void (*rank_expand)(float* acc, int64_t rows, int64_t ld, int64_t dim, const float* c,
                      const float* p, int64_t ldp, int64_t rank);
  // The same through a dropout mask: acc[k] += mask(key, k) / (1 - p) * sum_j c[j] * p[j, k], one
  // row.
  void (*rank_expand_dropout)(float* acc, int64_t dim, const float* c, const float* p, int64_t ldp,
                              int64_t rank, uint64_t key, int64_t first, float drop);
  // s = cap * tanh(scale * s / cap) in place (soft capping, Gemma 2).
  void (*softcap)(float* s, int64_t n, float scale, float cap);
  void (*add)(const float* x, int64_t n, float* y);       // y += x
  void (*multiply)(const float* x, int64_t n, float* y);  // y *= x
  void (*axpy)(float a, const float* x, int64_t n, float* y);
  double (*sum_of_squares)(const float* x, int64_t n);
  // Wrapping sum of n 64-bit words, n a multiple of 32: reads as fast as this tier can, which is
  // what measures the memory.
  uint64_t (*sum_words)(const uint64_t* x, int64_t n);
  // One AdamW step (Loshchilov and Hutter 2019) on n elements: decoupled decay, then
  // w -= lr * (m / bias1) / (sqrt(v / bias2) + eps). g is multiplied by grad_scale first.
  void (*adamw)(float* w, const float* g, float* m, float* v, int64_t n, float lr, float beta1,
                float beta2, float eps, float weight_decay, float bias1, float bias2,
                float grad_scale);
  // The product that gemm() describes, in f32, with bits that depend on a line of A, a column of B
  // and K only. `memory` holds 256 * (shape.m + 262) numbers.
  void (*gemm_f32)(const GemmShape& shape, const float* a, const void* b, float* c, float* memory);
  // gemm_pack() in f32.
  void (*gemm_f32_pack)(const GemmShape& shape, const void* b, float* to);

  // One row of n weights to codes, one scale a block. int8: code * scale, scale = absmax / 127.
  // NF4 (nf4.h): level[code] * absmax; a block is 16 words, word l holds the codes of weights l,
  // 16 + l, 32 + l and 48 + l, the first in its lowest bits. A scale is not finite when a weight is
  // not. All tiers give the same bytes.
  void (*quantize_int8)(const float* x, int64_t n, int8_t* codes, float* scales);
  void (*quantize_nf4)(const float* x, int64_t n, uint16_t* codes, float* absmax);
  // scales[i] = max(0, mean + step * codes[i]).
  void (*decode_scales)(const int8_t* codes, int64_t n, float mean, float step, float* scales);
  // As gemv, with rows of `blocks` blocks of codes. gemv_int8 multiplies codes by codes, as
  // BlockKernels do, and reads up to fifteen scales behind the last one.
  void (*gemv_int8)(const int8_t* codes, const float* scales, int64_t rows, int64_t blocks,
                    const FewLines& x, float* y, int64_t ldy);
  void (*gemv_nf4)(const uint16_t* codes, const float* scales, int64_t rows, int64_t blocks,
                   const FewLines& x, float* y, int64_t ldy);

  // One line of n numbers, zero from there to a multiple of kLineBlock, into the coded form of
  // FewLines. Where a number is not finite (or above 2^128 - 2^112), the scale is NaN; blocks of
  // numbers below 2^-100 are zeros. All tiers give the same bytes.
  void (*encode_line)(const float* x, int64_t n, int16_t* codes, float* scales_16, float* scales_32,
                      float* scales_64, float* sums);

  BlockKernels ggml_f32, ggml_f16, ggml_bf16, q4_0, q4_1, q5_0, q5_1, q8_0, q4_k, q5_k, q6_k;
  const BlockKernels& blocks(GgmlType type) const;

  // Dense rows of finite numbers, each a whole number of blocks, to a GGUF file's blocks: the bytes
  // of ggml_quantize_row() (formats/ggml_blocks.h) on every tier. importance: f32 [columns], not
  // negative, or null.
  void (*quantize_rows)(GgmlType type, const float* x, int64_t rows, int64_t columns,
                        const float* importance, std::byte* out);
  // Whether none of n numbers is infinite or NaN.
  bool (*all_finite)(const float* x, int64_t n);

  template <class T>
  const RowKernels<T>& rows() const;
};

template <>
inline const RowKernels<float>& Kernels::rows<float>() const {
  return f32;
}
template <>
inline const RowKernels<BF16>& Kernels::rows<BF16>() const {
  return bf16;
}

// The table of a tier; tiers above AVX-512 share its row kernels.
const Kernels& kernels(IsaTier tier);

}  // namespace dlm
