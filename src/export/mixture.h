// Which element type each tensor of an exported model gets: the mixtures of quantized types that
// programs know as Q4_K_M, Q5_K_M, Q6_K, Q8_0, F16.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "formats/ggml_type.h"

namespace dlm {

enum class Quant : uint8_t { kQ4_K_M, kQ5_K_M, kQ6_K, kQ8_0, kF16, kBF16, kF32 };

std::string_view quant_name(Quant quant);  // "Q4_K_M"
std::optional<Quant> find_quant(std::string_view name);
uint32_t quant_file_type(Quant quant);  // general.file_type

// What the rules look at.
struct MixtureModel {
  std::string architecture;  // "llama", "qwen2", ... as in general.architecture
  int64_t num_layers = 0;
  int64_t num_experts = 0;  // 0: none
  int64_t num_heads = 0;
  int64_t num_kv_heads = 0;
  bool has_output_weight = false;  // false: token_embd.weight is the head too
};

struct MixtureTensor {
  std::string name;            // "blk.3.attn_v.weight"
  std::vector<int64_t> shape;  // row-major
};

// One type per tensor, in order. The rules count tensors of a kind as they pass, so the list is the
// whole file in its order. A row that is no whole number of blocks falls back as the format's
// tools do.
std::vector<GgmlType> mixture_types(Quant quant, const MixtureModel& model,
                                    const std::vector<MixtureTensor>& tensors);

}  // namespace dlm
