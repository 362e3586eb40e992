#include "model/decoder.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>

#include "engine/random.h"
#include "formats/safetensors.h"
#include "support/error.h"

namespace dlm {

namespace {

struct NamedSlot {
  Parameter* parameter;
  std::string name;
  std::vector<int64_t> shape;
  bool is_matrix;       // matrices have the activation type, vectors are f32
  bool feeds_residual;  // o_proj and down_proj
};

// Every weight of the family with its checkpoint name and shape.
std::vector<NamedSlot> slots(const ModelConfig& c, Parameter& embed,
                             std::vector<DecoderLayer>& layers, Parameter& final_norm,
                             Parameter& head) {
  std::vector<NamedSlot> all;
  const auto matrix = [&](Parameter& p, std::string name, int64_t out, int64_t in, bool residual) {
    all.push_back({&p, std::move(name), {out, in}, true, residual});
  };
  const auto vector = [&](Parameter& p, std::string name, int64_t size) {
    all.push_back({&p, std::move(name), {size}, false, false});
  };
  const int64_t q = c.num_heads * c.head_dim;
  const int64_t kv = c.num_kv_heads * c.head_dim;
  matrix(embed, "model.embed_tokens.weight", c.vocab_size, c.hidden_size, false);
  for (size_t i = 0; i < layers.size(); ++i) {
    DecoderLayer& l = layers[i];
    const std::string prefix = "model.layers." + std::to_string(i) + ".";
    const std::string attention = prefix + "self_attn.";
    const std::string mlp = prefix + "mlp.";
    vector(l.input_norm, prefix + "input_layernorm.weight", c.hidden_size);
    matrix(l.q, attention + "q_proj.weight", q, c.hidden_size, false);
    matrix(l.k, attention + "k_proj.weight", kv, c.hidden_size, false);
    matrix(l.v, attention + "v_proj.weight", kv, c.hidden_size, false);
    matrix(l.o, attention + "o_proj.weight", c.hidden_size, q, true);
    if (c.attention_bias) {
      vector(l.q_bias, attention + "q_proj.bias", q);
      vector(l.k_bias, attention + "k_proj.bias", kv);
      vector(l.v_bias, attention + "v_proj.bias", kv);
      vector(l.o_bias, attention + "o_proj.bias", c.hidden_size);
    }
    vector(l.post_attention_norm, prefix + "post_attention_layernorm.weight", c.hidden_size);
    matrix(l.gate, mlp + "gate_proj.weight", c.intermediate_size, c.hidden_size, false);
    matrix(l.up, mlp + "up_proj.weight", c.intermediate_size, c.hidden_size, false);
    matrix(l.down, mlp + "down_proj.weight", c.hidden_size, c.intermediate_size, true);
    if (c.mlp_bias) {
      vector(l.gate_bias, mlp + "gate_proj.bias", c.intermediate_size);
      vector(l.up_bias, mlp + "up_proj.bias", c.intermediate_size);
      vector(l.down_bias, mlp + "down_proj.bias", c.hidden_size);
    }
  }
  vector(final_norm, "model.norm.weight", c.hidden_size);
  if (!c.tie_word_embeddings) matrix(head, "lm_head.weight", c.vocab_size, c.hidden_size, false);
  return all;
}

// In type `want`, or in the file's own.
Tensor load_tensor(const SafetensorsSet& set, const NamedSlot& slot, std::optional<DType> type,
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
  DType stored;
  if (found->dtype == "F32") {
    stored = DType::kF32;
  } else if (found->dtype == "BF16") {
    stored = DType::kBF16;
  } else if (found->dtype == "F16") {
    stored = DType::kF16;
  } else {
    throw Error(ErrorKind::kBase, "tensor \"" + slot.name + "\" has type " + found->dtype,
                "use a checkpoint in BF16, F16 or F32", {folder, 0, 0});
  }
  const Tensor view =
      Tensor::view(found->shape, stored, found->bytes.data(), set.file_of(slot.name));
  const DType want = type.value_or(stored);
  const auto address = reinterpret_cast<uintptr_t>(found->bytes.data());
  if (stored == want && slot.is_matrix && address % dtype_size(stored) == 0) return view;
  if (address % dtype_size(stored) == 0) return view.cast(want);
  Tensor aligned = Tensor::zeros(found->shape, stored);
  std::memcpy(aligned.mutable_data(), found->bytes.data(), found->bytes.size());
  return stored == want ? aligned : aligned.cast(want);
}

// The format that a matrix is held in; none: the computing type.
std::optional<QuantFormat> format_of(const NamedSlot& slot, const BaseFormat& format,
                                     const Parameter& embedding, const Parameter& head) {
  if (!slot.is_matrix) return std::nullopt;
  if (slot.parameter == &head) return format.head;
  if (slot.parameter == &embedding) return std::nullopt;
  return format.linear;
}

}  // namespace

std::unique_ptr<Decoder> Decoder::load(const fs::path& folder, DType dtype) {
  return load(folder, dtype, {}, nullptr);
}

std::unique_ptr<Decoder> Decoder::load(const fs::path& folder, DType dtype,
                                       const BaseFormat& format, Device& device) {
  return load(folder, dtype, format, &device);
}

std::unique_ptr<Decoder> Decoder::load(const fs::path& folder, DType dtype,
                                       const BaseFormat& format, Device* device) {
  std::unique_ptr<Decoder> decoder(new Decoder);
  decoder->config_ = load_model_config(folder);
  decoder->dtype_ = dtype;
  decoder->layers_.resize(static_cast<size_t>(decoder->config_.num_layers));
  const SafetensorsSet set = SafetensorsSet::open(folder);
  for (const NamedSlot& slot : slots(decoder->config_, decoder->embed_, decoder->layers_,
                                     decoder->final_norm_, decoder->head_)) {
    slot.parameter->name = slot.name;
    if (const auto quantized = format_of(slot, format, decoder->embed_, decoder->head())) {
      slot.parameter->value = Tensor::shape_only(slot.shape, dtype);
      slot.parameter->quantize(load_tensor(set, slot, std::nullopt, folder.string()), *quantized,
                               device->kernels(), device->pool());
      set.file_of(slot.name)->release(set.at(slot.name).bytes);
      continue;
    }
    slot.parameter->value =
        load_tensor(set, slot, slot.is_matrix ? dtype : DType::kF32, folder.string());
  }
  return decoder;
}

void Decoder::quantize(const BaseFormat& format, Device& device) {
  for (const NamedSlot& slot : slots(config_, embed_, layers_, final_norm_, head_)) {
    const auto quantized = format_of(slot, format, embed_, head());
    if (!quantized || slot.parameter->quantized != nullptr) continue;
    slot.parameter->quantize(slot.parameter->value, *quantized, device.kernels(), device.pool());
  }
}

std::unique_ptr<Decoder> Decoder::random(const ModelConfig& config, DType dtype, uint64_t seed) {
  std::unique_ptr<Decoder> decoder(new Decoder);
  decoder->config_ = config;
  decoder->dtype_ = dtype;
  decoder->layers_.resize(static_cast<size_t>(config.num_layers));
  uint64_t index = 0;
  for (const NamedSlot& slot : slots(decoder->config_, decoder->embed_, decoder->layers_,
                                     decoder->final_norm_, decoder->head_)) {
    Tensor values = Tensor::zeros(slot.shape, DType::kF32);
    float* out = values.mutable_f32();
    const double deviation =
        slot.feeds_residual ? 0.02 / std::sqrt(2.0 * static_cast<double>(config.num_layers)) : 0.02;
    const bool is_bias = slot.name.ends_with(".bias");
    for (int64_t i = 0; i < values.numel(); ++i) {
      const uint64_t key = random_key({seed, index, static_cast<uint64_t>(i)});
      out[i] =
          is_bias ? 0.0f : (slot.is_matrix ? static_cast<float>(normal(key) * deviation) : 1.0f);
    }
    ++index;
    slot.parameter->name = slot.name;
    slot.parameter->value = slot.is_matrix && dtype != DType::kF32 ? values.cast(dtype) : values;
  }
  return decoder;
}

std::unique_ptr<Decoder> Decoder::tiled(const ModelConfig& config, DType dtype) {
  // A prime length, so that neighbouring lines differ.
  constexpr int64_t kBlock = 65521;
  Tensor block = Tensor::zeros({kBlock}, DType::kF32);
  for (int64_t i = 0; i < kBlock; ++i) {
    const uint64_t key = random_key({1, static_cast<uint64_t>(i)});
    block.mutable_f32()[i] = static_cast<float>(normal(key) * 0.02);
  }
  if (dtype != DType::kF32) block = block.cast(dtype);
  std::unique_ptr<Decoder> decoder(new Decoder);
  decoder->config_ = config;
  decoder->dtype_ = dtype;
  decoder->layers_.resize(static_cast<size_t>(config.num_layers));
  for (const NamedSlot& slot : slots(decoder->config_, decoder->embed_, decoder->layers_,
                                     decoder->final_norm_, decoder->head_)) {
    slot.parameter->name = slot.name;
    Tensor& value = slot.parameter->value;
    value = Tensor::zeros(slot.shape, slot.is_matrix ? dtype : DType::kF32);
    if (slot.is_matrix) {
      auto* out = static_cast<std::byte*>(value.mutable_data());
      for (size_t at = 0; at < value.size_bytes(); at += block.size_bytes()) {
        std::memcpy(out + at, block.data(), std::min(block.size_bytes(), value.size_bytes() - at));
      }
    } else if (!slot.name.ends_with(".bias")) {
      std::fill_n(value.mutable_f32(), value.numel(), 1.0f);
    }
  }
  return decoder;
}

std::unique_ptr<Decoder> Decoder::shapes(const ModelConfig& config, DType dtype) {
  std::unique_ptr<Decoder> decoder(new Decoder);
  decoder->config_ = config;
  decoder->dtype_ = dtype;
  decoder->layers_.resize(static_cast<size_t>(config.num_layers));
  for (const NamedSlot& slot : slots(decoder->config_, decoder->embed_, decoder->layers_,
                                     decoder->final_norm_, decoder->head_)) {
    slot.parameter->name = slot.name;
    slot.parameter->value = Tensor::placeholder(slot.shape, slot.is_matrix ? dtype : DType::kF32);
  }
  return decoder;
}

std::vector<Parameter*> Decoder::parameters() {
  std::vector<Parameter*> all;
  for (const NamedSlot& slot : slots(config_, embed_, layers_, final_norm_, head_)) {
    all.push_back(slot.parameter);
  }
  return all;
}

std::vector<std::pair<std::string, Parameter*>> Decoder::linear_layers() {
  std::vector<std::pair<std::string, Parameter*>> all;
  for (const NamedSlot& slot : slots(config_, embed_, layers_, final_norm_, head_)) {
    if (!slot.is_matrix || slot.parameter == &embed_ || slot.parameter == &head_) continue;
    all.emplace_back(slot.name.substr(0, slot.name.size() - std::strlen(".weight")),
                     slot.parameter);
  }
  return all;
}

size_t Decoder::owned_bytes() {
  size_t bytes = 0;
  for (const Parameter* p : parameters()) {
    bytes += p->value.owned_bytes() + p->grad.owned_bytes() + p->master.owned_bytes();
    if (p->quantized != nullptr) bytes += p->quantized->size_bytes();
  }
  return bytes;
}

size_t Decoder::mapped_bytes() {
  size_t bytes = 0;
  for (const Parameter* p : parameters()) {
    if (p->value.owned_bytes() == 0 && !p->value.empty()) bytes += p->value.size_bytes();
  }
  return bytes;
}

void Decoder::save(const fs::path& folder) {
  std::vector<Tensor> converted;
  std::vector<SafetensorsTensor> views;
  const std::vector<Parameter*> all = parameters();
  converted.reserve(all.size());
  for (const Parameter* p : all) {
    check(p->quantized == nullptr, "save: a weight is quantized");
    converted.push_back(p->value.dtype() == DType::kBF16 ? p->value : p->value.cast(DType::kBF16));
    const Tensor& t = converted.back();
    views.push_back(
        {p->name, "BF16", t.shape(), {static_cast<const std::byte*>(t.data()), t.size_bytes()}});
  }
  write_safetensors(folder / "model.safetensors", views, {{"format", "pt"}});
  write_file_atomic(folder / "config.json", model_config_json(config_).dump(2) + "\n");
}

KvCache make_kv_cache(const Decoder& decoder, int64_t capacity) {
  const ModelConfig& c = decoder.config();
  KvCache cache;
  cache.capacity = capacity;
  for (int64_t i = 0; i < c.num_layers; ++i) {
    KvCacheLayer layer;
    layer.keys = Tensor::zeros({capacity, c.num_kv_heads * c.head_dim}, decoder.dtype());
    layer.values = Tensor::zeros({capacity, c.num_kv_heads * c.head_dim}, decoder.dtype());
    cache.layers.push_back(std::move(layer));
  }
  return cache;
}

}  // namespace dlm
