// An adapter from a GGUF LoRA file: a pair of tensors for each adapted weight, in the base's own
// names and order of rows, and one alpha. Adapters of the embedding and the head are refused: this
// engine has no low-rank pairs for them.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>

#include "formats/ggml_blocks.h"
#include "model/decoder.h"
#include "model/gguf_fields.h"
#include "model/gguf_weights.h"
#include "model/lora.h"
#include "model/peft_config.h"

namespace dlm {

namespace {

// Reads the pairs of one file and remembers which of its tensors were asked for.
class PairReader {
 public:
  PairReader(const GgufFile& file, const ModelConfig& config)
      : fields_(file, ""), file_(file), config_(config) {}

  const GgufFields& fields() const { return fields_; }

  struct Pair {
    int64_t rank = 0;
    Tensor a;   // f32 [rank, in]
    Tensor bt;  // f32 [rank, out]
  };

  // None when the file has no pair for the layer.
  std::optional<Pair> find(const WeightSlot& slot) {
    const GgufPlace place = gguf_place(slot, config_);
    const GgufTensor* a = file_.find_tensor(place.tensor + ".lora_a");
    const GgufTensor* b = file_.find_tensor(place.tensor + ".lora_b");
    if (a == nullptr && b == nullptr) return std::nullopt;
    if (a == nullptr || b == nullptr) {
      fields_.fail("the weight \"" + place.tensor + "\" has only one of lora_a and lora_b");
    }
    const int64_t out = slot.shape[0];
    const int64_t in = slot.shape[1];
    const size_t dims = place.expert >= 0 ? 3 : 2;
    const int64_t rank = a->shape.size() == dims ? a->shape[dims - 2] : 0;
    if (rank < 1 || rank > std::min(in, out)) {
      fields_.fail("the tensor \"" + a->name + "\" has shape " + shape_text(a->shape) +
                   ", the weight is " + shape_text(slot.shape));
    }
    Pair pair;
    pair.rank = rank;
    pair.a = matrix(*a, {rank, in}, place.expert);
    const Tensor rows = matrix(*b, {out, rank}, place.expert);
    pair.bt = Tensor::zeros({rank, out}, DType::kF32);
    const int64_t heads = gguf_permuted_heads(slot, config_);
    const int64_t head = heads > 0 ? out / heads : 1;
    for (int64_t r = 0; r < out; ++r) {
      const int64_t in_head = r % head;
      const int64_t to = heads > 0 ? r - in_head + (in_head % 2) * (head / 2) + in_head / 2 : r;
      for (int64_t c = 0; c < rank; ++c) {
        pair.bt.mutable_f32()[c * out + to] = rows.f32()[r * rank + c];
      }
    }
    return pair;
  }

  // Throws for tensors that no layer asked for; norms are accepted and ignored, as elsewhere.
  void check_all_read() const {
    for (const GgufTensor& t : file_.tensors()) {
      if (read_.contains(t.name) || t.name.ends_with("_norm.weight")) continue;
      fields_.fail("the tensor \"" + t.name + "\" fits no layer of the base",
                   "use the base that the adapter was trained on, or export it merged");
    }
  }

 private:
  Tensor matrix(const GgufTensor& tensor, std::vector<int64_t> shape, int64_t expert) {
    std::vector<int64_t> wanted = shape;
    if (expert >= 0) wanted.insert(wanted.begin(), config_.num_experts);
    if (tensor.shape != wanted || tensor.type == GgmlType::kI32) {
      fields_.fail("the tensor \"" + tensor.name + "\" has shape " + shape_text(tensor.shape) +
                       ", this base needs " + shape_text(wanted),
                   "the adapter belongs to another base");
    }
    read_.insert(tensor.name);
    Tensor values = Tensor::zeros(shape, DType::kF32);
    const auto row_bytes = static_cast<size_t>(ggml_row_bytes(tensor.type, shape[1]));
    const size_t first = expert < 0 ? 0 : static_cast<size_t>(expert * shape[0]);
    for (int64_t r = 0; r < shape[0]; ++r) {
      ggml_dequantize_row(tensor.type,
                          tensor.bytes.data() + (first + static_cast<size_t>(r)) * row_bytes,
                          shape[1], values.mutable_f32() + r * shape[1]);
    }
    for (int64_t i = 0; i < values.numel(); ++i) {
      if (std::isfinite(values.f32()[i])) continue;
      fields_.fail("the tensor \"" + tensor.name + "\" holds a number that is not finite");
    }
    return values;
  }

  GgufFields fields_;
  const GgufFile& file_;
  const ModelConfig& config_;
  std::set<std::string> read_;
};

}  // namespace

std::unique_ptr<LoraAdapter> LoraAdapter::load_gguf(const GgufFile& file, Decoder& decoder) {
  PairReader pairs(file, decoder.config());
  const GgufFields& fields = pairs.fields();
  const std::string architecture = file.text("general.architecture");
  const std::string& type = decoder.config().model_type;
  if (architecture != (type == "mixtral" ? "llama" : type)) {
    fields.fail("the adapter is for a model of architecture \"" + architecture + "\"",
                "use the base that it was trained on");
  }
  if (file.text("general.type", "") != "adapter" || file.text("adapter.type", "") != "lora") {
    fields.fail("the file holds no LoRA adapter", "give the model's file with --gguf");
  }
  LoraOptions options;
  options.alpha = fields.number_or("adapter.lora.alpha", 0.0);
  std::unique_ptr<LoraAdapter> adapter(new LoraAdapter(options, decoder));
  for (const WeightSlot& slot : decoder.slots()) {
    if (slot.role != WeightRole::kLinear) continue;
    auto pair = pairs.find(slot);
    if (!pair) continue;
    const std::string module = slot.name.substr(0, slot.name.size() - std::strlen(".weight"));
    LoraOptions& o = adapter->options_;
    if (adapter->layers_.empty()) o.rank = pair->rank;
    if (pair->rank != o.rank) o.rank_pattern.emplace_back(module, pair->rank);
    // Without an alpha a pair counts as it is.
    if (options.alpha == 0) o.alpha_pattern.emplace_back(module, static_cast<double>(pair->rank));
    o.target_modules.push_back(module);
    Lora& lora = adapter->add_layer(module, slot.shape[1], slot.shape[0]);
    lora.a.value.copy_from(pair->a);
    lora.bt.value.copy_from(pair->bt);
  }
  pairs.check_all_read();
  if (adapter->layers_.empty()) fields.fail("the file holds no LoRA pair");
  return adapter;
}

}  // namespace dlm
