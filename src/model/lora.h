// A LoRA adapter: one low-rank pair per targeted linear layer, read and written as a PEFT
// directory.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/ops.h"
#include "support/file.h"
#include "support/json.h"

namespace dlm {

class Decoder;

struct LoraOptions {
  int64_t rank = 8;
  double alpha = 16;
  double dropout = 0.0;
  bool use_rslora = false;  // scale alpha / sqrt(rank) (Kalajdzievski 2023) instead of alpha / rank
  // Last components of module names, or full names. Empty: every linear layer.
  std::vector<std::string> target_modules;
  // What adapter_config.json says of the base.
  std::string base_name;
  std::string base_revision;
};

class LoraAdapter {
 public:
  // A ~ uniform(-1/sqrt(in), 1/sqrt(in)), keyed by (seed, module name, element); B = 0, so that the
  // adapter starts as the base. Throws Error(kTrain) when a target names no layer.
  static std::unique_ptr<LoraAdapter> create(Decoder& decoder, const LoraOptions& options,
                                             uint64_t seed);
  // Reads adapter_config.json and adapter_model.safetensors. Throws Error(kFormat or kInference)
  // naming file and tensor for anything that does not fit the decoder.
  static std::unique_ptr<LoraAdapter> load(const fs::path& folder, Decoder& decoder);

  const LoraOptions& options() const { return options_; }
  // The layer's pair, or null when it is not targeted.
  Lora* find(const std::string& module);
  // A and B^T of each layer, in the decoder's layer order.
  std::vector<Parameter*> parameters();
  void set_trainable();
  std::vector<std::pair<std::string, Lora*>> layers();
  int64_t num_parameters() const;

  // adapter_config.json and adapter_model.safetensors (f32) into an existing folder. Bytes depend
  // on the weights and options only.
  void save(const fs::path& folder) const;
  Json config_json() const;

 private:
  LoraAdapter() = default;
  Lora& add_layer(const std::string& module, int64_t in, int64_t out, size_t index);

  LoraOptions options_;
  std::vector<std::pair<std::string, std::unique_ptr<Lora>>> layers_;
  std::map<std::string, Lora*> by_name_;
};

}  // namespace dlm
