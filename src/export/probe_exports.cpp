#include "export/gguf_model.h"
#include "export/plan.h"
#include "export/probe_parts.h"
#include "export/template_parity.h"
#include "support/progress.h"

namespace dlm {
namespace {

Probe named(const char* target, ProbeState state, std::string detail, std::string remedy = {}) {
  return {std::string("export:") + target, state, std::move(detail), std::move(remedy)};
}

// What the GGUF files of the two run times have in common.
struct GgufOutcome {
  std::optional<Error> refusal;
  GgufModelOutline outline;
};

GgufOutcome outline_of(const ProbedBase& base) {
  GgufModelRequest request;
  request.base = base.folder;
  if (!base.format->default_template().empty()) {
    request.chat_template = base.format->chat_template().source();
  }
  GgufOutcome outcome;
  try {
    outcome.outline = outline_gguf_model(request);
  } catch (const Error& error) {
    outcome.refusal = error;
  }
  return outcome;
}

// Why a Modelfile for this base has no TEMPLATE; "" where it has one.
std::string no_template_reason(const ChatFormat& format, bool adds_bos) {
  try {
    const TemplateParity parity = prove_template(format, adds_bos);
    return parity.holds() ? "" : parity.differences().front();
  } catch (const Error& error) {
    return error.message();
  }
}

class ExportProbes {
 public:
  explicit ExportProbes(const ProbedBase& base) : base_(base), gguf_(outline_of(base)) {}

  Probe probe(ExportTarget target) const {
    const char* name = kExportTargetNames[static_cast<size_t>(target)];
    const bool is_gguf = target == ExportTarget::kOllama || target == ExportTarget::kLlamaServer;
    if (is_gguf && gguf_.refusal) {
      return named(name, ProbeState::kFailed, gguf_.refusal->what(), gguf_.refusal->hint());
    }
    if (!base_.format->has_chat_template() && base_.format->default_template().empty()) {
      return named(name, ProbeState::kFailed, "the base has no chat template",
                   "export with --no-template");
    }
    // The others name the base by its id on the hub.
    const bool holds_weights = is_gguf || target == ExportTarget::kHf;
    std::string detail = is_gguf ? std::string(quant_name(Quant::kQ4_K_M)) + " takes " +
                                       format_bytes(gguf_.outline.file_bytes)
                                 : "nothing of this base is in the way";
    if (target == ExportTarget::kOllama) {
      const std::string reason = no_template_reason(*base_.format, gguf_.outline.adds_bos);
      if (!reason.empty()) {
        return named(name, ProbeState::kWarned,
                     detail + "; the Modelfile has no TEMPLATE: " + reason,
                     "newer Ollama reads the template in the file itself");
      }
    }
    if (holds_weights && base_.info != nullptr && !base_.info->is_redistributable) {
      return named(name, ProbeState::kWarned,
                   detail + "; the licence does not let the base's weights be passed on",
                   "keep the export to yourself, or export to vllm or mlx-serve, whose files hold "
                   "the adapter alone");
    }
    return named(name, ProbeState::kPassed, std::move(detail));
  }

 private:
  const ProbedBase& base_;
  GgufOutcome gguf_;
};

}  // namespace

std::vector<Probe> probe_exports(const ProbedBase& base) {
  std::vector<Probe> probes;
  const bool is_usable = base.config && base.has_sound_weights && base.tokenizer && base.format;
  std::optional<ExportProbes> exports;
  if (is_usable) exports.emplace(base);
  for (size_t i = 0; i < std::size(kExportTargetNames); ++i) {
    probes.push_back(
        is_usable ? exports->probe(static_cast<ExportTarget>(i))
                  : named(kExportTargetNames[i], ProbeState::kSkipped, "a probe above failed"));
  }
  return probes;
}

}  // namespace dlm
