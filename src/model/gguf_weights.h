// The weights of a decoder in a GGUF file: what each is called there, and how its rows lie.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "formats/gguf.h"
#include "model/config.h"
#include "model/weights.h"

namespace dlm {

// Where a slot's weight is: a tensor, or one matrix of a tensor that stacks those of all experts.
struct GgufPlace {
  std::string tensor;  // "blk.0.attn_q.weight"
  int64_t expert = -1;
};
GgufPlace gguf_place(const WeightSlot& slot, const ModelConfig& config);

// Heads whose rows are in another order than ours (gguf_rotates_neighbours): of a slot that holds
// queries or keys; 0 where rows lie as they should.
int64_t gguf_permuted_heads(const WeightSlot& slot, const ModelConfig& config);

// Rows of a matrix in our order, from `rows` rows of `row_bytes` in the file's.
std::vector<std::byte> unpermuted_rows(std::span<const std::byte> bytes, int64_t rows,
                                       int64_t heads);

// One weight of the file as it lies there: `bytes` in the file, or in `owned`, where rows had to be
// put in order.
struct GgufWeight {
  GgmlType type = GgmlType::kF32;
  std::span<const std::byte> bytes;
  std::shared_ptr<const std::vector<std::byte>> owned;  // null: in the file
};

// Throws Error(kFormat) naming file and tensor: missing, of another shape, or of a type that cannot
// be multiplied.
GgufWeight find_gguf_weight(const GgufFile& file, const WeightSlot& slot,
                            const ModelConfig& config);

// f32 [slot.shape]: vectors and the router. Throws Error(kFormat), also for numbers that are not
// finite.
Tensor load_gguf_vector(const GgufFile& file, const WeightSlot& slot, const ModelConfig& config);

// Throws Error(kFormat) naming the first tensor that no slot asks for and no rule of rotation.
void check_no_extra_weights(const GgufFile& file, const std::vector<WeightSlot>& slots,
                            const ModelConfig& config);

}  // namespace dlm
