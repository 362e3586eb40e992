// Proofs of what lies in an export's folder: the models that its files make, and the chat template
// that goes with them.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "export/importance.h"
#include "export/inputs.h"
#include "export/proof.h"
#include "export/template_parity.h"
#include "export/vllm.h"

namespace dlm {

// What an export is held to, of a module ("" where there is one) whose own limits are `own`.
using LimitsOf = std::function<ProofLimits(const std::string& module, const ProofLimits& own)>;

// A proof's request of everything but files and limits.
ProofRequest proof_request(const ExportInputs& inputs, TrainedModel& trained);

struct FolderProofRequest {
  const ExportInputs& inputs;
  ExportTarget target;  // hf, vllm or mlx-serve
  fs::path folder;
  std::vector<ServedModule> modules;  // as trained: name in the files, PEFT folder
  LimitsOf limits;
};

// One proof for each module.
std::vector<ProofResult> prove_folder(const FolderProofRequest& request, Device& device);

// The template that transformers finds in `folder`. None when the base has none.
std::optional<TemplateParity> folder_template_parity(const ChatFormat& base,
                                                     const fs::path& folder);
// Where an export's template lies: the folder itself, or its copy of the base. None where the
// server reads the base of the hub.
std::optional<fs::path> template_folder(ExportTarget target, const fs::path& folder);

// The template in a GGUF file; with `jinja`, the one of that file instead, over the tokens of the
// GGUF file. None when the base has none.
std::optional<TemplateParity> gguf_template_parity(const ChatFormat& base, const fs::path& gguf,
                                                   const fs::path& jinja = {});

// Throws ExportFault("proof") for what does not hold.
void require_proofs(const std::vector<ProofResult>& proofs);
// Throws ExportFault("template") for a plain conversation that differs; texts_alone: in its text.
void require_template(const TemplateParity& parity, bool texts_alone);

}  // namespace dlm
