// dlm reproduce: trains a version again and says whether its bytes come out the same.

#include <CLI/CLI.hpp>

#include <charconv>
#include <memory>

#include "cli/command.h"
#include "cli/console.h"
#include "cli/step_progress.h"
#include "store/store_layout.h"
#include "support/clock.h"
#include "train/reproduce.h"

namespace dlm {

namespace {

struct ReproduceOptions {
  std::string path;
  std::string version;
  bool json = false;
};

// "v0003" or "3"; 0 for what is neither.
int64_t version_of(std::string_view text) {
  if (text.starts_with("v")) text.remove_prefix(1);
  int64_t number = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool is_number = parsed.ec == std::errc() && parsed.ptr == text.data() + text.size();
  return is_number && number > 0 ? number : 0;
}

std::string check_version(const std::string& text) {
  return version_of(text) > 0 ? "" : "\"" + text + "\" is no version, such as v0001";
}

void say_result(const Reproduction& r) {
  if (r.document_has_changed) {
    say("the document has changed since; the version's own copy of it was used");
  }
  for (const std::string& difference : r.differences) say("differs: " + difference);
  const std::string head =
      fmt::format("{} ({} steps, {}): ", version_name(r.version), r.steps, r.determinism_class);
  if (r.is_same) {
    say(head + "the same bytes, in " + format_duration(r.seconds));
  } else if (r.retrained_sha256.empty()) {
    say(head + "cannot be trained again with what differs");
  } else {
    say(head + "other bytes: recorded " + r.recorded_sha256.substr(0, 12) + "…, now " +
        r.retrained_sha256.substr(0, 12) + "…");
  }
  if (!r.is_same && r.determinism_class != "strict") {
    say("its class promises the same bytes only where memory and tiles are the same: "
        "docs/determinism.md");
  }
}

int run_reproduce(const ReproduceOptions& options, const GlobalOptions& globals) {
  ReproduceRequest request;
  request.document = options.path;
  request.home = home_folder(globals);
  request.bases = base_search();
  if (!options.version.empty()) request.version = version_of(options.version);
  request.num_threads = globals.num_threads;
  request.clock = &system_clock();
  StepProgress steps("reproduce");
  TrainEvents events;
  if (!globals.quiet) {
    events.on_step = [&](const StepReport& step, const TrainingPlan& plan) {
      steps.update(step.step, plan.steps, step.tokens, step.seconds, step.loss);
    };
  }
  const Reproduction result = reproduce_version(request, events);
  steps.finish();
  if (options.json) {
    write_out(reproduction_json(result).dump(2) + "\n");
  } else {
    if (!globals.quiet) say_result(result);
    if (!result.retrained_sha256.empty()) write_out(result.retrained_sha256 + "\n");
  }
  return result.is_same ? 0 : 1;
}

}  // namespace

Action add_reproduce(CLI::App& app, const GlobalOptions& globals) {
  auto options = std::make_shared<ReproduceOptions>();
  CLI::App* command =
      app.add_subcommand("reproduce", "Train a version again and compare its bytes");
  command->add_option("path", options->path, "The document")->required()->type_name("PATH");
  command->add_option("--version", options->version, "The version, as v0001 (default: the current)")
      ->type_name("VERSION")
      ->check(check_version);
  command->add_flag("--json", options->json, "Print the result as JSON");
  return [options, &globals] { return run_reproduce(*options, globals); };
}

}  // namespace dlm
