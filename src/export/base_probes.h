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
  fs::path home;  // whose kept reports are used; empty: none, so that all is probed anew
  bool skips_exports = false;
};

struct ProbeReport {
  std::string base;
  fs::path folder;  // empty for a base of a kind that is not run
  std::vector<Probe> probes;
  bool is_kept = false;   // nothing was probed: the files are those of a kept report
  std::string files_key;  // what the report holds for; empty: it cannot be kept

  // Failures that stop training.
  std::vector<Probe> faults() const;
  const Probe* find(std::string_view name) const;  // null when absent
};

// Of a base on this machine, broken or whole. For a base that sees or hears every probe is skipped.
// Throws what locate_base() throws for one that is not known or not here (its hint names the
// command that fetches it). Writes nothing.
ProbeReport probe_base(const ProbeRequest& request);

// Keeps a report without faults in HOME/probes.json for as long as the base's files, its entry in
// the registry and this program stay the same. A home that cannot be written is no error.
void keep_probe_report(const fs::path& home, const ProbeReport& report);

// Whether the environment asks for no probes of exports: DLM_SKIP_EXPORT_PROBES is set, and neither
// to nothing nor to 0.
bool skips_export_probes();

// An array of objects: name, state, detail, remedy (or null), about_export.
Json probes_json(const std::vector<Probe>& probes);
// Lines "NAME  STATE  DETAIL", each remedy in a line of its own.
std::string probe_table(const std::vector<Probe>& probes);

}  // namespace dlm
