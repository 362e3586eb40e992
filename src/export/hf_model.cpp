#include "export/hf_model.h"

#include <cstring>

#include "data/chat_format.h"
#include "export/adapter_folder.h"
#include "formats/ggml_blocks.h"
#include "formats/safetensors.h"
#include "model/merge.h"
#include "support/error.h"
#include "support/interrupt.h"

namespace dlm {

namespace {

constexpr const char* kIndex = "model.safetensors.index.json";

DType dtype_of(const SafetensorsTensor& t) {
  if (t.dtype == "F32") return DType::kF32;
  if (t.dtype == "BF16") return DType::kBF16;
  if (t.dtype == "F16") return DType::kF16;
  throw Error(ErrorKind::kExport, "tensor \"" + t.name + "\" is " + t.dtype,
              "only F32, BF16 and F16 weights can have an adapter worked in");
}

// The tensor's numbers, f32 or bf16, at an aligned address.
Tensor numbers_of(const SafetensorsTensor& t) {
  Tensor copy = Tensor::zeros(t.shape, dtype_of(t));
  std::memcpy(copy.mutable_data(), t.bytes.data(), t.bytes.size());
  return copy.dtype() == DType::kF16 ? copy.cast(DType::kF32) : copy;
}

// f32 numbers in the type of the file.
std::vector<std::byte> stored(const float* numbers, int64_t count, DType dtype) {
  const GgmlType type = dtype == DType::kF32    ? GgmlType::kF32
                        : dtype == DType::kBF16 ? GgmlType::kBF16
                                                : GgmlType::kF16;
  std::vector<std::byte> bytes(static_cast<size_t>(count) * dtype_size(dtype));
  ggml_quantize_row(type, numbers, count, nullptr, bytes.data());
  return bytes;
}

class Merger {
 public:
  Merger(const ModelConfig& config, const fs::path& adapter, const Kernels& kernels)
      : loaded_(load_adapter(config, adapter)), kernels_(kernels) {
    LoraAdapter& a = *loaded_.adapter;
    if (config.tie_word_embeddings && (a.embedding() != nullptr || a.head() != nullptr)) {
      throw Error(ErrorKind::kExport,
                  "the adapter trained embedding or head, and the base has one matrix for both",
                  "export to ollama or llama-server, whose files can hold both");
    }
    DecoderWeights none;
    for (const WeightSlot& slot : weight_slots(config, none)) {
      if (slot.role == WeightRole::kEmbedding && a.embedding() != nullptr) {
        whole_[slot.name] = a.embedding();
      }
      if (slot.role == WeightRole::kHead && a.head() != nullptr) whole_[slot.name] = a.head();
    }
  }

  // The tensor's new bytes; empty where it stays as it is.
  std::vector<std::byte> merged(const SafetensorsTensor& t) {
    if (const auto it = whole_.find(t.name); it != whole_.end()) {
      return stored(it->second->f32_elements(), it->second->value.numel(), dtype_of(t));
    }
    std::string module = t.name;
    if (!module.ends_with(".weight")) return {};
    module.resize(module.size() - 7);
    const Lora* lora = loaded_.adapter->find(module);
    if (lora == nullptr) return {};
    const Tensor sum = merged_weight(numbers_of(t), *lora, kernels_);
    ++num_merged_;
    return stored(sum.f32(), sum.numel(), dtype_of(t));
  }

  // Throws when layers of the adapter met no tensor.
  void check_all_merged() const {
    check(num_merged_ == loaded_.adapter->layers().size(),
          "layers of the adapter are under other names in the base's files");
  }

 private:
  AdapterOnShapes loaded_;
  const Kernels& kernels_;
  std::map<std::string, Parameter*> whole_;
  size_t num_merged_ = 0;
};

// A configuration without the place where its model once lay on somebody's machine, which
// transformers writes into it; none: there is no such place, and the file is copied as it is.
std::optional<std::string> without_paths(const fs::path& file) {
  const std::string name = file.filename().string();
  if (name != "config.json" && name != "tokenizer_config.json" &&
      name != "generation_config.json") {
    return std::nullopt;
  }
  const auto is_path = [](const Json& value) {
    if (!value.is_string() || value.as_string().empty()) return false;
    const std::string& text = value.as_string();
    return text[0] == '/' || text[0] == '~' || text[0] == '.' || text.find('\\') != text.npos ||
           text.find(':') != text.npos;
  };
  const Json whole = parse_json(read_file(file), file.string(), {.allow_nan_words = true});
  Json cleaned = Json::object();
  for (const auto& [key, value] : whole.members()) {
    if ((key == "_name_or_path" || key == "name_or_path") && is_path(value)) continue;
    cleaned.set(key, value);
  }
  if (cleaned.size() == whole.size()) return std::nullopt;
  return cleaned.dump(2) + "\n";
}

// The template that the adapter was trained with, where the base brings none.
void write_stand_in_template(const fs::path& base, const fs::path& out) {
  const ChatFormat format = ChatFormat::load(base);
  if (format.default_template().empty()) return;
  write_file_atomic(out / "chat_template.jinja", format.chat_template().source());
}

}  // namespace

const std::vector<std::string>& hf_side_files() {
  static const std::vector<std::string> names = {"config.json",
                                                 "generation_config.json",
                                                 "tokenizer.json",
                                                 "tokenizer_config.json",
                                                 "special_tokens_map.json",
                                                 "added_tokens.json",
                                                 "vocab.json",
                                                 "merges.txt",
                                                 "tokenizer.model",
                                                 "chat_template.jinja",
                                                 "LICENSE",
                                                 "NOTICE"};
  return names;
}

void copy_files(const fs::path& from, const fs::path& to, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    if (!path_exists(from / name)) continue;
    if (const auto cleaned = without_paths(from / name)) {
      write_file_atomic(to / name, *cleaned);
      continue;
    }
    const auto file = MappedFile::open(from / name);
    AtomicFile copy(to / name);
    copy.write(file->bytes());
    copy.commit();
  }
}

void copy_base(const fs::path& base, const fs::path& out) {
  std::vector<std::string> names = hf_side_files();
  names.emplace_back(kIndex);
  const SafetensorsSet set = SafetensorsSet::open(base);
  for (const SafetensorsFile& file : set.files()) {
    names.push_back(file.path().filename().string());
  }
  copy_files(base, out, names);
  write_stand_in_template(base, out);
}

uint64_t hf_model_bytes(const fs::path& base) {
  uint64_t bytes = 0;
  const SafetensorsSet set = SafetensorsSet::open(base);
  for (const SafetensorsFile& file : set.files()) {
    bytes += fs::file_size(file.path());
  }
  return bytes;
}

void write_hf_model(const fs::path& base, const fs::path& adapter, const fs::path& out,
                    Device& device, const std::function<void(uint64_t, uint64_t)>& on_progress) {
  const ModelConfig config = load_model_config(base);
  Merger merger(config, adapter, device.kernels());
  copy_files(base, out, hf_side_files());
  copy_files(base, out, {kIndex});
  write_stand_in_template(base, out);
  const uint64_t all = hf_model_bytes(base);
  uint64_t done = 0;
  const SafetensorsSet set = SafetensorsSet::open(base);
  for (const SafetensorsFile& file : set.files()) {
    // Names, types, shapes and places stay, so the header does too.
    const std::span<const std::byte> whole = file.file()->bytes();
    size_t header = whole.size();
    for (const SafetensorsTensor& t : file.tensors()) {
      header = std::min(header, static_cast<size_t>(t.bytes.data() - whole.data()));
    }
    AtomicFile copy(out / file.path().filename());
    copy.write(whole.first(header));
    for (const SafetensorsTensor& t : file.tensors()) {
      check_interrupted();
      const std::vector<std::byte> merged = merger.merged(t);
      check(merged.empty() || merged.size() == t.bytes.size(), "a merged tensor of another size");
      copy.write(merged.empty() ? t.bytes : std::span<const std::byte>(merged));
      file.file()->release(t.bytes);
      done += t.bytes.size();
      if (on_progress) on_progress(done, all);
    }
    copy.commit();
  }
  merger.check_all_merged();
}

}  // namespace dlm
