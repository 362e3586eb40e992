// dlm train: trains a document and commits a new version of its adapter.

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <memory>

#include "bases/hub_name.h"
#include "bases/registry.h"
#include "cli/base_fetch.h"
#include "cli/base_gate.h"
#include "cli/command.h"
#include "cli/consent.h"
#include "cli/console.h"
#include "cli/size.h"
#include "cli/step_progress.h"
#include "data/directory_scaffold.h"
#include "data/source_report.h"
#include "doc/document.h"
#include "store/manifest.h"
#include "store/store_layout.h"
#include "support/clock.h"
#include "support/progress.h"
#include "train/prepare.h"
#include "train/run.h"
#include "train/run_record.h"

namespace dlm {

namespace {

// Rise of the loss on general prompts, in nats a token, that is worth a warning. A document that is
// learned well lowers it.
constexpr double kMuchDrift = 0.5;

struct TrainOptions {
  std::string path;
  std::optional<std::string> base;
  std::optional<int64_t> seed;
  std::optional<int64_t> max_steps;
  std::optional<std::string> max_mem;
  std::string weights = "auto";
  bool resume = false;
  bool fresh = false;
  bool replay_deleted = false;
  bool no_cache = false;
  int64_t checkpoint_seconds = 60;
  bool strict_lock = false;
  bool update_lock = false;
  bool ignore_lock = false;
  bool dry_run = false;
  bool json = false;
  bool allow_secrets = false;
  bool accepts_license = false;
  bool skip_probes = false;
  bool pull = false;
  // With a folder:
  std::vector<std::string> include;
  std::vector<std::string> exclude;
  bool is_recursive = true;
  std::optional<std::string> name;
  std::optional<std::string> policy;
  bool rescaffold = false;
};

// The progress line, the plan and the warnings of one run.
class TrainConsole {
 public:
  explicit TrainConsole(bool quiet) : quiet_(quiet) {}

  TrainEvents events() {
    TrainEvents e;
    e.on_warning = [](const Warning& w) { warn(w.place.to_string() + ": " + w.message); };
    e.on_note = [](const std::string& note) { warn(note); };
    e.on_sources = [this](const SourceSections& sources) {
      if (!quiet_ || !sources.secrets.empty()) {
        for (const std::string& line : source_lines(sources)) say(line);
      }
    };
    e.on_plan = [this](const TrainingPlan& plan) { show_plan(plan); };
    e.on_step = [this](const StepReport& step, const TrainingPlan& plan) {
      if (quiet_) return;
      steps_.update(step.step, plan.steps, step.tokens, step.seconds, step.loss);
    };
    return e;
  }

  void finish() { steps_.finish(); }

 private:
  void show_plan(const TrainingPlan& plan) {
    if (quiet_) return;
    say(fmt::format("plan: {} steps, rate {:g}, {} + {} rows a step, rank {}, {}", plan.steps,
                    plan.learning_rate, plan.rows_per_step, plan.general_rows_per_step, plan.rank,
                    plan.dtype == DType::kBF16 ? "bf16" : "fp32"));
    for (const std::string& reason : plan.reasons) say("  - " + reason);
    say(fmt::format("cost: about {} of training, {} of memory",
                    format_duration(plan.predicted_seconds),
                    format_bytes(plan.predicted_peak_bytes)));
  }

  bool quiet_;
  StepProgress steps_{"train"};
};

LockMode lock_mode(const TrainOptions& options) {
  if (options.strict_lock) return LockMode::kStrict;
  if (options.update_lock) return LockMode::kUpdate;
  return options.ignore_lock ? LockMode::kIgnore : LockMode::kDefault;
}

// The document of a folder, written when there is none.
fs::path document_of_folder(const TrainOptions& options, const GlobalOptions& globals) {
  ScaffoldRequest request;
  request.folder = options.path;
  request.base_model = options.base;
  request.include = options.include;
  request.exclude = options.exclude;
  request.is_recursive = options.is_recursive;
  request.name = options.name;
  if (options.policy) {
    request.policy =
        *options.policy == "strict" ? SourcesPolicy::kStrict : SourcesPolicy::kPermissive;
  }
  request.rescaffold = options.rescaffold;
  const Scaffold scaffold = scaffold_directory(request, system_clock(), os_random);
  if (scaffold.is_new && !globals.quiet) {
    say("scaffolded: " + scaffold.document.string() + " (dlm_id=" + scaffold.dlm_id + ")");
  }
  return scaffold.document;
}

void refuse_folder_flags(const TrainOptions& options) {
  if (options.include.empty() && options.exclude.empty() && options.is_recursive && !options.name &&
      !options.policy && !options.rescaffold) {
    return;
  }
  throw Error(ErrorKind::kUsage,
              "--include, --exclude, --no-recursive, --name, --policy and --rescaffold go with a "
              "folder",
              "write training.sources into the document instead", {options.path});
}

struct ReadyBase {
  std::optional<LicenseAcceptance> license;
  std::optional<ProbeReport> probes;  // none: not probed
};

// Consent, warnings, the base's probes and, where it is asked for or agreed to, fetching of it.
// What else is wrong with the document or the base is told by the run itself.
ReadyBase ready_base(const TrainOptions& options, const GlobalOptions& globals,
                     const TrainRequest& request) {
  ReadyBase ready;
  Frontmatter front;
  try {
    front = load_document(request.document).frontmatter;
  } catch (const Error&) {
    return ready;
  }
  const std::string base = request.base.value_or(front.base_model);
  ConsentRequest consent;
  consent.base = base;
  consent.home = request.home;
  consent.is_given = options.accepts_license;
  const StoreLayout store(request.home, front.dlm_id);
  BaseSearch search = request.bases;
  if (store.is_initialized()) {
    consent.of_store = read_manifest(store).license_acceptance;
    search.commits = pinned_commits(store);
  }
  ready.license = require_license(consent);
  if (const BaseInfo* known = find_base(base); known && !known->capability_warning.empty()) {
    warn("base " + base + ": " + std::string(known->capability_warning));
  }
  const auto probe = [&] {
    if (options.skip_probes) return;
    ready.probes = require_sound_base({base, search, request.home, skips_export_probes()});
  };
  if (options.dry_run || !is_absent_base(base, search)) {
    probe();
    return ready;
  }
  std::string wanted = base;
  if (const auto pinned = search.commits.find(base); pinned != search.commits.end()) {
    HubName name = parse_hub_name(base);
    name.revision = pinned->second;
    wanted = name.text();
  }
  if (options.pull) {
    fetch_base(wanted, globals.quiet);
  } else if (is_at_terminal()) {
    offer_to_fetch(wanted, globals.quiet);
  }
  probe();
  return ready;
}

int run_train(const TrainOptions& options, const GlobalOptions& globals) {
  TrainRequest request;
  request.document = options.path;
  const bool is_of_folder = is_folder(options.path);
  if (is_of_folder) {
    try {
      request.document = document_of_folder(options, globals);
    } catch (const Error& error) {
      return report(error, "scaffold");
    }
  } else {
    refuse_folder_flags(options);
  }
  request.home = home_folder(globals);
  request.bases = base_search();
  if (!is_of_folder) request.base = options.base;  // else the document has it
  request.allows_secrets = options.allow_secrets;
  request.seed = options.seed;
  request.max_steps = options.max_steps;
  if (options.max_mem) request.max_memory_bytes = parse_size(*options.max_mem, "--max-mem");
  if (options.weights != "auto") request.base_format = trained_base_format(options.weights);
  request.resume = options.resume;
  request.fresh = options.fresh;
  request.replay_deleted = options.replay_deleted;
  request.use_token_cache = !options.no_cache;
  request.checkpoint_seconds = options.checkpoint_seconds;
  request.lock_mode = lock_mode(options);
  request.num_threads = globals.num_threads;
  request.dry_run = options.dry_run;
  request.clock = &system_clock();
  const ReadyBase base = ready_base(options, globals, request);
  request.license = base.license;
  TrainConsole console(globals.quiet);
  const TrainResult result = train_document(request, console.events());
  // A run that is refused or stopped leaves nothing behind, this report neither.
  if (base.probes && result.trained) keep_probe_report(request.home, *base.probes);
  console.finish();
  if (options.json) {
    write_out(train_result_json(result).dump(2) + "\n");
    return 0;
  }
  if (options.dry_run) return 0;
  if (result.is_complete) {
    say(fmt::format("no-op: the run has taken its {} steps; raise training.num_epochs for more",
                    result.resumed_at_step));
    return 0;
  }
  if (!result.trained) {
    say("no-op: nothing to train: the document has no prose and no ::instruction:: section");
    return 0;
  }
  if (!globals.quiet) {
    const EvalReport& kept = result.loop.kept;
    if (result.resumed_at_step > 0) {
      say(fmt::format("resumed: at step {}", result.resumed_at_step));
    }
    say(fmt::format("sft: v{:04d} ({} steps, seed={}, determinism={}) in {}",
                    result.adapter_version, result.loop.steps, result.plan.seed,
                    result.determinism_class, format_duration(result.seconds)));
    say(fmt::format(
        "learned: {} of {} {} word for word, weights of step {}; drift on general prompts {:+.3f}",
        kept.exact_rows, kept.num_rows, result.plan.holds_out ? "held-out rows" : "rows", kept.step,
        kept.drift));
    if (kept.drift > kMuchDrift) {
      say(fmt::format(
          "warning: other prompts have become harder for the model than for its base; lower "
          "training.learning_rate (it was {:g}) and train again",
          result.plan.learning_rate));
    }
    say("adapter: " + result.adapter_path.string());
    say("log:     " + result.log_path.string());
  }
  write_out(fmt::format("{:.4f}\n", result.loop.mean_loss));
  return 0;
}

}  // namespace

Action add_train(CLI::App& app, const GlobalOptions& globals) {
  auto options = std::make_shared<TrainOptions>();
  CLI::App* command =
      app.add_subcommand("train", "Train a document into a new version of its adapter");
  command->add_option("path", options->path, "The document, or a folder of text files")
      ->required()
      ->type_name("PATH");
  command->add_option("--base", options->base, "Base model to train on instead of the document's")
      ->type_name("KEY");
  command->add_option("--seed", options->seed, "Seed instead of the document's")
      ->check(CLI::Range(int64_t{0}, int64_t{4294967295}));
  command->add_option("--max-steps", options->max_steps, "At most so many optimizer steps")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 40));
  command
      ->add_option("--max-mem", options->max_mem,
                   "Memory to stay below, as 900M or 2G; takes smaller batches or more time")
      ->type_name("SIZE");
  command
      ->add_option("--weights", options->weights,
                   "How the base is held: full, int8, nf4, or auto: nf4 for `adapter: qlora`, as "
                   "before with --resume, full else")
      ->check(CLI::IsMember({"auto", "full", "int8", "nf4"}))
      ->type_name("FORM")
      ->capture_default_str();
  auto* resume = command->add_flag(
      "--resume", options->resume,
      "Go on with the run that was stopped, or take more steps from the current version");
  auto* fresh = command->add_flag("--fresh", options->fresh,
                                  "Start anew from the base, and forget a run that was stopped");
  fresh->excludes(resume);
  command
      ->add_flag("--replay-deleted", options->replay_deleted,
                 "Train sections that left the document as well, from its history")
      ->excludes(resume)
      ->excludes(fresh);
  command
      ->add_option("--checkpoint-every", options->checkpoint_seconds,
                   "Seconds between checkpoints; 0: after every step")
      ->type_name("SECONDS")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 30))
      ->capture_default_str();
  command->add_flag("--no-cache", options->no_cache,
                    "Tokenize anew: neither read nor write the token cache");
  auto* strict = command->add_flag("--strict-lock", options->strict_lock,
                                   "Refuse when anything the last run depended on has changed");
  auto* update = command->add_flag("--update-lock", options->update_lock,
                                   "Accept what has changed and record it");
  auto* ignore = command->add_flag("--ignore-lock", options->ignore_lock,
                                   "Neither compare with the last run nor record this one");
  update->excludes(strict);
  ignore->excludes(strict)->excludes(update);
  command->add_flag("--allow-secrets", options->allow_secrets,
                    "Take source files with text that looks like a secret");
  command->add_option("--include", options->include, "Of a folder: files to take, as **/*.md")
      ->type_name("GLOB")
      ->allow_extra_args(false);
  command->add_option("--exclude", options->exclude, "Of a folder: files to leave out")
      ->type_name("GLOB")
      ->allow_extra_args(false);
  auto* recursive = command->add_flag("-r,--recursive", options->is_recursive,
                                      "Of a folder: with all folders below, the default");
  command
      ->add_flag_callback(
          "-R,--no-recursive", [options] { options->is_recursive = false; },
          "Of a folder: without the folders below")
      ->excludes(recursive);
  command->add_option("--name", options->name, "Of a folder: name of its document (corpus)")
      ->type_name("NAME");
  command
      ->add_option("--policy", options->policy,
                   "Of a folder: strict (the default) takes nothing from outside of it")
      ->check(CLI::IsMember({"strict", "permissive"}));
  command->add_flag("--rescaffold", options->rescaffold,
                    "Of a folder: write its document anew, under the same id");
  command->add_flag("--i-accept-license", options->accepts_license,
                    "Accept the licence of a base that asks for it");
  command->add_flag("--skip-probes", options->skip_probes,
                    "Train without looking at the base's files first");
  command->add_flag("--pull", options->pull,
                    "Fetch the base from the hub when it is not on this machine");
  command->add_flag("--dry-run", options->dry_run, "Show the plan and its cost, train nothing");
  command->add_flag("--json", options->json, "Print the result as JSON");
  return [options, &globals] { return run_train(*options, globals); };
}

}  // namespace dlm
