// `dlm export`, whole: from a document and flags to a folder that is proved and recorded.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "bases/locate.h"
#include "export/manifest.h"
#include "export/plan.h"
#include "export/proof.h"
#include "export/template_parity.h"
#include "support/clock.h"

namespace dlm {

struct ExportRequest {
  fs::path document;
  fs::path home;
  BaseSearch bases;
  ExportFlags flags;
  std::optional<double> max_kl;  // instead of the quant's own limits
  std::optional<double> min_agreement;
  int num_threads = 0;
  const Clock* clock = nullptr;
};

struct ExportEvents {
  std::function<void(const std::string&)> on_note;
  std::function<void(const std::string&)> on_warning;
  std::function<void(const std::vector<std::string>&)> on_command;
  // What is at work, bytes done, bytes in all.
  std::function<void(const std::string&, uint64_t, uint64_t)> on_progress;
};

struct ExportResult {
  ExportPlan plan;
  fs::path folder;
  ExportManifest manifest;
  std::vector<ProofResult> proofs;            // one for each adapter that is served
  std::optional<TemplateParity> parity;       // of the target's template
  std::optional<TemplateParity> file_parity;  // of the one in a GGUF file
  std::optional<MixReport> mix;
  std::optional<std::string> ollama_version;
  std::optional<std::string> smoke_line;
  std::string next_step;  // what a person does with the files; "" where it was done
  double seconds = 0;
};

// Throws Error(kUsage) for flags, ExportFault for what preflight, merge gate, proof, Ollama or
// smoke found, else what the parts throw. Nothing is left behind then.
ExportResult run_export(const ExportRequest& request, const ExportEvents& events);

// SOURCE_DATE_EPOCH where it is set, so that exports can be repeated to the byte; else the clock.
int64_t export_time(const Clock& clock);

}  // namespace dlm
