// What sets one family of decoders apart from another. All of them are the same pre-norm or
// post-norm transformer with rotary grouped-query attention and a gated MLP; a family is one row of
// a table, not a model of its own. Sizes and numbers of a checkpoint are in config.h.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace dlm {

// Where RMS norms stand in a layer.
enum class NormPlacement {
  kBefore,          // x + f(norm(x))
  kBeforeAndAfter,  // x + norm(f(norm(x)))
  kAfter,           // x + norm(f(x))
};

// Norms of queries and keys before their rotation.
enum class QkNorm { kNone, kPerHead, kFullWidth };

enum class Activation { kSilu, kGeluTanh };

// Biases of attention projections.
enum class AttentionBias {
  kNone,
  kQkv,         // always, on q, k and v
  kConfigured,  // on q, k, v and o when "attention_bias" says so
};

// Which layers see only a window of keys, when config.json has no "layer_types".
enum class WindowRule {
  kNone,
  kAllLayers,          // "sliding_window" alone decides
  kEvenLayers,         // layers 0, 2, 4, ...
  kFromMaxWindow,      // with "use_sliding_window", from layer "max_window_layers" on
  kLayersWithoutRope,  // with "use_sliding_window"
};

enum class RopeLayers {
  kAll,
  kNoRopeList,  // "no_rope_layers", or all but every fourth
};

// Values that transformers takes for keys that config.json leaves out; 0 means "derived": head_dim
// from the hidden size, num_kv_heads from the heads.
struct FamilyDefaults {
  int64_t num_kv_heads = 0;
  int64_t head_dim = 0;
  int64_t max_positions = 2048;
  double rms_norm_eps = 1e-6;
  double rope_theta = 10000.0;
  int64_t sliding_window = 0;
  bool tie_word_embeddings = false;
};

struct Family {
  std::string_view model_type;
  FamilyDefaults defaults;
  NormPlacement norms = NormPlacement::kBefore;
  QkNorm qk_norm = QkNorm::kNone;
  Activation activation = Activation::kSilu;
  AttentionBias attention_bias = AttentionBias::kNone;
  bool may_have_mlp_bias = false;
  bool has_fused_projections = false;     // qkv_proj and gate_up_proj
  bool has_experts = false;               // a router and several MLPs (Jiang et al. 2024)
  bool norm_weights_are_offsets = false;  // stored as w - 1
  bool scales_embedding = false;          // by sqrt(hidden_size)
  bool has_softcaps = false;              // of attention scores and of logits
  WindowRule window = WindowRule::kNone;
  RopeLayers rope_layers = RopeLayers::kAll;
};

// Null when the family is not known.
const Family* find_family(std::string_view model_type);
// The same for a name that was checked before.
const Family& family_of(std::string_view model_type);
// In the order of the table.
std::vector<std::string_view> family_names();

}  // namespace dlm
