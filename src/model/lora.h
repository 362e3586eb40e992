// An adapter: a low-rank pair for each targeted linear layer (LoRA, rsLoRA, DoRA), and whole
// trained copies of the embedding and the head where they are asked for. Read and written as a PEFT
// directory (peft_folder.cpp).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/arena.h"
#include "engine/ops.h"
#include "support/file.h"
#include "support/json.h"

namespace dlm {

class Decoder;
class GgufFile;

// Modules that are trained whole, in PEFT's names.
inline constexpr const char* kEmbedTokens = "embed_tokens";
inline constexpr const char* kLmHead = "lm_head";

struct LoraOptions {
  int64_t rank = 8;
  double alpha = 16;
  double dropout = 0.0;
  bool use_rslora = false;  // scale alpha / sqrt(rank) (Kalajdzievski 2023) instead of alpha / rank
  bool use_dora = false;
  // Last components of module names, or full names. Empty, or "all-linear": every linear layer.
  std::vector<std::string> target_modules;
  // Other ranks and alphas for the modules whose name ends in a match of the regular expression;
  // the first that matches counts (ModulePatterns).
  std::vector<std::pair<std::string, int64_t>> rank_pattern;
  std::vector<std::pair<std::string, double>> alpha_pattern;
  // kEmbedTokens, kLmHead: copies of their own, also where the base ties them.
  std::vector<std::string> modules_to_save;
  // What adapter_config.json says of the base.
  std::string base_name;
  std::string base_revision;
};

class LoraAdapter {
 public:
  // A ~ uniform(-1/sqrt(in), 1/sqrt(in)), keyed by (seed, module name, element); B = 0 and DoRA's
  // magnitudes the row norms of W, so that the adapter starts as the base. Throws Error(kTrain) for
  // a target or pattern that names no layer, and a rank that is larger than a layer.
  static std::unique_ptr<LoraAdapter> create(Decoder& decoder, const LoraOptions& options,
                                             uint64_t seed);
  // The same without numbers, for plans: every parameter has its shape, and no data.
  static std::unique_ptr<LoraAdapter> shapes(Decoder& decoder, const LoraOptions& options);
  // Reads adapter_config.json and adapter_model.safetensors (f32, bf16 or f16). Throws
  // Error(kFormat or kInference) naming file and tensor for anything that does not fit the decoder.
  static std::unique_ptr<LoraAdapter> load(const fs::path& folder, Decoder& decoder);

  // The same from a GGUF LoRA file for the base's file. Throws Error(kFormat).
  static std::unique_ptr<LoraAdapter> load_gguf(const GgufFile& file, Decoder& decoder);

  const LoraOptions& options() const { return options_; }
  // The layer's pair, or null when it is not targeted.
  Lora* find(const std::string& module);
  // The trained copy, or null when the base's own is used.
  Parameter* embedding() { return embedding_.get(); }
  Parameter* head() { return head_.get(); }
  // A, B^T and the magnitudes of each layer in the decoder's order, then embedding and head.
  std::vector<Parameter*> parameters() const;
  void set_trainable();
  std::vector<std::pair<std::string, Lora*>> layers();
  int64_t num_parameters() const;

  // adapter_config.json and adapter_model.safetensors (f32) into an existing folder. Bytes depend
  // on the weights and options only.
  void save(const fs::path& folder) const;
  Json config_json() const;

 private:
  // Options that are already checked, and the names of the base's linear layers.
  LoraAdapter(LoraOptions options, Decoder& decoder);
  // Layers and copies without their numbers: where they lie, or their shapes alone.
  static std::unique_ptr<LoraAdapter> make(Decoder& decoder, const LoraOptions& options,
                                           bool has_memory);
  Lora& add_layer(const std::string& module, int64_t in, int64_t out, bool has_memory = true);
  int64_t rank_of(const std::string& module) const;
  float scale_of(const std::string& module) const;
  // Every name that the list needs so that exactly this adapter's layers are targeted, sorted.
  std::vector<std::string> target_names() const;
  void check_fits(Decoder& decoder) const;

  LoraOptions options_;
  Arena memory_;
  std::vector<std::string> linear_names_;
  std::vector<std::pair<std::string, std::unique_ptr<Lora>>> layers_;
  std::map<std::string, Lora*> by_name_;
  std::unique_ptr<Parameter> embedding_;
  std::unique_ptr<Parameter> head_;
};

// The table and the head that a decoder uses with an adapter, which may be null.
Parameter& embedding_of(Decoder& decoder, LoraAdapter* adapter);
Parameter& head_of(Decoder& decoder, LoraAdapter* adapter);

}  // namespace dlm
