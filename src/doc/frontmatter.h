// The frontmatter of a document: schema version 15 with its defaults, and which fields the document
// itself wrote. Reading checks every value and every rule between fields; it changes nothing, mints
// no id and does not look the base model up.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "doc/warning.h"
#include "doc/yaml.h"

namespace dlm {

enum class AdapterKind { kLora, kQlora, kDora };
enum class Optimizer { kAdamw, kAdamw8bit, kPagedAdamw8bit, kGaloreAdamw, kGaloreAdamw8bit };
enum class LrScheduler { kCosine, kLinear, kConstant };
enum class Precision { kBf16, kFp16, kFp32 };
enum class SourcesPolicy { kPermissive, kStrict };
enum class PreferenceMethod { kDpo, kOrpo };
enum class PreferenceLoss { kSigmoid, kHinge, kIpo };
enum class PreferenceReference { kBase, kPreAdapter };
enum class CptSchedule { kAuto, kDapt, kSft };
enum class QuantName { kQ4KM, kQ5KM, kQ6K, kQ80 };

// The words of the file format, in the order of the enumerators.
inline constexpr std::array kAdapterKindWords{"lora", "qlora", "dora"};
inline constexpr std::array kOptimizerWords{"adamw_torch", "adamw_bnb_8bit", "paged_adamw_8bit",
                                            "galore_adamw", "galore_adamw_8bit"};
inline constexpr std::array kLrSchedulerWords{"cosine", "linear", "constant"};
inline constexpr std::array kPrecisionWords{"bf16", "fp16", "fp32"};
inline constexpr std::array kSourcesPolicyWords{"permissive", "strict"};
inline constexpr std::array kPreferenceMethodWords{"dpo", "orpo"};
inline constexpr std::array kPreferenceLossWords{"sigmoid", "hinge", "ipo"};
inline constexpr std::array kPreferenceReferenceWords{"base", "pre_adapter"};
inline constexpr std::array kCptScheduleWords{"auto", "dapt", "sft"};
inline constexpr std::array kQuantNameWords{"Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0"};

// The word of an enumerator: word_of(kPrecisionWords, Precision::kBf16) is "bf16".
template <typename Enum>
const char* word_of(std::span<const char* const> words, Enum value) {
  return words[static_cast<size_t>(value)];
}

// What one adapter is trained with.
struct AdapterConfig {
  AdapterKind kind = AdapterKind::kLora;  // key: adapter
  int64_t lora_r = 8;
  int64_t lora_alpha = 16;
  double lora_dropout = 0.05;
  std::optional<std::vector<std::string>> target_modules;  // none: auto
  double learning_rate = 2e-4;
  bool operator==(const AdapterConfig&) const = default;
};

struct NamedAdapter {
  std::string name;
  AdapterConfig config;
  bool operator==(const NamedAdapter&) const = default;
};

struct PreferenceHyperparams {
  double beta = 0.1;
  double alpha = 0.1;
  double learning_rate = 5e-6;
  int64_t num_epochs = 1;
  bool operator==(const PreferenceHyperparams&) const = default;
};

struct PreferenceConfig {
  bool enabled = false;
  PreferenceMethod method = PreferenceMethod::kDpo;
  PreferenceHyperparams hyperparams;
  PreferenceLoss loss_type = PreferenceLoss::kSigmoid;
  PreferenceReference reference = PreferenceReference::kPreAdapter;
  bool operator==(const PreferenceConfig&) const = default;
};

struct CptConfig {
  CptSchedule schedule = CptSchedule::kAuto;
  int64_t embed_warmup_steps = 0;
  bool operator==(const CptConfig&) const = default;
};

struct GateConfig {
  bool enabled = false;
  int64_t hidden_proj_dim = 64;
  int64_t steps = 200;
  double lr = 3e-4;
  int64_t cold_start_floor = 4;
  double entropy_lambda = 0.01;
  bool operator==(const GateConfig&) const = default;
};

struct CacheConfig {
  bool enabled = true;
  int64_t max_bytes = 10737418240;
  int64_t prune_older_than_days = 90;
  bool operator==(const CacheConfig&) const = default;
};

struct AudioConfig {
  bool auto_resample = false;
  bool operator==(const AudioConfig&) const = default;
};

struct SourceDirective {
  std::string path;
  std::vector<std::string> include = {"**/*"};
  std::vector<std::string> exclude;
  std::optional<int64_t> max_bytes_per_file;
  std::optional<int64_t> max_files;
  bool operator==(const SourceDirective&) const = default;
};

struct TrainingConfig {
  AdapterConfig adapter;  // the flat keys adapter, lora_r, …, learning_rate of `training`
  int64_t sequence_len = 2048;
  std::optional<int64_t> micro_batch_size;  // none: auto
  std::optional<int64_t> grad_accum;        // none: auto
  int64_t num_epochs = 3;
  Optimizer optimizer = Optimizer::kAdamw;
  LrScheduler lr_scheduler = LrScheduler::kCosine;
  double warmup_ratio = 0.1;
  std::optional<Precision> precision;  // none: the planner decides
  int64_t seed = 42;                   // 0 … 2^32 - 1
  PreferenceConfig preference;
  CptConfig cpt;
  GateConfig gate;
  CacheConfig cache;
  AudioConfig audio;
  std::optional<std::vector<NamedAdapter>> adapters;  // in document order; never empty
  std::optional<std::vector<SourceDirective>> sources;
  SourcesPolicy sources_policy = SourcesPolicy::kPermissive;
  bool operator==(const TrainingConfig&) const = default;
};

struct ExportConfig {
  QuantName default_quant = QuantName::kQ4KM;
  std::optional<double> default_temperature;
  std::optional<double> default_top_p;
  bool operator==(const ExportConfig&) const = default;
};

struct Frontmatter {
  std::string dlm_id;
  int64_t dlm_version = 15;     // always the current version after reading
  int64_t written_version = 1;  // the version that the document was written in
  std::string base_model;
  TrainingConfig training;
  ExportConfig export_config;  // key: export
  std::optional<std::string> system_prompt;

  // Dotted paths of the keys that the document holds, after migration: "training.learning_rate",
  // "training.adapters.tone.lora_r", "training.sources.0.path".
  std::set<std::string, std::less<>> written;

  bool was_written(std::string_view dotted_path) const { return written.contains(dotted_path); }
};

// The adapters that a document trains: those of training.adapters in document order, or the one
// named "default" with the flat keys.
std::vector<NamedAdapter> declared_adapters(const Frontmatter& frontmatter);

// Whether a name may stand in training.adapters and behind '#': [a-z][a-z0-9_]{0,31}.
bool is_adapter_name(std::string_view name);

// Reads a tree that has been migrated. Throws one Error(kParse) that lists every finding as "key:
// what", joined by "; ", at the place of the first.
Frontmatter read_frontmatter(const YamlTree& tree, int written_version, WarningSink& warnings);

}  // namespace dlm
