#include "train/pretrain_state.h"

#include <charconv>
#include <cstring>
#include <map>
#include <vector>

#include "formats/safetensors.h"
#include "support/error.h"
#include "support/hash.h"

namespace dlm {

namespace {

int64_t number_in(const SafetensorsFile& file, const std::string& key) {
  const auto found = file.metadata().find(key);
  int64_t value = -1;
  if (found != file.metadata().end()) {
    const std::string& text = found->second;
    std::from_chars(text.data(), text.data() + text.size(), value);
  }
  if (value < 0) {
    throw Error(ErrorKind::kFormat, "the checkpoint does not say its " + key,
                "start anew with --fresh", {file.path().string()});
  }
  return value;
}

void copy_into(const SafetensorsFile& file, const std::string& name, int64_t numel, float* to) {
  const SafetensorsTensor& tensor = file.at(name);
  if (tensor.dtype != "F32" || tensor.bytes.size() != static_cast<size_t>(numel) * sizeof(float)) {
    throw Error(ErrorKind::kFormat, "tensor \"" + name + "\" of the checkpoint has another size",
                "start anew with --fresh", {file.path().string()});
  }
  std::memcpy(to, tensor.bytes.data(), tensor.bytes.size());
}

}  // namespace

std::optional<PretrainState> find_pretrain_state(const fs::path& folder,
                                                 std::string_view settings) {
  const fs::path path = folder / kPretrainStateFile;
  if (!path_exists(path)) return std::nullopt;
  const SafetensorsFile file = SafetensorsFile::open(path);
  const auto found = file.metadata().find("settings_sha256");
  if (found == file.metadata().end() || found->second != sha256_hex(settings)) {
    throw Error(ErrorKind::kUsage,
                "this run was begun with other settings, other texts or another instruction set",
                "give the same again, or start anew with --fresh", {path.string()});
  }
  return PretrainState{number_in(file, "step"), number_in(file, "cursor")};
}

void restore_pretrain_state(const fs::path& folder, AdamW& optimizer) {
  const SafetensorsFile file = SafetensorsFile::open(folder / kPretrainStateFile);
  const auto& all = optimizer.parameters();
  for (size_t i = 0; i < all.size(); ++i) {
    Parameter& p = *all[i];
    const int64_t numel = p.value.numel();
    copy_into(file, "weight." + p.name, numel, p.trained_elements());
    copy_into(file, "first." + p.name, numel, optimizer.first_moments()[i].mutable_f32());
    copy_into(file, "second." + p.name, numel, optimizer.second_moments()[i].mutable_f32());
    p.publish();
  }
  optimizer.set_num_steps(number_in(file, "step"));
}

void save_pretrain_state(const fs::path& folder, const PretrainState& state,
                         std::string_view settings, AdamW& optimizer) {
  std::vector<SafetensorsTensor> tensors;
  const auto add = [&](const std::string& name, const Tensor& shape, const float* data) {
    const auto size = static_cast<size_t>(shape.numel()) * sizeof(float);
    tensors.push_back(
        {name, "F32", shape.shape(), {reinterpret_cast<const std::byte*>(data), size}});
  };
  const auto& all = optimizer.parameters();
  for (size_t i = 0; i < all.size(); ++i) {
    add("weight." + all[i]->name, all[i]->value, all[i]->trained_elements());
    add("first." + all[i]->name, all[i]->value, optimizer.first_moments()[i].f32());
    add("second." + all[i]->name, all[i]->value, optimizer.second_moments()[i].f32());
  }
  write_safetensors(folder / kPretrainStateFile, tensors,
                    {{"step", std::to_string(state.step)},
                     {"cursor", std::to_string(state.cursor)},
                     {"settings_sha256", sha256_hex(settings)}});
}

}  // namespace dlm
