// Probes of a base: what would go wrong with it, found before anything is trained or written. Each
// looks at one thing (its configuration, the headers of its weights, its tokenizer, …) and says in
// a sentence what it found, and what to do where it failed. No weight is read.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "bases/locate.h"
#include "support/json.h"

namespace dlm {

enum class ProbeState {
  kPassed,
  kWarned,  // it works, and there is something to know
  kFailed,
  kSkipped,  // the detail says why
};
const char* probe_state_word(ProbeState state);  // "passed", "warned", "failed", "skipped"

struct Probe {
  std::string name;  // "architecture", "tensors", …, "export:ollama"
  ProbeState state = ProbeState::kPassed;
  std::string detail;  // a sentence, without a full stop
  std::string remedy;  // what to do; "" where there is nothing to be done
  // Whether it concerns files for other programs only: then its failure does not stop training.
  bool is_about_export = false;
};

struct ProbeRequest {
  std::string base;  // a key, a path, hf:org/name or hf:org/name@revision
  BaseSearch search;
  fs::path home;  // whose cache of reports is used; empty: none
  bool skips_exports = false;
  bool writes_cache = true;
};

struct ProbeReport {
  std::string base;
  fs::path folder;  // empty for a base of a kind that is not run
  std::vector<Probe> probes;
  bool is_cached = false;  // nothing was probed: the files are those of an earlier report

  // Failures that stop training.
  std::vector<const Probe*> faults() const;
  const Probe* find(std::string_view name) const;  // null when absent
};

// Of a base on this machine, broken or whole. For a base that sees or hears every probe is skipped.
// Throws what locate_base() throws for one that is not known or not here (its hint names the
// command that fetches it).
ProbeReport probe_base(const ProbeRequest& request);

// Whether the environment asks for no probes of exports: DLM_SKIP_EXPORT_PROBES is set, and neither
// to nothing nor to 0.
bool skips_export_probes();

Json probes_json(const ProbeReport& report);
// Lines "NAME  STATE  DETAIL", a remedy in a line of its own. Of all, or of those that failed or
// warned.
std::string probe_table(const ProbeReport& report, bool only_troubles = false);

}  // namespace dlm
