#include "model/gguf_weights.h"

#include <cmath>
#include <cstring>
#include <utility>

#include "formats/ggml_blocks.h"
#include "model/gguf_config.h"
#include "support/error.h"

namespace dlm {

namespace {

constexpr std::pair<const char*, const char*> kModules[] = {
    {"input_layernorm", "attn_norm"},
    {"self_attn.q_proj", "attn_q"},
    {"self_attn.k_proj", "attn_k"},
    {"self_attn.v_proj", "attn_v"},
    {"self_attn.o_proj", "attn_output"},
    {"self_attn.qkv_proj", "attn_qkv"},
    {"self_attn.q_norm", "attn_q_norm"},
    {"self_attn.k_norm", "attn_k_norm"},
    {"mlp.gate_proj", "ffn_gate"},
    {"mlp.up_proj", "ffn_up"},
    {"mlp.down_proj", "ffn_down"},
    {"mlp.gate_up_proj", "ffn_up"},
    {"pre_feedforward_layernorm", "ffn_norm"},
    {"post_feedforward_layernorm", "post_ffw_norm"},
    {"block_sparse_moe.gate", "ffn_gate_inp"},
    {"w1", "ffn_gate_exps"},
    {"w2", "ffn_down_exps"},
    {"w3", "ffn_up_exps"},
};

std::string tensor_module(const std::string& module, const ModelConfig& config) {
  if (module == "post_attention_layernorm") {
    return config.family().norms == NormPlacement::kBefore ? "ffn_norm" : "post_attention_norm";
  }
  for (const auto& [ours, theirs] : kModules) {
    if (module == ours) return theirs;
  }
  check(false, "a weight that GGUF files have no name for");
  return {};
}

[[noreturn]] void fail(const GgufFile& file, const std::string& what) {
  throw Error(ErrorKind::kFormat, what, "the file is damaged, or of a model that dlm does not run",
              {file.path().string(), 0, 0});
}

}  // namespace

GgufPlace gguf_place(const WeightSlot& slot, const ModelConfig& config) {
  constexpr std::string_view kLayers = "model.layers.";
  if (!slot.name.starts_with(kLayers)) {
    if (slot.role == WeightRole::kEmbedding) return {"token_embd.weight"};
    return {slot.role == WeightRole::kHead ? "output.weight" : "output_norm.weight"};
  }
  const size_t number_end = slot.name.find('.', kLayers.size());
  const size_t kind = slot.name.rfind('.');  // ".weight" or ".bias"
  const std::string number = slot.name.substr(kLayers.size(), number_end - kLayers.size());
  std::string module = slot.name.substr(number_end + 1, kind - number_end - 1);
  GgufPlace place;
  if (const size_t experts = module.find("experts."); experts != module.npos) {
    place.expert = std::stoll(module.substr(experts + 8));
    module = module.substr(module.rfind('.') + 1);
  }
  place.tensor = "blk." + number + "." + tensor_module(module, config) + slot.name.substr(kind);
  return place;
}

int64_t gguf_permuted_heads(const WeightSlot& slot, const ModelConfig& config) {
  if (!gguf_rotates_neighbours(config)) return 0;
  if (slot.name.find(".q_proj.") != slot.name.npos) return config.num_heads;
  if (slot.name.find(".k_proj.") != slot.name.npos) return config.num_kv_heads;
  return 0;
}

std::vector<std::byte> unpermuted_rows(std::span<const std::byte> bytes, int64_t rows,
                                       int64_t heads) {
  const size_t row_bytes = bytes.size() / static_cast<size_t>(rows);
  const auto head = static_cast<size_t>(rows / heads);
  std::vector<std::byte> out(bytes.size());
  for (size_t r = 0; r < static_cast<size_t>(rows); ++r) {
    const size_t begin = r / head * head;
    const size_t pair = (r - begin) / 2;
    const size_t to = begin + (r % 2) * (head / 2) + pair;
    std::memcpy(out.data() + to * row_bytes, bytes.data() + r * row_bytes, row_bytes);
  }
  return out;
}

GgufWeight find_gguf_weight(const GgufFile& file, const WeightSlot& slot,
                            const ModelConfig& config) {
  const GgufPlace place = gguf_place(slot, config);
  const GgufTensor* found = file.find_tensor(place.tensor);
  if (found == nullptr) fail(file, "there is no tensor \"" + place.tensor + "\"");
  std::vector<int64_t> shape = slot.shape;
  if (place.expert >= 0) shape.insert(shape.begin(), config.num_experts);
  if (found->shape != shape) {
    fail(file, "the tensor \"" + place.tensor + "\" has shape " + shape_text(found->shape) +
                   ", the file's keys ask for " + shape_text(shape));
  }
  if (found->type == GgmlType::kI32) {
    fail(file, "the tensor \"" + place.tensor + "\" holds whole numbers, no weights");
  }
  GgufWeight weight{found->type, found->bytes, nullptr};
  if (place.expert >= 0) {
    const size_t size = found->bytes.size() / static_cast<size_t>(config.num_experts);
    weight.bytes = found->bytes.subspan(static_cast<size_t>(place.expert) * size, size);
  }
  if (const int64_t heads = gguf_permuted_heads(slot, config); heads > 0) {
    weight.owned = std::make_shared<const std::vector<std::byte>>(
        unpermuted_rows(weight.bytes, slot.shape[0], heads));
    weight.bytes = *weight.owned;
  }
  return weight;
}

Tensor load_gguf_vector(const GgufFile& file, const WeightSlot& slot, const ModelConfig& config) {
  const GgufWeight weight = find_gguf_weight(file, slot, config);
  Tensor out = Tensor::zeros(slot.shape, DType::kF32);
  const int64_t cols = slot.shape.back();
  const int64_t rows = out.numel() / cols;
  if (is_block_type(weight.type) && slot.shape.size() == 1) {
    fail(file, "the tensor \"" + gguf_place(slot, config).tensor + "\" is quantized");
  }
  const auto row_bytes = static_cast<size_t>(ggml_row_bytes(weight.type, cols));
  for (int64_t r = 0; r < rows; ++r) {
    ggml_dequantize_row(weight.type, weight.bytes.data() + static_cast<size_t>(r) * row_bytes, cols,
                        out.mutable_f32() + r * cols);
  }
  for (int64_t i = 0; i < out.numel(); ++i) {
    if (std::isfinite(out.f32()[i])) continue;
    fail(file, "the tensor \"" + gguf_place(slot, config).tensor +
                   "\" holds a number that is not finite");
  }
  return out;
}

void check_no_extra_weights(const GgufFile& file, const std::vector<WeightSlot>& slots,
                            const ModelConfig& config) {
  std::set<std::string, std::less<>> known = {"rope_freqs.weight", "rope_factors_short.weight",
                                              "rope_factors_long.weight"};
  for (const WeightSlot& slot : slots) known.insert(gguf_place(slot, config).tensor);
  for (const GgufTensor& tensor : file.tensors()) {
    if (known.contains(tensor.name)) continue;
    fail(file, "the tensor \"" + tensor.name + "\" is none that a model of this architecture has");
  }
}

}  // namespace dlm
