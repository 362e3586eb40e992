// dlm pretrain: a tiny base of one's own from text.

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <memory>

#include "cli/command.h"
#include "cli/console.h"
#include "cli/step_progress.h"
#include "train/pretrain.h"

namespace dlm {

namespace {

struct PretrainOptions {
  std::vector<std::string> texts;
  std::vector<std::string> held_out;
  std::string out;
  PretrainRequest request;
  std::optional<int64_t> tokens;
  bool json = false;
};

class PretrainConsole {
 public:
  explicit PretrainConsole(bool quiet) : quiet_(quiet) {}

  PretrainEvents events() {
    PretrainEvents e;
    if (quiet_) return e;
    e.on_note = [](const std::string& text) { say(text); };
    e.on_plan = [this](const PretrainPlan& plan) {
      say(fmt::format(
          "plan: {} parameters, {} steps, {} tokens; a pass has {} tokens of text and "
          "{} of conversations",
          plan.num_parameters, plan.steps, plan.tokens, plan.text_tokens, plan.chat_tokens));
      if (plan.resumed_at_step > 0) {
        say(fmt::format("resumed: at step {}", plan.resumed_at_step));
      }
      say(fmt::format("cost: about {} of training, {} of memory",
                      format_duration(plan.predicted_seconds),
                      format_bytes(plan.predicted_peak_bytes)));
      steps_total_ = plan.steps;
    };
    e.on_step = [this](const PretrainStep& step) {
      steps_.update(step.step, steps_total_, step.tokens, step.seconds, step.loss);
    };
    return e;
  }

  void finish() { steps_.finish(); }

 private:
  bool quiet_;
  int64_t steps_total_ = 0;
  StepProgress steps_{"pretrain"};
};

int run_pretrain(PretrainOptions& options, const GlobalOptions& globals) {
  PretrainRequest& request = options.request;
  request.texts.assign(options.texts.begin(), options.texts.end());
  request.held_out.assign(options.held_out.begin(), options.held_out.end());
  request.out = options.out;
  request.tokens = options.tokens;
  request.num_threads = globals.num_threads;
  request.clock = &system_clock();
  PretrainConsole console(globals.quiet);
  const PretrainResult result = pretrain(request, console.events());
  console.finish();
  if (options.json) {
    write_out(pretrain_result_json(result).dump(2) + "\n");
    return 0;
  }
  if (!result.is_done) return 0;
  for (const auto& [name, bits] : result.bits_per_byte) {
    say(fmt::format("held out: {:.4f} bits per byte of {}", bits, name));
  }
  say("base: " + options.out);
  return 0;
}

}  // namespace

Action add_pretrain(CLI::App& app, const GlobalOptions& globals) {
  auto options = std::make_shared<PretrainOptions>();
  PretrainRequest& request = options->request;
  BaseShape& shape = request.shape;
  CLI::App* command = app.add_subcommand("pretrain", "Make a tiny base of your own from text");
  command
      ->add_option("texts", options->texts,
                   "Files, or folders with .txt, .md and .dlm files; twice: trained twice a pass")
      ->required()
      ->type_name("TEXT");
  command->add_option("--out", options->out, "Folder of the base; the run can be resumed there")
      ->required()
      ->type_name("FOLDER");
  command
      ->add_option("--held-out", options->held_out,
                   "A file to measure by; without any, the last 3% of each text")
      ->type_name("FILE")
      ->allow_extra_args(false);
  const auto count = [&](const char* name, int64_t& value, const char* what, int64_t least,
                         int64_t most) {
    command->add_option(name, value, what)
        ->check(CLI::Range(least, most))
        ->type_name("N")
        ->capture_default_str();
  };
  count("--vocab", shape.vocab_size, "Tokens of the vocabulary", 272, 65536);
  count("--context", shape.context, "Longest text in tokens", 16, 32768);
  count("--hidden", shape.hidden_size, "Width", 16, 4096);
  count("--ffn", shape.intermediate_size, "Width of the MLPs", 16, 16384);
  count("--layers", shape.num_layers, "Layers", 1, 128);
  count("--heads", shape.num_heads, "Heads of attention", 1, 128);
  count("--kv-heads", shape.num_kv_heads, "Heads of keys and values", 1, 128);
  command
      ->add_option("--tokens", options->tokens,
                   "Tokens to train on; without it one pass of the texts")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 50))
      ->type_name("N");
  count("--tokens-per-step", request.tokens_per_step, "Tokens of an optimizer step", 64, 1 << 22);
  command->add_option("--learning-rate", request.learning_rate, "Highest rate")
      ->check(CLI::Range(1e-7, 1.0))
      ->capture_default_str();
  command
      ->add_option("--chat-share", request.chat_share,
                   "Share of the tokens that is conversations, so that adapters can end a turn")
      ->check(CLI::Range(0.0, 0.9))
      ->capture_default_str();
  command->add_option("--seed", request.seed, "Seed of weights and order")
      ->check(CLI::Range(uint64_t{0}, uint64_t{4294967295}))
      ->capture_default_str();
  command
      ->add_option("--checkpoint-every", request.checkpoint_seconds, "Seconds between checkpoints")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 30))
      ->type_name("SECONDS")
      ->capture_default_str();
  command->add_flag("--fresh", request.fresh, "Forget a run that was stopped in that folder");
  command->add_flag("--dry-run", request.dry_run, "Show the plan and its cost, train nothing");
  command->add_flag("--json", options->json, "Print the result as JSON");
  return [options, &globals] { return run_pretrain(*options, globals); };
}

}  // namespace dlm
