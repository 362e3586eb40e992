// dlm train: trains a document and commits a new version of its adapter.

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <memory>

#include "cli/command.h"
#include "cli/console.h"
#include "cli/size.h"
#include "support/clock.h"
#include "support/progress.h"
#include "train/prepare.h"
#include "train/run.h"

namespace dlm {

namespace {

struct TrainOptions {
  std::string path;
  std::optional<std::string> base;
  std::optional<int64_t> seed;
  std::optional<int64_t> max_steps;
  std::optional<std::string> max_mem;
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
};

// The progress line, the plan and the warnings of one run.
class TrainConsole {
 public:
  explicit TrainConsole(bool quiet) : quiet_(quiet) {}

  TrainEvents events() {
    TrainEvents e;
    e.on_warning = [](const Warning& w) { warn(w.place.to_string() + ": " + w.message); };
    e.on_note = [](const std::string& note) { warn(note); };
    e.on_plan = [this](const TrainingPlan& plan) { show_plan(plan); };
    e.on_step = [this](const StepReport& step, const TrainingPlan& plan) {
      if (quiet_) return;
      if (!steps_) {
        steps_.emplace(progress_target(stderr), system_clock(), "train",
                       static_cast<uint64_t>(plan.steps), "steps");
      }
      tokens_ += step.tokens;
      seconds_ += step.seconds;
      steps_->update(static_cast<uint64_t>(step.step),
                     fmt::format("loss {:.4f}  {:.0f} tokens/s", step.loss,
                                 static_cast<double>(tokens_) / std::max(1e-9, seconds_)));
    };
    return e;
  }

  void finish() {
    if (steps_) steps_->finish();
    steps_.reset();
  }

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
  std::optional<ProgressWriter> steps_;
  int64_t tokens_ = 0;
  double seconds_ = 0;
};

LockMode lock_mode(const TrainOptions& options) {
  if (options.strict_lock) return LockMode::kStrict;
  if (options.update_lock) return LockMode::kUpdate;
  return options.ignore_lock ? LockMode::kIgnore : LockMode::kDefault;
}

int run_train(const TrainOptions& options, const GlobalOptions& globals) {
  TrainRequest request;
  request.document = options.path;
  request.home = home_folder(globals);
  request.bases = base_search();
  request.base = options.base;
  request.seed = options.seed;
  request.max_steps = options.max_steps;
  if (options.max_mem) request.max_memory_bytes = parse_size(*options.max_mem, "--max-mem");
  request.resume = options.resume;
  request.fresh = options.fresh;
  request.replay_deleted = options.replay_deleted;
  request.use_token_cache = !options.no_cache;
  request.checkpoint_seconds = options.checkpoint_seconds;
  request.lock_mode = lock_mode(options);
  request.num_threads = globals.num_threads;
  request.dry_run = options.dry_run;
  request.clock = &system_clock();
  TrainConsole console(globals.quiet);
  const TrainResult result = train_document(request, console.events());
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
  command->add_option("path", options->path, "The document")->required()->type_name("PATH");
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
  command->add_flag("--dry-run", options->dry_run, "Show the plan and its cost, train nothing");
  command->add_flag("--json", options->json, "Print the result as JSON");
  return [options, &globals] { return run_train(*options, globals); };
}

}  // namespace dlm
