#include "export/gguf_tensors.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>

#include "formats/gguf_names.h"
#include "support/error.h"

namespace dlm {
namespace {

constexpr double kTwoPi = 6.283185307179586;

[[noreturn]] void refuse(const std::string& what, const std::string& hint = {}) {
  throw Error(ErrorKind::kBase, "a GGUF file cannot say " + what,
              hint.empty() ? "export the base with --target hf, vllm or mlx-serve instead" : hint);
}

int64_t layer_of(std::string_view name) {
  if (!name.starts_with("blk.")) return -1;
  int64_t layer = -1;
  std::from_chars(name.data() + 4, name.data() + name.size(), layer);
  return layer;
}

// Layers that see a window, or do not rotate, are fixed by the architecture in the run time.
void check_layers(const ModelConfig& c) {
  for (size_t i = 0; i < c.layer_attention.size(); ++i) {
    const LayerAttention& layer = c.layer_attention[i];
    const std::string number = std::to_string(i);
    if (c.model_type == "gemma2") {
      if (layer.is_sliding != (i % 2 == 0)) refuse("that layer " + number + " has another window");
      continue;
    }
    const bool rotates = c.model_type != "smollm3" || (i + 1) % 4 != 0;
    if (layer.has_rope != rotates) {
      refuse("that layer " + number + (rotates ? " does not rotate" : " rotates"));
    }
    const bool is_window = layer.window > 0 && layer.window < c.max_positions;
    if (is_window && c.model_type != "phi3") {
      refuse("that layer " + number + " of family " + c.model_type + " sees " +
             std::to_string(layer.window) + " tokens");
    }
  }
}

void check_rope(const ModelConfig& c) {
  if (c.sliding_rope) refuse("that sliding layers rotate in their own way");
  const std::string& type = c.rope.type;
  const bool is_llama = gguf_architecture(c.model_type) == "llama";
  const bool is_known = type == "default" || type == "dynamic" ||
                        (type == "longrope" && c.model_type == "phi3") ||
                        (type == "llama3" && is_llama) ||
                        ((type == "linear" || type == "yarn") && c.model_type != "phi3" &&
                         c.model_type != "gemma2" && c.rope.truncates_range);
  if (!is_known) refuse("rope scaling \"" + type + "\" in family " + c.model_type);
}

void check_sizes(const ModelConfig& c, bool has_own_head) {
  if (gguf_architecture(c.model_type).empty()) refuse("what a model of " + c.model_type + " is");
  if (c.model_type == "phi3" && c.num_heads * c.head_dim != c.hidden_size) {
    refuse("that heads of a phi3 model have " + std::to_string(c.head_dim) + " elements");
  }
  if (c.model_type != "gemma2") return;
  if (has_own_head) {
    refuse("that a gemma2 model has a head that is not its embedding",
           "train embed_tokens and lm_head of this base neither alone nor apart");
  }
  if (c.attention_softcap == 0 || c.final_softcap == 0) refuse("a gemma2 model without soft caps");
}

// The run time scales scores by 1/sqrt(head_dim); another scale goes into the queries' weights. The
// largest gemma 2 is known to it by its number of layers.
float query_factor(const ModelConfig& c) {
  constexpr int64_t kLayersOfGemma27B = 46;
  if (c.query_pre_attn_scalar <= 0) return 1.0f;
  const double known = c.num_layers == kLayersOfGemma27B
                           ? static_cast<double>(c.hidden_size) / static_cast<double>(c.num_heads)
                           : static_cast<double>(c.head_dim);
  return static_cast<float>(std::sqrt(known / c.query_pre_attn_scalar));
}

// What llama 3's rule divides each frequency by; the run time applies it to the plain ones.
std::vector<float> llama3_divisors(const ModelConfig& c) {
  RopeConfig plain;
  plain.theta = c.rope.theta;
  std::vector<float> divisors;
  for (const double frequency : plain.frequencies(c.head_dim, 1)) {
    const double wavelength = kTwoPi / frequency;
    const double low = c.rope.original_max_positions / c.rope.low_freq_factor;
    const double high = c.rope.original_max_positions / c.rope.high_freq_factor;
    double divisor = 1.0;
    if (wavelength > low) {
      divisor = c.rope.factor;
    } else if (wavelength >= high) {
      const double share = (c.rope.original_max_positions / wavelength - c.rope.low_freq_factor) /
                           (c.rope.high_freq_factor - c.rope.low_freq_factor);
      divisor = 1.0 / ((1.0 - share) / c.rope.factor + share);
    }
    divisors.push_back(static_cast<float>(divisor));
  }
  return divisors;
}

GgufTensorPlan vector_of(const char* name, std::vector<float> values) {
  GgufTensorPlan plan;
  plan.name = name;
  plan.shape = {static_cast<int64_t>(values.size())};
  plan.values = std::move(values);
  return plan;
}

void add_rope_tensors(const ModelConfig& c, std::vector<GgufTensorPlan>& plans) {
  if (c.rope.type == "llama3") {
    plans.push_back(vector_of("rope_freqs.weight", llama3_divisors(c)));
  }
  if (c.rope.type == "longrope") {
    const auto floats = [](const std::vector<double>& x) {
      return std::vector<float>(x.begin(), x.end());
    };
    plans.push_back(vector_of("rope_factors_long.weight", floats(c.rope.long_factors)));
    plans.push_back(vector_of("rope_factors_short.weight", floats(c.rope.short_factors)));
  }
}

bool is_query(std::string_view name) {
  return name.find(".attn_q.") != std::string_view::npos;
}
bool is_key(std::string_view name) {
  return name.find(".attn_k.") != std::string_view::npos;
}

}  // namespace

int64_t GgufTensorPlan::source_row(int64_t row) const {
  if (rotary_heads == 0) return row;
  const int64_t rows = shape.size() == 1 ? shape[0] : rows_per_matrix();
  const int64_t size = rows / rotary_heads;
  const int64_t at = row % size;
  return row - at + at % 2 * (size / 2) + at / 2;
}

std::vector<GgufTensorPlan> plan_gguf_tensors(const ModelConfig& config, bool has_own_head) {
  check_sizes(config, has_own_head);
  check_layers(config);
  check_rope(config);
  const bool has_neighbour_layout =
      gguf_architecture(config.model_type) == "llama" || config.model_type == "smollm3";
  // olmo2's run time knows no tied head.
  const bool needs_head = has_own_head || config.model_type == "olmo2";

  DecoderWeights none;
  std::vector<WeightSlot> slots = weight_slots(config, none);
  if (needs_head && config.tie_word_embeddings) {
    WeightSlot head = slots.front();
    head.role = WeightRole::kHead;
    slots.push_back(head);
  }
  std::map<std::string, GgufTensorPlan> by_name;
  for (WeightSlot& slot : slots) {
    slot.parameter = nullptr;
    const bool is_head = slot.role == WeightRole::kHead;
    const auto place = gguf_place(config.model_type, is_head ? "lm_head.weight" : slot.name);
    if (!place) refuse("what \"" + slot.name + "\" is");
    GgufTensorPlan& plan = by_name[place->name];
    plan.name = place->name;
    plan.shape = slot.shape;
    plan.sources.push_back(slot);
    if (is_query(plan.name)) plan.factor = query_factor(config);
    if (!has_neighbour_layout) continue;
    if (is_query(plan.name)) plan.rotary_heads = config.num_heads;
    if (is_key(plan.name)) plan.rotary_heads = config.num_kv_heads;
  }
  std::vector<GgufTensorPlan> plans;
  for (auto& [name, plan] : by_name) {
    if (name.find("_exps.") != std::string::npos) {
      plan.shape.insert(plan.shape.begin(), static_cast<int64_t>(plan.sources.size()));
    }
    plans.push_back(std::move(plan));
  }
  add_rope_tensors(config, plans);
  std::sort(plans.begin(), plans.end(), [](const GgufTensorPlan& a, const GgufTensorPlan& b) {
    const int64_t layer_a = layer_of(a.name), layer_b = layer_of(b.name);
    return layer_a != layer_b ? layer_a < layer_b : a.name < b.name;
  });
  return plans;
}

}  // namespace dlm
