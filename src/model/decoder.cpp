#include "model/decoder.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>

#include "engine/cpu/gemm.h"
#include "engine/random.h"
#include "formats/safetensors.h"
#include "model/lora.h"
#include "model/peft_config.h"
#include "support/error.h"

namespace dlm {

namespace {

// The format that a matrix is held in; none: the computing type.
std::optional<QuantFormat> format_of(const WeightSlot& slot, const BaseFormat& format,
                                     const Parameter& head) {
  if (slot.parameter == &head) return format.head;
  return slot.role == WeightRole::kLinear ? format.linear : std::nullopt;
}

// Holds the value as rows of its own type, for products of type `dtype`.
void multiply_as_stored(Parameter& p, DType dtype) {
  const GgmlType type = p.value.dtype() == DType::kF32    ? GgmlType::kF32
                        : p.value.dtype() == DType::kBF16 ? GgmlType::kBF16
                                                          : GgmlType::kF16;
  const auto owner = std::make_shared<const Tensor>(std::move(p.value));
  p.value = Tensor::shape_only(owner->shape(), dtype);
  p.quantized = QuantizedMatrix::from_blocks(type, owner->dim(0), owner->dim(1),
                                             static_cast<const std::byte*>(owner->data()), owner);
}

}  // namespace

bool trains_as_stored(DType computing, DType stored) {
  return computing == DType::kF32 && stored == DType::kBF16 && gemm_widens_bf16();
}

std::string_view trained_base_word(const BaseFormat& format) {
  if (!format.linear) return "full";
  return *format.linear == QuantFormat::kInt8 ? "int8" : "nf4";
}

BaseFormat trained_base_format(std::string_view word) {
  if (word == "full") return {};
  if (word == "int8") return {QuantFormat::kInt8, std::nullopt};
  if (word == "nf4") return BaseFormat::qlora();
  throw Error(ErrorKind::kFormat,
              "\"" + std::string(word) + "\" is no form in which a base is held",
              "there are full, int8 and nf4");
}

std::unique_ptr<Decoder> Decoder::load(const fs::path& folder, DType dtype) {
  return load(folder, dtype, {}, nullptr, {});
}

std::unique_ptr<Decoder> Decoder::load(const fs::path& folder, DType dtype,
                                       const BaseFormat& format, Device& device) {
  return load(folder, dtype, format, &device, {});
}

std::unique_ptr<Decoder> Decoder::load_to_answer(const fs::path& folder, const fs::path& adapter,
                                                 DType dtype, const BaseFormat& format,
                                                 Device& device) {
  const bool brings_whole =
      !adapter.empty() &&
      !read_peft_config(adapter / "adapter_config.json").modules_to_save.empty();
  // bf16 is what nearly all files hold; f32 that comes of it is only larger.
  Loading loading;
  loading.keeps_type = [&](const WeightSlot& slot, DType) {
    return dtype == DType::kF32 && (slot.role == WeightRole::kLinear || !brings_whole);
  };
  return load(folder, dtype, format, &device, loading);
}

std::unique_ptr<Decoder> Decoder::load_to_train(const fs::path& folder, DType dtype,
                                                const BaseFormat& format, bool trains_whole,
                                                Device& device) {
  Loading loading;
  loading.checks_mapped = true;
  loading.keeps_type = [&](const WeightSlot& slot, DType stored) {
    return trains_as_stored(dtype, stored) && (slot.role == WeightRole::kLinear || !trains_whole);
  };
  return load(folder, dtype, format, &device, loading);
}

std::unique_ptr<Decoder> Decoder::load(const fs::path& folder, DType dtype,
                                       const BaseFormat& format, Device* device,
                                       const Loading& loading) {
  std::unique_ptr<Decoder> decoder(new Decoder);
  decoder->config_ = load_model_config(folder);
  decoder->dtype_ = dtype;
  const bool has_tied_head = decoder->config_.tie_word_embeddings;
  const SafetensorsSet set = SafetensorsSet::open(folder);
  const std::vector<WeightSlot> slots = decoder->slots();
  for (const WeightSlot& slot : slots) {
    slot.parameter->name = slot.name;
    if (const auto quantized = format_of(slot, format, decoder->head())) {
      slot.parameter->value = Tensor::shape_only(slot.shape, dtype);
      const Tensor weights =
          load_weight(set, slot, std::nullopt, decoder->config_, folder.string());
      try {
        slot.parameter->quantize(weights, *quantized, device->kernels(), device->pool(),
                                 decoder->quantized_memory_);
      } catch (const Error& error) {
        if (error.kind() != ErrorKind::kBase) throw;
        throw Error(error.kind(), error.message(), error.hint(), {folder.string(), 0, 0});
      }
      set.file_of(slot.name)->release(set.at(slot.name).bytes);
      continue;
    }
    const bool keeps_type = slot.is_matrix() && loading.keeps_type &&
                            loading.keeps_type(slot, stored_dtype(set, slot, folder.string()));
    Tensor stored = load_weight(set, slot, keeps_type ? std::nullopt : std::optional(dtype),
                                decoder->config_, folder.string());
    const bool is_mapped = stored.owned_bytes() == 0;
    // Of a table that is not the head only some lines are ever read.
    const bool is_table = slot.parameter == &decoder->embedding() && !has_tied_head;
    if (loading.checks_mapped && is_mapped && !is_table) {
      check_finite(stored, slot.name, folder.string());
    }
    slot.parameter->value = std::move(stored);
    if (keeps_type && slot.parameter->value.dtype() != dtype)
      multiply_as_stored(*slot.parameter, dtype);
    if (is_mapped) {
      decoder->mapped_.emplace_back(set.file_of(slot.name), set.at(slot.name).bytes);
    }
  }
  check_no_extra_weights(set, slots, decoder->config_, folder.string());
  return decoder;
}

void Decoder::release_pages() const {
  for (const auto& [file, bytes] : mapped_) file->release(bytes);
}

void Decoder::quantize(const BaseFormat& format, Device& device) {
  for (const WeightSlot& slot : slots()) {
    const auto quantized = format_of(slot, format, head());
    if (!quantized || slot.parameter->quantized != nullptr) continue;
    slot.parameter->quantize(slot.parameter->value, *quantized, device.kernels(), device.pool(),
                             quantized_memory_);
  }
}

std::unique_ptr<Decoder> Decoder::random(const ModelConfig& config, DType dtype, uint64_t seed) {
  std::unique_ptr<Decoder> decoder(new Decoder);
  decoder->config_ = config;
  decoder->dtype_ = dtype;
  uint64_t index = 0;
  for (const WeightSlot& slot : decoder->slots()) {
    Tensor values = Tensor::zeros(slot.shape, DType::kF32);
    float* out = values.mutable_f32();
    const double deviation =
        slot.feeds_residual ? 0.02 / std::sqrt(2.0 * static_cast<double>(config.num_layers)) : 0.02;
    const bool is_drawn = slot.is_matrix() || slot.role == WeightRole::kRouter;
    const float constant = slot.role == WeightRole::kBias ? 0.0f : 1.0f;
    for (int64_t i = 0; i < values.numel(); ++i) {
      const uint64_t key = random_key({seed, index, static_cast<uint64_t>(i)});
      out[i] = is_drawn ? static_cast<float>(normal(key) * deviation) : constant;
    }
    ++index;
    slot.parameter->name = slot.name;
    slot.parameter->value = slot.is_matrix() && dtype != DType::kF32 ? values.cast(dtype) : values;
  }
  return decoder;
}

std::unique_ptr<Decoder> Decoder::tiled(const ModelConfig& config, DType dtype,
                                        std::optional<DType> stored) {
  // A prime length, so that neighbouring lines differ.
  constexpr int64_t kBlock = 65521;
  Tensor block = Tensor::zeros({kBlock}, DType::kF32);
  for (int64_t i = 0; i < kBlock; ++i) {
    const uint64_t key = random_key({1, static_cast<uint64_t>(i)});
    block.mutable_f32()[i] = static_cast<float>(normal(key) * 0.02);
  }
  Arena memory;  // of matrices, as a file's bytes lie one after the other
  const DType held = stored.value_or(dtype);
  if (held != DType::kF32) block = block.cast(held);
  std::unique_ptr<Decoder> decoder(new Decoder);
  decoder->config_ = config;
  decoder->dtype_ = dtype;
  for (const WeightSlot& slot : decoder->slots()) {
    slot.parameter->name = slot.name;
    Tensor& value = slot.parameter->value;
    value = slot.is_matrix() ? Tensor::zeros(slot.shape, held, &memory)
                             : Tensor::zeros(slot.shape, DType::kF32);
    if (slot.is_matrix()) {
      auto* out = static_cast<std::byte*>(value.mutable_data());
      for (size_t at = 0; at < value.size_bytes(); at += block.size_bytes()) {
        std::memcpy(out + at, block.data(), std::min(block.size_bytes(), value.size_bytes() - at));
      }
      if (held != dtype) multiply_as_stored(*slot.parameter, dtype);
    } else if (slot.role == WeightRole::kNorm) {
      std::fill_n(value.mutable_f32(), value.numel(), 1.0f);
    } else if (slot.role == WeightRole::kRouter) {
      for (int64_t i = 0; i < value.numel(); ++i) {
        value.mutable_f32()[i] =
            static_cast<float>(normal(random_key({2, static_cast<uint64_t>(i)})) * 0.02);
      }
    }
  }
  return decoder;
}

std::unique_ptr<Decoder> Decoder::shapes(const ModelConfig& config, DType dtype) {
  std::unique_ptr<Decoder> decoder(new Decoder);
  decoder->config_ = config;
  decoder->dtype_ = dtype;
  for (const WeightSlot& slot : decoder->slots()) {
    slot.parameter->name = slot.name;
    slot.parameter->value = slot.is_matrix()
                                ? Tensor::shape_only(slot.shape, dtype)
                                : Tensor::zeros_without_memory(slot.shape, DType::kF32);
  }
  return decoder;
}

std::vector<Parameter*> Decoder::parameters() {
  std::vector<Parameter*> all;
  for (const WeightSlot& slot : slots()) {
    all.push_back(slot.parameter);
  }
  return all;
}

std::vector<std::pair<std::string, Parameter*>> Decoder::linear_layers() {
  std::vector<std::pair<std::string, Parameter*>> all;
  for (const WeightSlot& slot : slots()) {
    if (slot.role != WeightRole::kLinear) continue;
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

KvCache make_kv_cache(const Decoder& decoder, int64_t kept_tokens, int64_t passing_tokens) {
  const ModelConfig& c = decoder.config();
  Arena memory;
  const auto lines = [&](int64_t tokens) -> KvLines {
    if (tokens == 0) return {};
    const std::vector<int64_t> shape{c.num_kv_heads, tokens, c.head_dim};
    return {Tensor::zeros(shape, decoder.dtype(), &memory),
            Tensor::zeros(shape, decoder.dtype(), &memory)};
  };
  KvCache cache;
  const KvLines passing = lines(passing_tokens);
  for (int64_t i = 0; i < c.num_layers; ++i) cache.layers.push_back({lines(kept_tokens), passing});
  return cache;
}

}  // namespace dlm
