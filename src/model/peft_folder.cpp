// An adapter in the form of a PEFT directory: adapter_config.json and adapter_model.safetensors.

#include <algorithm>
#include <cstring>

#include "engine/cpu/isa.h"
#include "engine/cpu/kernels.h"
#include "formats/safetensors.h"
#include "model/decoder.h"
#include "model/lora.h"
#include "model/peft_config.h"
#include "support/error.h"

namespace dlm {

namespace {

// f32 [cols, rows] from [rows, cols].
Tensor transposed(const Tensor& x) {
  const int64_t rows = x.dim(0);
  const int64_t cols = x.dim(1);
  Tensor out = Tensor::zeros({cols, rows}, DType::kF32);
  float* to = out.mutable_f32();
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < cols; ++c) to[c * rows + r] = x.f32()[r * cols + c];
  }
  return out;
}

// The tensors of one file, each asked for with the shape that the base needs.
class WeightReader {
 public:
  explicit WeightReader(const fs::path& path)
      : path_(path.string()), file_(SafetensorsFile::open(path)) {}

  // f32, a view of the file where it can be; an empty tensor when there is none.
  Tensor find(const std::string& name, const std::vector<int64_t>& shape) {
    const SafetensorsTensor* t = file_.find(name);
    if (t == nullptr) return {};
    ++num_read_;
    const bool is_half = t->dtype == "F16" || t->dtype == "BF16";
    if ((t->dtype != "F32" && !is_half) || t->shape != shape) {
      fail("tensor \"" + name + "\" is " + t->dtype + " " + shape_text(t->shape) +
               ", this base needs F32 " + shape_text(shape),
           "the adapter belongs to another base");
    }
    Tensor out = f32_of(*t);
    if (!kernels(isa_tier()).all_finite(out.f32(), out.numel())) {
      fail("tensor \"" + name + "\" holds a number that is not finite",
           "the file is damaged, or its training went wrong; train again");
    }
    return out;
  }

  Tensor at(const std::string& name, const std::vector<int64_t>& shape) {
    Tensor found = find(name, shape);
    if (found.empty()) {
      fail("there is no tensor \"" + name + "\", which adapter_config.json asks for",
           "the file is incomplete; train again");
    }
    return found;
  }

  // Throws when tensors are left that nobody asked for.
  void check_all_read(const std::vector<Parameter*>& parameters) const {
    if (num_read_ == file_.tensors().size() && !parameters.empty()) return;
    std::string example;
    for (const SafetensorsTensor& t : file_.tensors()) {
      const bool known = std::any_of(parameters.begin(), parameters.end(),
                                     [&](const Parameter* p) { return p->name == t.name; });
      if (!known) example = t.name;
    }
    fail("the adapter has tensors that fit no layer of this base" +
             (example.empty() ? "" : ", as \"" + example + "\""),
         "prompt with the base that it was trained on");
  }

  [[noreturn]] void fail(const std::string& what, const std::string& hint) const {
    throw Error(ErrorKind::kInference, what, hint, {path_, 0, 0});
  }

 private:
  Tensor f32_of(const SafetensorsTensor& t) const {
    const DType stored = t.dtype == "F32"    ? DType::kF32
                         : t.dtype == "BF16" ? DType::kBF16
                                             : DType::kF16;
    if (reinterpret_cast<uintptr_t>(t.bytes.data()) % dtype_size(stored) == 0) {
      const Tensor view = Tensor::view(t.shape, stored, t.bytes.data(), file_.file());
      return stored == DType::kF32 ? view : view.cast(DType::kF32);
    }
    Tensor aligned = Tensor::zeros(t.shape, stored);
    std::memcpy(aligned.mutable_data(), t.bytes.data(), t.bytes.size());
    return stored == DType::kF32 ? aligned : aligned.cast(DType::kF32);
  }

  std::string path_;
  SafetensorsFile file_;
  size_t num_read_ = 0;
};

// A whole module: what is multiplied is in the base's type, the f32 elements stay mapped.
std::unique_ptr<Parameter> read_whole(WeightReader& weights, const char* module,
                                      const Parameter& base) {
  auto p = std::make_unique<Parameter>();
  p->name = peft_saved_key(module);
  const Tensor elements = weights.at(p->name, base.value.shape());
  if (base.value.dtype() == DType::kF32) {
    p->value = elements;
  } else {
    p->master = elements;
    p->value = elements.cast(base.value.dtype());
  }
  return p;
}

}  // namespace

std::unique_ptr<LoraAdapter> LoraAdapter::load(const fs::path& folder, Decoder& decoder) {
  std::unique_ptr<LoraAdapter> adapter(
      new LoraAdapter(read_peft_config(folder / "adapter_config.json"), decoder));
  WeightReader weights(folder / "adapter_model.safetensors");
  for (const auto& [module, weight] : decoder.linear_layers()) {
    const int64_t out = weight->value.dim(0);
    const int64_t in = weight->value.dim(1);
    const int64_t rank = adapter->rank_of(module);
    const Tensor a = weights.find(peft_key(module, "lora_A.weight"), {rank, in});
    const Tensor b = weights.find(peft_key(module, "lora_B.weight"), {out, rank});
    if (a.empty() && b.empty()) continue;
    if (a.empty() || b.empty()) {
      weights.fail("module \"" + module + "\" has only one of lora_A and lora_B",
                   "the file is incomplete; train again");
    }
    Lora& lora = adapter->add_layer(module, in, out);
    lora.a.value.copy_from(a.cast(DType::kF32));
    lora.bt.value.copy_from(transposed(b));
    if (lora.dora) {
      lora.dora->magnitude.value = weights.at(lora.dora->magnitude.name, {out}).cast(DType::kF32);
    }
  }
  for (const std::string& module : adapter->options_.modules_to_save) {
    if (module == kEmbedTokens) {
      adapter->embedding_ = read_whole(weights, kEmbedTokens, decoder.embedding());
    } else {
      adapter->head_ = read_whole(weights, kLmHead, decoder.head());
    }
  }
  weights.check_all_read(adapter->parameters());
  return adapter;
}

void LoraAdapter::save(const fs::path& folder) const {
  std::vector<Tensor> b_storage;
  std::vector<SafetensorsTensor> views;
  b_storage.reserve(layers_.size());
  const auto add = [&](const std::string& name, const Tensor& t, const float* elements) {
    const auto size = static_cast<size_t>(t.numel()) * sizeof(float);
    views.push_back({name, "F32", t.shape(), {reinterpret_cast<const std::byte*>(elements), size}});
  };
  for (const auto& [module, lora] : layers_) {
    add(lora->a.name, lora->a.value, lora->a.value.f32());
    b_storage.push_back(transposed(lora->bt.value));
    add(lora->bt.name, b_storage.back(), b_storage.back().f32());
    if (lora->dora) {
      const Parameter& magnitude = lora->dora->magnitude;
      add(magnitude.name, magnitude.value, magnitude.value.f32());
    }
  }
  for (const Parameter* p : {embedding_.get(), head_.get()}) {
    if (p != nullptr) add(p->name, p->value, p->f32_elements());
  }
  write_safetensors(folder / "adapter_model.safetensors", views, {{"format", "pt"}});
  write_file_atomic(folder / "adapter_config.json", config_json().dump(2) + "\n");
}

}  // namespace dlm
