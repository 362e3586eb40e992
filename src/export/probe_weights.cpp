#include "export/probe_parts.h"
#include "formats/safetensors.h"
#include "model/weights.h"
#include "support/progress.h"
#include "support/text.h"

namespace dlm {
namespace {

constexpr const char* kArchitecture = "architecture";
constexpr const char* kTensors = "tensors";

// Files of another model under a known base's name would be trained as if they were that base.
std::optional<Probe> differs_from_registry(const ProbedBase& base, const Json& json) {
  if (base.info == nullptr) return std::nullopt;
  std::string found;
  const Json* list = json.find("architectures");
  if (list != nullptr && list->is_array() && list->size() > 0 && list->items()[0].is_string()) {
    found = list->items()[0].as_string();
  }
  const std::string wanted(base.info->architecture);
  const std::string family = shapes_of(*base.info).model_type;
  if ((found.empty() || found == wanted) && base.config->model_type == family) return std::nullopt;
  if (found.empty()) found = base.config->model_type;
  return Probe{kArchitecture, ProbeState::kFailed,
               (base.folder / "config.json").string() + ": expected " + wanted + " for base \"" +
                   std::string(base.info->key) + "\", got " + found,
               "fetch the base again, or name this folder by its path; --skip-probes trains it "
               "all the same"};
}

}  // namespace

Probe probe_architecture(ProbedBase& base) {
  const fs::path path = base.folder / "config.json";
  Json json;
  try {
    check_base_json(base.folder, "config.json");
    json = parse_json(read_file(path, size_t{16} << 20), path.string());
    base.config = parse_model_config(json, path.string());
  } catch (const Error& error) {
    return failed_probe(kArchitecture, error);
  }
  if (const auto other = differs_from_registry(base, json)) return *other;
  const ModelConfig& c = *base.config;
  return {kArchitecture,
          ProbeState::kPassed,
          "family " + c.model_type + ", " + std::to_string(c.num_layers) + " layers, rope " +
              c.rope.type + ", context " + std::to_string(c.max_positions),
          {}};
}

Probe probe_tensors(ProbedBase& base) {
  constexpr size_t kShown = 3;
  const std::string folder = base.folder.string();
  std::vector<std::string> faults;
  std::string remedy;
  uint64_t bytes = 0;
  size_t count = 0;
  const auto look = [&](const auto& at) {
    try {
      at();
    } catch (const Error& error) {
      if (faults.empty()) remedy = error.hint();
      faults.push_back(error.message());
    }
  };
  try {
    const SafetensorsSet set = SafetensorsSet::open(base.folder);
    if (!base.config) return skipped_probe(kTensors, "the configuration is not understood");
    DecoderWeights none;
    const std::vector<WeightSlot> slots = weight_slots(*base.config, none);
    count = slots.size();
    for (const WeightSlot& slot : slots) {
      look([&] { bytes += require_weight(set, slot, folder).bytes.size(); });
    }
    look([&] { check_no_extra_weights(set, slots, *base.config, folder); });
  } catch (const Error& error) {
    return failed_probe(kTensors, error);
  }
  if (!faults.empty()) {
    const size_t num_faults = faults.size();
    faults.resize(std::min(num_faults, kShown));
    if (num_faults > kShown) faults.push_back(std::to_string(num_faults - kShown) + " more faults");
    return {kTensors, ProbeState::kFailed, folder + ": " + join(faults, "; "), remedy};
  }
  base.has_sound_weights = true;
  return {kTensors,
          ProbeState::kPassed,
          std::to_string(count) + " tensors, " + std::to_string(base.config->num_parameters()) +
              " parameters, " + format_bytes(bytes),
          {}};
}

}  // namespace dlm
