// What an export will be, from the flags and the document: target, quant, form, adapters, names.
// Refuses what does not go together before anything is read from the disk.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "doc/frontmatter.h"
#include "export/adapter_folder.h"
#include "export/mixture.h"

namespace dlm {

enum class ExportTarget { kOllama, kLlamaServer, kVllm, kMlxServe, kHf };
inline constexpr const char* kExportTargetNames[] = {"ollama", "llama-server", "vllm", "mlx-serve",
                                                     "hf"};

// As the command line has them.
struct ExportFlags {
  std::string target = "ollama";
  std::optional<std::string> quant;
  bool merged = false;
  bool adapter_form = false;
  bool dequantize = false;
  std::optional<std::string> name;
  bool no_template = false;
  bool no_smoke = false;
  bool no_imatrix = false;
  std::optional<std::string> draft;
  bool no_draft = false;
  bool skip_ollama = false;
  std::optional<std::string> adapter;
  std::optional<std::string> adapter_mix;
  std::optional<std::string> adapter_mix_method;
  bool emit_sway_json = false;
};

struct MixPart {
  std::string adapter;
  double weight;
};

struct ExportPlan {
  ExportTarget target = ExportTarget::kOllama;
  std::optional<Quant> quant;  // none for targets without GGUF files
  bool merged = false;
  bool dequantize = false;
  bool wants_imatrix = false;
  bool has_template = true;
  bool registers = false;  // with the program of the target, where it is installed
  bool smokes = true;
  std::vector<std::string> adapters;  // to export; "" is the document's only one
  std::vector<MixPart> mix;           // instead of them
  MixMethod mix_method = MixMethod::kConcatenate;
  std::optional<std::string> name;
  std::optional<std::string> draft;
  bool asks_registered_draft = true;
  std::string folder;                // below exports/
  std::vector<std::string> ignored;  // flags without a meaning for this target

  bool is_gguf() const { return quant.has_value(); }
  const char* target_name() const { return kExportTargetNames[static_cast<int>(target)]; }
  std::string quant_name_or_hf() const;
  // The adapter's name for records; none for the document's only one and for mixes.
  std::optional<std::string> adapter_name() const;
  // "-NAME" of the one named adapter, "-mix-NAME-0.7-NAME-0.3", or "".
  std::string adapter_suffix() const;
};

// Throws Error(kUsage).
ExportPlan plan_export(const ExportFlags& flags, const Frontmatter& frontmatter);

// "tone:0.7,facts:0.3". Throws Error(kUsage).
std::vector<MixPart> parse_mix(std::string_view spec, const std::vector<std::string>& declared);

// [namespace/]name[:tag]. Throws Error(kUsage).
void check_ollama_name(const std::string& name);

}  // namespace dlm
