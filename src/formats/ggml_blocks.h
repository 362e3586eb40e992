// Blocks of quantized weights as GGUF files hold them, and the scalar reference that makes and
// decodes them. The bytes equal those of the format's reference quantizers: every operation is one
// rounded f32 operation in the written order. The fast versions are in engine/cpu/kernels.
#pragma once

#include <cstddef>
#include <cstdint>

#include "formats/ggml_type.h"

namespace dlm {

// Encodes one row of `elements` f32 (a whole number of blocks; any float type of one element too).
// `importance`, null or f32 [elements], weighs the squared error of each column; types that have no
// use for it (Q8_0, floats) ignore it.
void ggml_quantize_row(GgmlType type, const float* row, int64_t elements, const float* importance,
                       std::byte* out);

// Decodes `elements` of a row, exactly: scales times codes in f32, as the format defines them.
void ggml_dequantize_row(GgmlType type, const std::byte* row, int64_t elements, float* out);

// Whether every scale of the row is finite: what an encoder must produce, and what a reader of
// strangers' files checks before it multiplies.
bool ggml_row_is_finite(GgmlType type, const std::byte* row, int64_t elements);

}  // namespace dlm
