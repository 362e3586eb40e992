// Rows of each family of block types, scalar: the parts of ggml_blocks.h.
#pragma once

#include <cstdint>

#include "formats/ggml_block_layout.h"

namespace dlm::ggml {

// `elements` is a whole number of blocks; importance, null or f32 [elements].
void quantize(const float* x, int64_t elements, const float* importance, BlockQ4_0* out);
void quantize(const float* x, int64_t elements, const float* importance, BlockQ4_1* out);
void quantize(const float* x, int64_t elements, const float* importance, BlockQ5_0* out);
void quantize(const float* x, int64_t elements, const float* importance, BlockQ5_1* out);
void quantize(const float* x, int64_t elements, const float* importance, BlockQ8_0* out);
void quantize(const float* x, int64_t elements, const float* importance, BlockQ4_K* out);
void quantize(const float* x, int64_t elements, const float* importance, BlockQ5_K* out);
void quantize(const float* x, int64_t elements, const float* importance, BlockQ6_K* out);

// One block: 32 elements, or 256 of the K types.
void dequantize(const BlockQ4_0& block, float* y);
void dequantize(const BlockQ4_1& block, float* y);
void dequantize(const BlockQ5_0& block, float* y);
void dequantize(const BlockQ5_1& block, float* y);
void dequantize(const BlockQ8_0& block, float* y);
void dequantize(const BlockQ4_K& block, float* y);
void dequantize(const BlockQ5_K& block, float* y);
void dequantize(const BlockQ6_K& block, float* y);

}  // namespace dlm::ggml
