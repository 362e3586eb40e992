#include "export/base_probes.h"

#include <algorithm>
#include <cstdlib>

#include "bases/hub_name.h"
#include "bases/presence.h"
#include "export/plan.h"
#include "export/probe_cache.h"
#include "export/probe_parts.h"

namespace dlm {
namespace {

// What the registry knows of a base, also where it is named by its place on the hub.
const BaseInfo* info_of(const std::string& base) {
  if (!is_hub_name(base)) return find_base(base);
  const HubName name = parse_hub_name(base);
  const auto& bases = known_bases();
  const auto found = std::find_if(bases.begin(), bases.end(), [&](const BaseInfo& info) {
    return info.hf_id == name.repository;
  });
  return found == bases.end() ? nullptr : &*found;
}

std::vector<Probe> skipped_exports(const std::string& reason) {
  std::vector<Probe> probes = {skipped_probe("pre_tokenizer", reason)};
  for (const char* target : kExportTargetNames) {
    probes.push_back(skipped_probe(std::string("export:") + target, reason));
  }
  return probes;
}

void add_exports(std::vector<Probe>& probes, std::vector<Probe> more) {
  for (Probe& probe : more) {
    probe.is_about_export = true;
    probes.push_back(std::move(probe));
  }
}

ProbeReport media_report(const BaseInfo& media) {
  const std::string reason = std::string("it is ") + base_of(media.modality) +
                             ", and this version runs bases of text only";
  ProbeReport report;
  for (const char* name : {"architecture", "tensors", "tokenizer", "chat_template"}) {
    report.probes.push_back(skipped_probe(name, reason));
  }
  add_exports(report.probes, skipped_exports(reason));
  return report;
}

std::vector<Probe> run_probes(ProbedBase& base, bool skips_exports) {
  std::vector<Probe> probes = {probe_architecture(base), probe_tensors(base), probe_tokenizer(base),
                               probe_chat_template(base)};
  if (skips_exports) {
    add_exports(probes, skipped_exports("DLM_SKIP_EXPORT_PROBES is set"));
    return probes;
  }
  add_exports(probes, {probe_pre_tokenizer(base)});
  add_exports(probes, probe_exports(base));
  return probes;
}

}  // namespace

std::vector<Probe> ProbeReport::faults() const {
  std::vector<Probe> found;
  for (const Probe& probe : probes) {
    if (probe.state == ProbeState::kFailed && !probe.is_about_export) found.push_back(probe);
  }
  return found;
}

const Probe* ProbeReport::find(std::string_view name) const {
  const auto found = std::find_if(probes.begin(), probes.end(),
                                  [&](const Probe& probe) { return probe.name == name; });
  return found == probes.end() ? nullptr : &*found;
}

ProbeReport probe_base(const ProbeRequest& request) {
  ProbeReport report;
  if (const BaseInfo* media = find_media_base(request.base)) {
    report = media_report(*media);
    report.base = request.base;
    return report;
  }
  report.base = request.base;
  std::string hint;  // where a broken base can be completed, how
  try {
    report.folder = locate_base(request.base, request.search);
  } catch (const Error& error) {
    // One that is broken lies somewhere.
    const BasePresence found = find_presence(request.base, request.search);
    if (!found.is_partial) throw;
    report.folder = found.folder;
    if (found.is_in_cache) hint = error.hint();
  }
  ProbedBase base;
  base.folder = report.folder;
  base.info = info_of(request.base);
  report.files_key = probe_key(base, request.base, request.skips_exports);
  if (!request.home.empty() && !report.files_key.empty()) {
    if (auto kept = kept_probes(request.home, report.files_key)) {
      report.probes = std::move(*kept);
      report.is_kept = true;
      return report;
    }
  }
  report.probes = run_probes(base, request.skips_exports);
  for (Probe& probe : report.probes) {
    const bool is_of_files = probe.state == ProbeState::kFailed && !probe.is_about_export;
    if (is_of_files && !hint.empty()) probe.remedy = hint;
  }
  return report;
}

bool skips_export_probes() {
  const char* text = std::getenv("DLM_SKIP_EXPORT_PROBES");
  return text != nullptr && *text != '\0' && std::string_view(text) != "0";
}

}  // namespace dlm
