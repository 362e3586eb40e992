#include "export/gguf_source.h"

#include <cstring>

#include "model/merge.h"
#include "support/error.h"

namespace dlm {
namespace {

constexpr std::string_view kWeightPart = ".weight";

std::string_view module_of(std::string_view weight) {
  return weight.ends_with(kWeightPart) ? weight.substr(0, weight.size() - kWeightPart.size())
                                       : weight;
}

void check_no_extra(const SafetensorsSet& set, const ModelConfig& config,
                    const std::string& folder) {
  DecoderWeights none;
  check_no_extra_weights(set, weight_slots(config, none), config, folder);
}

}  // namespace

GgufSource::GgufSource(const fs::path& base, const ModelConfig& config, const fs::path& adapter,
                       double adapter_weight, const Kernels& kernels)
    : config_(config), kernels_(kernels), folder_(base.string()), set_(SafetensorsSet::open(base)) {
  check_no_extra(set_, config, folder_);
  has_own_head_ = !config.tie_word_embeddings;
  if (adapter.empty()) return;
  // The adapter asks the decoder for names and shapes only.
  shapes_ = Decoder::shapes(config, DType::kF32);
  adapter_ = LoraAdapter::load(adapter, *shapes_);
  const bool is_whole = adapter_->embedding() != nullptr || adapter_->head() != nullptr;
  has_own_head_ = has_own_head_ || is_whole;
  if (adapter_weight == 1) return;
  if (is_whole) {
    throw Error(ErrorKind::kExport, "modules that were trained whole cannot be weighted",
                "export the adapter with weight 1", {adapter.string()});
  }
  for (const auto& [module, lora] : adapter_->layers()) {
    lora->scale = static_cast<float>(lora->scale * adapter_weight);
  }
}

const Parameter* GgufSource::trained_whole(WeightRole role) {
  if (adapter_ == nullptr) return nullptr;
  if (role == WeightRole::kEmbedding) return adapter_->embedding();
  return role == WeightRole::kHead ? adapter_->head() : nullptr;
}

GgufSource::Matrix GgufSource::matrix(const GgufTensorPlan& plan, size_t index) {
  const WeightSlot& slot = plan.sources[index];
  Matrix matrix;
  matrix.plan_ = &plan;
  matrix.kernels_ = &kernels_;
  if (const Parameter* whole = trained_whole(slot.role)) {
    matrix.weight_ = whole->value;
    return matrix;
  }
  matrix.weight_ = load_weight(set_, slot, std::nullopt, config_, folder_);
  matrix.file_ = set_.file_of(slot.name);
  matrix.mapped_ = set_.at(slot.name).bytes;
  if (adapter_ != nullptr) matrix.lora_ = adapter_->find(std::string(module_of(slot.name)));
  return matrix;
}

void GgufSource::Matrix::read(int64_t row, float* out) const {
  const bool is_vector = plan_->shape.size() == 1;
  const int64_t columns = is_vector ? weight_.numel() : plan_->columns();
  const int64_t from = is_vector ? 0 : plan_->source_row(row);
  const int64_t first = from * columns;
  switch (weight_.dtype()) {
    case DType::kF32:
      std::memcpy(out, weight_.f32() + first, static_cast<size_t>(columns) * sizeof(float));
      break;
    case DType::kBF16:
      kernels_->bf16.to_f32(weight_.bf16() + first, columns, out);
      break;
    case DType::kF16: {
      const auto* half = static_cast<const uint16_t*>(weight_.data()) + first;
      for (int64_t i = 0; i < columns; ++i) out[i] = f16_to_f32(half[i]);
      break;
    }
    case DType::kI32:
      check(false, "a weight of a checkpoint holds integers");
  }
  if (lora_ != nullptr) merge_row(out, from, *lora_, *kernels_);
  if (is_vector && plan_->rotary_heads > 0) {
    const std::vector<float> unordered(out, out + columns);
    for (int64_t i = 0; i < columns; ++i)
      out[i] = unordered[static_cast<size_t>(plan_->source_row(i))];
  }
  if (plan_->factor != 1.0f) {
    for (int64_t i = 0; i < columns; ++i) out[i] *= plan_->factor;
  }
}

std::span<const std::byte> GgufSource::Matrix::stored_row(int64_t row, GgmlType type) const {
  const DType stored = weight_.dtype();
  const bool is_same = (stored == DType::kF32 && type == GgmlType::kF32) ||
                       (stored == DType::kF16 && type == GgmlType::kF16) ||
                       (stored == DType::kBF16 && type == GgmlType::kBF16);
  if (!is_same || lora_ != nullptr || plan_->factor != 1.0f || plan_->shape.size() == 1) return {};
  const size_t row_bytes = static_cast<size_t>(plan_->columns()) * dtype_size(stored);
  const auto* bytes = static_cast<const std::byte*>(weight_.data());
  return {bytes + static_cast<size_t>(plan_->source_row(row)) * row_bytes, row_bytes};
}

void GgufSource::Matrix::release() const {
  if (file_ != nullptr) file_->release(mapped_);
}

}  // namespace dlm
