// An adapter as a GGUF LoRA. The format has one alpha for all layers and the scale alpha / rank, so
// other scales go into the numbers of B.
#include <algorithm>
#include <cmath>

#include "export/gguf_model.h"
#include "export/gguf_tensors.h"
#include "formats/gguf.h"
#include "formats/gguf_names.h"
#include "model/decoder.h"
#include "support/error.h"

namespace dlm {
namespace {

constexpr const char* kMergedHint = "export it with --merged";

[[noreturn]] void refuse(const std::string& what, const fs::path& adapter) {
  throw Error(ErrorKind::kUsage, "a GGUF adapter cannot hold " + what, kMergedHint,
              {adapter.string()});
}

// The adapted matrices of one planned tensor: one, or all experts'.
struct AdaptedTensor {
  const GgufTensorPlan* plan;
  std::vector<const Lora*> loras;
};

std::vector<AdaptedTensor> adapted_tensors(const std::vector<GgufTensorPlan>& plans,
                                           LoraAdapter& adapter, const fs::path& folder) {
  std::vector<AdaptedTensor> adapted;
  for (const GgufTensorPlan& plan : plans) {
    AdaptedTensor tensor{&plan, {}};
    for (const WeightSlot& slot : plan.sources) {
      std::string_view module = slot.name;
      if (!module.ends_with(".weight")) continue;
      module.remove_suffix(std::string_view(".weight").size());
      if (const Lora* lora = adapter.find(std::string(module))) tensor.loras.push_back(lora);
    }
    if (tensor.loras.empty()) continue;
    const bool is_even =
        std::all_of(tensor.loras.begin(), tensor.loras.end(),
                    [&](const Lora* lora) { return lora->rank == tensor.loras.front()->rank; });
    if (tensor.loras.size() != plan.sources.size() || !is_even) {
      refuse("experts of one layer with different ranks, or some of them only", folder);
    }
    adapted.push_back(std::move(tensor));
  }
  return adapted;
}

std::vector<int64_t> stacked(const GgufTensorPlan& plan, int64_t rows, int64_t columns) {
  if (plan.shape.size() == 2) return {rows, columns};
  return {plan.shape.front(), rows, columns};
}

// B, f32 [out, rank], as the file has it: rows in the run time's order, scaled so that alpha / rank
// gives the layer's own scale.
std::vector<float> file_b(const GgufTensorPlan& plan, const Lora& lora, double alpha) {
  const int64_t out = plan.rows_per_matrix();
  const double factor = static_cast<double>(lora.scale) * static_cast<double>(lora.rank) / alpha *
                        static_cast<double>(plan.factor);
  std::vector<float> b;
  b.reserve(static_cast<size_t>(out * lora.rank));
  for (int64_t row = 0; row < out; ++row) {
    const int64_t from = plan.source_row(row);
    for (int64_t r = 0; r < lora.rank; ++r) {
      b.push_back(static_cast<float>(lora.bt.value.f32()[r * out + from] * factor));
    }
  }
  return b;
}

}  // namespace

GgufModelReport write_gguf_adapter(const fs::path& base, const fs::path& adapter,
                                   const std::string& name, const fs::path& out) {
  const ModelConfig config = load_model_config(base);
  const std::unique_ptr<Decoder> shapes = Decoder::shapes(config, DType::kF32);
  const std::unique_ptr<LoraAdapter> lora = LoraAdapter::load(adapter, *shapes);
  const LoraOptions& options = lora->options();
  if (options.use_dora) refuse("DoRA's magnitudes", adapter);
  if (lora->embedding() != nullptr || lora->head() != nullptr) {
    refuse("modules that were trained whole", adapter);
  }
  const std::vector<GgufTensorPlan> plans = plan_gguf_tensors(config, !config.tie_word_embeddings);
  const std::vector<AdaptedTensor> adapted = adapted_tensors(plans, *lora, adapter);

  // Readers take an alpha of 0 for "no scale".
  const auto rank = static_cast<double>(options.rank);
  const double usual = options.use_rslora ? options.alpha * std::sqrt(rank) : options.alpha;
  const double alpha = static_cast<double>(static_cast<float>(usual == 0 ? 1.0 : usual));
  const std::vector<GgufField> fields = {
      {"general.architecture", std::string(gguf_architecture(config.model_type))},
      {"general.type", "adapter"},
      {"general.name", name},
      {"adapter.type", "lora"},
      {"adapter.lora.alpha", static_cast<float>(alpha)},
      {"general.quantization_version", uint32_t{2}}};
  std::vector<GgufWriter::TensorInfo> tensors;
  for (const AdaptedTensor& tensor : adapted) {
    const GgufTensorPlan& plan = *tensor.plan;
    const int64_t r = tensor.loras.front()->rank;
    tensors.push_back({plan.name + ".lora_a", GgmlType::kF32, stacked(plan, r, plan.columns())});
    tensors.push_back(
        {plan.name + ".lora_b", GgmlType::kF32, stacked(plan, plan.rows_per_matrix(), r)});
  }
  GgufWriter writer(out, fields, tensors);
  for (const AdaptedTensor& tensor : adapted) {
    for (const Lora* layer : tensor.loras) {
      const Tensor& a = layer->a.value;
      writer.append({static_cast<const std::byte*>(a.data()), a.size_bytes()});
    }
    for (const Lora* layer : tensor.loras) {
      const std::vector<float> b = file_b(*tensor.plan, *layer, alpha);
      writer.append(std::as_bytes(std::span(b)));
    }
  }
  GgufModelReport report;
  report.sha256 = writer.finish();
  report.file_bytes = writer.file_bytes();
  report.num_tensors = static_cast<int64_t>(tensors.size());
  return report;
}

}  // namespace dlm
