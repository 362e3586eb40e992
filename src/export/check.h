// An export folder, looked at again: its files against the manifest, and the proofs of models and
// templates once more, by the limits that the export was held to.
#pragma once

#include "export/run.h"

namespace dlm {

struct CheckRequest {
  fs::path folder;
  fs::path document;  // "": as it was trained, from the store that the folder lies in
  fs::path home;
  BaseSearch bases;
  std::optional<double> max_kl;  // instead of what export_proof.json states
  std::optional<double> min_agreement;
  int num_threads = 0;
};

struct CheckResult {
  ExportManifest manifest;
  std::vector<ProofResult> proofs;
  std::vector<TemplateParity> templates;
  std::string no_proof_reason;  // why none was repeated
  std::vector<std::string> faults;
};

// Throws Error(kExport) when there is no manifest, or none that can be read.
CheckResult check_export(const CheckRequest& request, const ExportEvents& events);

}  // namespace dlm
