#include "cli/base_gate.h"

#include <malloc.h>

#include <utility>
#include <vector>

#include "cli/console.h"
#include "support/text.h"

namespace dlm {

namespace {

constexpr std::string_view kExport = "export:";

// Exports that would be refused for the same reason are one line.
void tell_refused_exports(const ProbeReport& report) {
  std::vector<std::pair<std::string, std::vector<std::string>>> reasons;
  for (const Probe& probe : report.probes) {
    if (probe.state != ProbeState::kFailed || !probe.name.starts_with(kExport)) continue;
    const std::string target = probe.name.substr(kExport.size());
    if (!reasons.empty() && reasons.back().first == probe.detail) {
      reasons.back().second.push_back(target);
    } else {
      reasons.emplace_back(probe.detail, std::vector<std::string>{target});
    }
  }
  for (const auto& [reason, targets] : reasons) {
    warn("export to " + join(targets, ", ") + " will be refused: " + reason);
  }
  // A tokenizer without a label is among the reasons already; one of another label is not.
  const Probe* label = report.find("pre_tokenizer");
  const bool is_told = !reasons.empty() && label != nullptr && reasons[0].first == label->detail;
  if (label == nullptr || label->state != ProbeState::kFailed || is_told) return;
  warn(label->detail + "; " + label->remedy);
}

void tell_warnings(const ProbeReport& report) {
  for (const Probe& probe : report.probes) {
    // That a template stands in is told where conversations are written with it.
    if (probe.state != ProbeState::kWarned || probe.name == "chat_template") continue;
    warn("base " + report.base + ", " + probe.name + ": " + probe.detail);
  }
}

}  // namespace

std::optional<ProbeReport> require_sound_base(const ProbeRequest& request) {
  ProbeReport report;
  try {
    report = probe_base(request);
  } catch (const Error&) {
    return std::nullopt;
  }
  // Else what the probes held would count as memory of the program in the prediction of the peak.
  if (!report.is_kept) malloc_trim(0);
  const std::vector<Probe> faults = report.faults();
  if (faults.empty()) {
    if (!report.is_kept) tell_warnings(report);
    tell_refused_exports(report);
    return report;
  }
  if (faults.size() == 1) throw Error(ErrorKind::kBase, faults[0].detail, faults[0].remedy);
  const std::string table = probe_table(faults);
  for (const std::string_view line : split(trim(table), '\n')) say(line);
  throw Error(ErrorKind::kBase,
              "base \"" + request.base + "\" failed " + std::to_string(faults.size()) + " probes",
              "do what stands behind each arrow above; --skip-probes goes on without probing");
}

}  // namespace dlm
