#include "cli/base_fetch.h"

#include <algorithm>
#include <optional>

#include "cli/consent.h"
#include "cli/console.h"
#include "support/clock.h"
#include "support/interrupt.h"
#include "support/progress.h"

namespace dlm {

namespace {

HubOptions hub_options() {
  HubOptions options;
  options.settings = HubSettings::of_process();
  options.should_stop = [] { return is_interrupted(); };
  return options;
}

void tell_cost(const PullPlan& plan) {
  if (plan.is_complete) return say(plan.base + " is here: " + plan.folder.string());
  const std::string kept =
      plan.missing_bytes < plan.total_bytes
          ? " (" + format_bytes(plan.total_bytes - plan.missing_bytes) + " of it is here already)"
          : "";
  say("pull: " + plan.base + ", " + std::to_string(plan.files.files.size()) + " files, " +
      format_bytes(plan.total_bytes) + kept + " from " + plan.endpoint + "/" +
      plan.name.repository);
  say("  commit  " + plan.commit);
  say("  licence " + (plan.license.empty() ? "not said" : plan.license));
  say("  into    " + plan.folder.string());
}

void fetch(const PullPlan& plan, const HubOptions& options, bool quiet) {
  std::optional<ProgressWriter> line;
  PullEvents events;
  if (!quiet) {
    // What was here before would make the rate look better than it is.
    const uint64_t before = plan.total_bytes - plan.missing_bytes;
    line.emplace(progress_target(stderr), system_clock(), "pull", plan.missing_bytes, "B");
    events.on_progress = [&line, before](uint64_t done, uint64_t) {
      line->update(done - std::min(done, before));
    };
  }
  run_pull(plan, options, events);
  if (line) line->finish();
}

}  // namespace

PullPlan fetch_base(const std::string& base, bool quiet) {
  const HubOptions options = hub_options();
  PullPlan plan = plan_pull(base, options);
  if (!quiet) tell_cost(plan);
  if (!plan.is_complete) fetch(plan, options, quiet);
  return plan;
}

bool offer_to_fetch(const std::string& base, bool quiet) {
  const HubOptions options = hub_options();
  const PullPlan plan = plan_pull(base, options);
  tell_cost(plan);
  if (plan.is_complete) return true;
  if (!agrees("base " + base + " is not on this machine. Fetch " +
              format_bytes(plan.missing_bytes) + "?")) {
    return false;
  }
  fetch(plan, options, quiet);
  return true;
}

}  // namespace dlm
