#include "model/weights.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "support/error.h"

namespace dlm {

namespace {

class SlotList {
 public:
  explicit SlotList(const ModelConfig& config) : c_(config) {}

  void add_all(DecoderWeights& weights) {
    add(weights.embed, "model.embed_tokens.weight", {c_.vocab_size, c_.hidden_size},
        WeightRole::kEmbedding);
    weights.layers.resize(static_cast<size_t>(c_.num_layers));
    for (size_t i = 0; i < weights.layers.size(); ++i) {
      const std::string prefix = "model.layers." + std::to_string(i) + ".";
      add_attention(weights.layers[i], prefix);
      add_mlp(weights.layers[i], prefix);
    }
    add(weights.final_norm, "model.norm.weight", {c_.hidden_size}, WeightRole::kNorm);
    if (!c_.tie_word_embeddings) {
      add(weights.head, "lm_head.weight", {c_.vocab_size, c_.hidden_size}, WeightRole::kHead);
    }
  }

  std::vector<WeightSlot> slots;

 private:
  void add(Parameter& p, std::string name, std::vector<int64_t> shape, WeightRole role,
           bool feeds_residual = false) {
    slots.push_back({&p, std::move(name), std::move(shape), role, feeds_residual});
  }
  void norm(Parameter& p, const std::string& module, int64_t size) {
    add(p, module + ".weight", {size}, WeightRole::kNorm);
  }
  void bias(Parameter& p, const std::string& module, int64_t size) {
    add(p, module + ".bias", {size}, WeightRole::kBias);
  }
  void linear(Parameter& p, const std::string& module, int64_t out, int64_t in,
              bool feeds_residual = false) {
    add(p, module + ".weight", {out, in}, WeightRole::kLinear, feeds_residual);
  }

  void add_attention(DecoderLayer& l, const std::string& prefix) {
    const int64_t q = c_.num_heads * c_.head_dim;
    const int64_t kv = c_.num_kv_heads * c_.head_dim;
    const std::string attention = prefix + "self_attn.";
    if (c_.family().norms != NormPlacement::kAfter) {
      norm(l.attention_norm, prefix + "input_layernorm", c_.hidden_size);
    }
    if (c_.family().has_fused_projections) {
      linear(l.qkv, attention + "qkv_proj", q + 2 * kv, c_.hidden_size);
    } else {
      linear(l.q, attention + "q_proj", q, c_.hidden_size);
      linear(l.k, attention + "k_proj", kv, c_.hidden_size);
      linear(l.v, attention + "v_proj", kv, c_.hidden_size);
    }
    linear(l.o, attention + "o_proj", c_.hidden_size, q, true);
    if (c_.has_qkv_bias()) {
      bias(l.q_bias, attention + "q_proj", q);
      bias(l.k_bias, attention + "k_proj", kv);
      bias(l.v_bias, attention + "v_proj", kv);
    }
    if (c_.has_o_bias()) bias(l.o_bias, attention + "o_proj", c_.hidden_size);
    if (c_.family().qk_norm == QkNorm::kNone) return;
    const bool is_per_head = c_.family().qk_norm == QkNorm::kPerHead;
    norm(l.q_norm, attention + "q_norm", is_per_head ? c_.head_dim : q);
    norm(l.k_norm, attention + "k_norm", is_per_head ? c_.head_dim : kv);
  }

  void add_mlp(DecoderLayer& l, const std::string& prefix) {
    const int64_t hidden = c_.hidden_size;
    const int64_t ffn = c_.intermediate_size;
    add_mlp_norms(l, prefix);
    if (c_.family().has_experts) {
      const std::string moe = prefix + "block_sparse_moe.";
      add(l.router, moe + "gate.weight", {c_.num_experts, hidden}, WeightRole::kRouter);
      l.experts.resize(static_cast<size_t>(c_.num_experts));
      for (size_t e = 0; e < l.experts.size(); ++e) {
        const std::string expert = moe + "experts." + std::to_string(e) + ".";
        linear(l.experts[e].gate, expert + "w1", ffn, hidden);
        linear(l.experts[e].down, expert + "w2", hidden, ffn, true);
        linear(l.experts[e].up, expert + "w3", ffn, hidden);
      }
      return;
    }
    const std::string mlp = prefix + "mlp.";
    if (c_.family().has_fused_projections) {
      linear(l.gate_up, mlp + "gate_up_proj", 2 * ffn, hidden);
    } else {
      linear(l.gate, mlp + "gate_proj", ffn, hidden);
      linear(l.up, mlp + "up_proj", ffn, hidden);
    }
    linear(l.down, mlp + "down_proj", hidden, ffn, true);
    if (!c_.mlp_bias) return;
    bias(l.gate_bias, mlp + "gate_proj", ffn);
    bias(l.up_bias, mlp + "up_proj", ffn);
    bias(l.down_bias, mlp + "down_proj", hidden);
  }

  void add_mlp_norms(DecoderLayer& l, const std::string& prefix) {
    const int64_t hidden = c_.hidden_size;
    switch (c_.family().norms) {
      case NormPlacement::kBefore:
        norm(l.mlp_norm, prefix + "post_attention_layernorm", hidden);
        break;
      case NormPlacement::kBeforeAndAfter:
        norm(l.attention_post_norm, prefix + "post_attention_layernorm", hidden);
        norm(l.mlp_norm, prefix + "pre_feedforward_layernorm", hidden);
        norm(l.mlp_post_norm, prefix + "post_feedforward_layernorm", hidden);
        break;
      case NormPlacement::kAfter:
        norm(l.attention_post_norm, prefix + "post_attention_layernorm", hidden);
        norm(l.mlp_post_norm, prefix + "post_feedforward_layernorm", hidden);
        break;
    }
  }

  const ModelConfig& c_;
};

int64_t numel(const std::vector<int64_t>& shape) {
  int64_t product = 1;
  for (const int64_t d : shape) product *= d;
  return product;
}

DType stored_type(const SafetensorsTensor& tensor, const std::string& folder) {
  if (tensor.dtype == "F32") return DType::kF32;
  if (tensor.dtype == "BF16") return DType::kBF16;
  if (tensor.dtype == "F16") return DType::kF16;
  throw Error(ErrorKind::kBase, "tensor \"" + tensor.name + "\" has type " + tensor.dtype,
              "use a checkpoint in BF16, F16 or F32", {folder, 0, 0});
}

// The first element whose exponent is all ones, an infinity or NaN; -1 when there is none. Counts
// first, because a plain loop over billions of weights runs as fast as memory.
template <class Bits>
int64_t first_not_finite(const void* data, int64_t n, Bits exponent) {
  const Bits* bits = static_cast<const Bits*>(data);
  const auto is_bad = [&](Bits b) { return (b & exponent) == exponent; };
  int64_t count = 0;
  for (int64_t i = 0; i < n; ++i) count += is_bad(bits[i]) ? 1 : 0;
  return count == 0 ? -1 : std::find_if(bits, bits + n, is_bad) - bits;
}

}  // namespace

void check_finite(const Tensor& tensor, const std::string& name, const std::string& folder) {
  const void* data = tensor.data();
  const int64_t bad = tensor.dtype() == DType::kBF16
                          ? first_not_finite<uint16_t>(data, tensor.numel(), 0x7f80)
                      : tensor.dtype() == DType::kF16
                          ? first_not_finite<uint16_t>(data, tensor.numel(), 0x7c00)
                          : first_not_finite<uint32_t>(data, tensor.numel(), 0x7f800000);
  if (bad < 0) return;
  throw Error(ErrorKind::kBase,
              "tensor \"" + name + "\" holds a value that is no finite number, at element " +
                  std::to_string(bad),
              "the weights are damaged; download them again", {folder, 0, 0});
}

std::vector<WeightSlot> weight_slots(const ModelConfig& config, DecoderWeights& weights) {
  SlotList list(config);
  list.add_all(weights);
  return std::move(list.slots);
}

const SafetensorsTensor& require_weight(const SafetensorsSet& set, const WeightSlot& slot,
                                        const std::string& folder) {
  const SafetensorsTensor* found = set.find(slot.name);
  if (found == nullptr) {
    throw Error(ErrorKind::kBase, "the weights have no tensor \"" + slot.name + "\"",
                "config.json and the weight files do not belong together, or a shard is missing",
                {folder, 0, 0});
  }
  if (found->shape != slot.shape) {
    throw Error(ErrorKind::kBase,
                "tensor \"" + slot.name + "\" has shape " + shape_text(found->shape) +
                    ", config.json asks for " + shape_text(slot.shape),
                "config.json and the weight files do not belong together", {folder, 0, 0});
  }
  stored_type(*found, folder);  // throws
  return *found;
}

DType stored_dtype(const SafetensorsSet& set, const WeightSlot& slot, const std::string& folder) {
  return stored_type(require_weight(set, slot, folder), folder);
}

Tensor load_weight(const SafetensorsSet& set, const WeightSlot& slot, std::optional<DType> dtype,
                   const ModelConfig& config, const std::string& folder) {
  const SafetensorsTensor* found = &require_weight(set, slot, folder);
  const DType stored = stored_type(*found, folder);
  const DType want = slot.is_matrix() ? dtype.value_or(stored) : DType::kF32;
  const auto address = reinterpret_cast<uintptr_t>(found->bytes.data());
  const bool is_aligned = address % dtype_size(stored) == 0;
  Tensor value = Tensor::view(found->shape, stored, found->bytes.data(), set.file_of(slot.name));
  if (stored == want && slot.is_matrix() && is_aligned) return value;
  if (!is_aligned) {
    value = Tensor::zeros(found->shape, stored);
    std::memcpy(value.mutable_data(), found->bytes.data(), found->bytes.size());
  }
  if (stored != want || value.owned_bytes() == 0) value = value.cast(want);
  check_finite(value, slot.name, folder);
  if (slot.role == WeightRole::kNorm && config.family().norm_weights_are_offsets) {
    for (int64_t i = 0; i < value.numel(); ++i) value.mutable_f32()[i] += 1.0f;
  }
  return value;
}

void check_no_extra_weights(const SafetensorsSet& set, const std::vector<WeightSlot>& slots,
                            const ModelConfig& config, const std::string& folder) {
  std::set<std::string, std::less<>> known;
  for (const WeightSlot& slot : slots) known.insert(slot.name);
  std::string first;
  size_t count = 0;
  for (const std::string& name : set.names()) {
    const bool is_harmless = name.ends_with("rotary_emb.inv_freq") ||
                             (config.tie_word_embeddings && name == "lm_head.weight");
    if (is_harmless || known.contains(name)) continue;
    if (count++ == 0) first = name;
  }
  if (count == 0) return;
  throw Error(ErrorKind::kBase,
              "the weights have a tensor \"" + first + "\"" +
                  (count > 1 ? " and " + std::to_string(count - 1) + " more" : "") +
                  " that a model of family " + config.model_type + " does not use",
              "config.json and the weight files do not belong together", {folder, 0, 0});
}

std::optional<DType> check_weight_files(const fs::path& folder, const ModelConfig& config) {
  const SafetensorsSet set = SafetensorsSet::open(folder);
  DecoderWeights none;
  const std::vector<WeightSlot> slots = weight_slots(config, none);
  std::optional<DType> type;
  bool is_mixed = false;
  for (const WeightSlot& slot : slots) {
    const DType stored = stored_dtype(set, slot, folder.string());
    if (!slot.is_matrix()) continue;
    is_mixed |= type && *type != stored;
    type = stored;
  }
  check_no_extra_weights(set, slots, config, folder.string());
  return is_mixed ? std::nullopt : type;
}

int64_t ModelConfig::num_parameters() const {
  DecoderWeights none;
  int64_t total = 0;
  for (const WeightSlot& slot : weight_slots(*this, none)) total += numel(slot.shape);
  return total;
}

int64_t ModelConfig::num_linear_weights_a_token() const {
  DecoderWeights none;
  int64_t all = 0;
  int64_t of_experts = 0;
  for (const WeightSlot& slot : weight_slots(*this, none)) {
    if (slot.role != WeightRole::kLinear) continue;
    const bool is_expert = slot.name.find(".experts.") != std::string::npos;
    (is_expert ? of_experts : all) += numel(slot.shape);
  }
  return num_experts == 0 ? all : all + of_experts / num_experts * experts_per_token;
}

}  // namespace dlm
