#include "model/family.h"

#include <algorithm>

#include "support/error.h"

namespace dlm {

namespace {

// Defaults are those of transformers 4.57.
constexpr Family kFamilies[] = {
    {
        .model_type = "llama",
        .defaults = {},
        .attention_bias = AttentionBias::kConfigured,
        .may_have_mlp_bias = true,
    },
    {
        .model_type = "qwen2",
        .defaults = {.num_kv_heads = 32, .max_positions = 32768, .sliding_window = 4096},
        .attention_bias = AttentionBias::kQkv,
        .window = WindowRule::kFromMaxWindow,
    },
    {
        .model_type = "qwen3",
        .defaults =
            {.num_kv_heads = 32, .head_dim = 128, .max_positions = 32768, .sliding_window = 4096},
        .qk_norm = QkNorm::kPerHead,
        .attention_bias = AttentionBias::kConfigured,
        .window = WindowRule::kFromMaxWindow,
    },
    {
        .model_type = "gemma2",
        .defaults = {.num_kv_heads = 4,
                     .head_dim = 256,
                     .max_positions = 8192,
                     .sliding_window = 4096,
                     .tie_word_embeddings = true},
        .norms = NormPlacement::kBeforeAndAfter,
        .activation = Activation::kGeluTanh,
        .attention_bias = AttentionBias::kConfigured,
        .norm_weights_are_offsets = true,
        .scales_embedding = true,
        .has_softcaps = true,
        .window = WindowRule::kEvenLayers,
    },
    {
        .model_type = "phi3",
        .defaults = {.max_positions = 4096, .rms_norm_eps = 1e-5},
        .has_fused_projections = true,
        .window = WindowRule::kAllLayers,
    },
    {
        .model_type = "olmo2",
        .defaults = {.rms_norm_eps = 1e-5},
        .norms = NormPlacement::kAfter,
        .qk_norm = QkNorm::kFullWidth,
        .attention_bias = AttentionBias::kConfigured,
    },
    {
        .model_type = "smollm3",
        .defaults = {.num_kv_heads = 4,
                     .max_positions = 32768,
                     .rope_theta = 2e6,
                     .tie_word_embeddings = true},
        .attention_bias = AttentionBias::kConfigured,
        .may_have_mlp_bias = true,
        .window = WindowRule::kLayersWithoutRope,
        .rope_layers = RopeLayers::kNoRopeList,
    },
    {
        .model_type = "mixtral",
        .defaults =
            {.num_kv_heads = 8, .max_positions = 131072, .rms_norm_eps = 1e-5, .rope_theta = 1e6},
        .has_experts = true,
        .window = WindowRule::kAllLayers,
    },
};

}  // namespace

const Family* find_family(std::string_view model_type) {
  const auto* found = std::find_if(std::begin(kFamilies), std::end(kFamilies),
                                   [&](const Family& f) { return f.model_type == model_type; });
  return found == std::end(kFamilies) ? nullptr : found;
}

const Family& family_of(std::string_view model_type) {
  const Family* family = find_family(model_type);
  check(family != nullptr, "a family that is not in the table");
  return *family;
}

std::vector<std::string_view> family_names() {
  std::vector<std::string_view> names;
  for (const Family& family : kFamilies) names.push_back(family.model_type);
  return names;
}

}  // namespace dlm
