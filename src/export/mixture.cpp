#include "export/mixture.h"

#include <array>
#include <charconv>

#include "support/error.h"

namespace dlm {

namespace {

struct QuantTraits {
  Quant quant;
  std::string_view name;
  uint32_t file_type;  // general.file_type of llama.cpp
  GgmlType base;       // what a tensor gets where no rule says more
};

constexpr std::array<QuantTraits, 7> kQuants = {{
    {Quant::kQ4_K_M, "Q4_K_M", 15, GgmlType::kQ4_K},
    {Quant::kQ5_K_M, "Q5_K_M", 17, GgmlType::kQ5_K},
    {Quant::kQ6_K, "Q6_K", 18, GgmlType::kQ6_K},
    {Quant::kQ8_0, "Q8_0", 7, GgmlType::kQ8_0},
    {Quant::kF16, "F16", 1, GgmlType::kF16},
    {Quant::kBF16, "BF16", 32, GgmlType::kBF16},
    {Quant::kF32, "F32", 0, GgmlType::kF32},
}};

const QuantTraits& traits_of(Quant quant) {
  for (const QuantTraits& traits : kQuants) {
    if (traits.quant == quant) return traits;
  }
  throw Error(ErrorKind::kInternal, "a quantization without an entry in the table");
}

bool has(std::string_view name, std::string_view part) {
  return name.find(part) != std::string_view::npos;
}

// Norms, biases and an expert model's router stay f32, as does everything with one dimension.
bool is_quantizable(const MixtureTensor& tensor) {
  return tensor.shape.size() >= 2 && tensor.name.ends_with("weight") &&
         !has(tensor.name, "_norm.weight") && !has(tensor.name, "ffn_gate_inp.weight");
}

bool is_value_projection(std::string_view name) {
  return has(name, "attn_v.weight") || has(name, "attn_qkv.weight");
}

// The first and the last eighth of the layers and every third between them get more bits.
bool gets_more_bits(int64_t index, int64_t count) {
  return index < count / 8 || index >= 7 * count / 8 || (index - count / 8) % 3 == 2;
}

bool is_multiple(const MixtureTensor& tensor, GgmlType type) {
  return tensor.shape.back() % ggml_traits(type).block_elements == 0;
}

// The 3 of "blk.3.ffn_down_exps.weight"; `otherwise` where there is none.
int64_t layer_of(std::string_view name, int64_t otherwise) {
  constexpr std::string_view kPrefix = "blk.";
  if (!name.starts_with(kPrefix)) return otherwise;
  int64_t layer = 0;
  const char* first = name.data() + kPrefix.size();
  const auto [end, error] = std::from_chars(first, name.data() + name.size(), layer);
  return error == std::errc() && end != first ? layer : otherwise;
}

// llama.cpp's rules for one file: a table by name, and two counts of tensors that passed.
class Rules {
 public:
  Rules(Quant quant, const MixtureModel& model, const std::vector<MixtureTensor>& tensors)
      : quant_(quant), base_(traits_of(quant).base), model_(model) {
    for (const MixtureTensor& tensor : tensors) {
      if (is_value_projection(tensor.name)) ++num_values_;
    }
  }

  GgmlType wanted(const MixtureTensor& tensor) {
    const std::string_view name = tensor.name;
    const bool is_medium = quant_ == Quant::kQ4_K_M || quant_ == Quant::kQ5_K_M;
    const bool has_eight_experts = model_.num_experts == 8;
    if (name == "output.weight" || (name == "token_embd.weight" && !model_.has_output_weight)) {
      if (!is_multiple(tensor, base_) || base_ == GgmlType::kQ8_0) return GgmlType::kQ8_0;
      return GgmlType::kQ6_K;
    }
    if (is_value_projection(name)) {
      GgmlType type = base_;
      if (is_medium && gets_more_bits(values_seen_, num_values_)) type = GgmlType::kQ6_K;
      if (is_70b() && type == GgmlType::kQ4_K) type = GgmlType::kQ5_K;
      if (has_eight_experts) type = GgmlType::kQ8_0;
      ++values_seen_;
      return type;
    }
    if (has(name, "attn_k.weight")) return has_eight_experts ? GgmlType::kQ8_0 : base_;
    if (has(name, "attn_output.weight")) {
      return has_eight_experts && quant_ == Quant::kQ4_K_M ? GgmlType::kQ5_K : base_;
    }
    if (has(name, "ffn_down")) {
      // Files of experts need not list layers in order, so their own number counts.
      const int64_t layer = model_.num_experts > 1 ? layer_of(name, downs_seen_) : downs_seen_;
      ++downs_seen_;
      return is_medium && gets_more_bits(layer, model_.num_layers) ? GgmlType::kQ6_K : base_;
    }
    return base_;
  }

 private:
  // Grouped queries over 80 layers: each of the few value heads serves many.
  bool is_70b() const {
    return (model_.architecture == "llama" || model_.architecture == "qwen2") &&
           model_.num_layers == 80 && model_.num_kv_heads < model_.num_heads;
  }

  Quant quant_;
  GgmlType base_;
  const MixtureModel& model_;
  int64_t num_values_ = 0;
  int64_t values_seen_ = 0;
  int64_t downs_seen_ = 0;
};

// A row that is no whole number of blocks: the nearest type of 32s, else halves.
GgmlType fitting_type(const MixtureTensor& tensor, GgmlType type) {
  if (is_multiple(tensor, type)) return type;
  switch (type) {
    case GgmlType::kQ4_K:
      type = GgmlType::kQ5_0;
      break;
    case GgmlType::kQ5_K:
      type = GgmlType::kQ5_1;
      break;
    default:
      type = GgmlType::kQ8_0;
      break;
  }
  return is_multiple(tensor, type) ? type : GgmlType::kF16;
}

}  // namespace

std::string_view quant_name(Quant quant) {
  return traits_of(quant).name;
}

std::optional<Quant> find_quant(std::string_view name) {
  for (const QuantTraits& traits : kQuants) {
    if (traits.name == name) return traits.quant;
  }
  return std::nullopt;
}

uint32_t quant_file_type(Quant quant) {
  return traits_of(quant).file_type;
}

std::vector<GgmlType> mixture_types(Quant quant, const MixtureModel& model,
                                    const std::vector<MixtureTensor>& tensors) {
  const GgmlType base = traits_of(quant).base;
  Rules rules(quant, model, tensors);
  std::vector<GgmlType> types;
  types.reserve(tensors.size());
  for (const MixtureTensor& tensor : tensors) {
    if (!is_quantizable(tensor)) {
      types.push_back(GgmlType::kF32);
    } else if (!is_block_type(base)) {
      types.push_back(base);
    } else {
      types.push_back(fitting_type(tensor, rules.wanted(tensor)));
    }
  }
  return types;
}

}  // namespace dlm
