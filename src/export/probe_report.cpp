// Probes as text and as JSON.
#include <algorithm>

#include <fmt/format.h>

#include "export/base_probes.h"

namespace dlm {

const char* probe_state_word(ProbeState state) {
  switch (state) {
    case ProbeState::kPassed:
      return "passed";
    case ProbeState::kWarned:
      return "warned";
    case ProbeState::kFailed:
      return "failed";
    case ProbeState::kSkipped:
      return "skipped";
  }
  return "";
}

Json probes_json(const std::vector<Probe>& probes) {
  Json list = Json::array();
  for (const Probe& probe : probes) {
    Json one = Json::object();
    one.set("name", probe.name);
    one.set("state", probe_state_word(probe.state));
    one.set("detail", probe.detail);
    one.set("remedy", probe.remedy.empty() ? Json() : Json(probe.remedy));
    one.set("about_export", probe.is_about_export);
    list.push_back(std::move(one));
  }
  return list;
}

std::string probe_table(const std::vector<Probe>& probes) {
  size_t width = 0;
  for (const Probe& probe : probes) width = std::max(width, probe.name.size());
  std::string text;
  for (const Probe& probe : probes) {
    text += fmt::format("{:<{}}  {:<7}  {}\n", probe.name, width, probe_state_word(probe.state),
                        probe.detail);
    const bool is_asked = probe.state == ProbeState::kFailed || probe.state == ProbeState::kWarned;
    if (is_asked && !probe.remedy.empty()) {
      text += fmt::format("{:<{}}           -> {}\n", "", width, probe.remedy);
    }
  }
  return text;
}

}  // namespace dlm
