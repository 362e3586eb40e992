// dlm prompt: one answer from a document's adapter, streamed.

#include <CLI/CLI.hpp>

#include <unistd.h>

#include <array>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/command.h"
#include "cli/consent.h"
#include "cli/console.h"
#include "doc/document.h"
#include "infer/session.h"
#include "store/adapter_versions.h"
#include "store/manifest.h"
#include "store/store_layout.h"
#include "support/interrupt.h"
#include "support/text.h"
#include "train/run_record.h"

namespace dlm {

namespace {

struct PromptOptions {
  std::string path;  // with `gguf`, where only one is given: the question
  std::string query;
  bool has_path = false;
  bool has_query = false;
  std::string gguf;
  std::string lora;
  int64_t max_tokens = 256;
  double temperature = 0.0;
  double top_p = 1.0;
  int64_t top_k = 0;
  uint64_t seed = 0;
  std::string weights = "auto";
  bool base_only = false;
  bool json = false;
};

constexpr std::pair<std::string_view, BaseWeights> kWeightForms[] = {
    {"auto", BaseWeights::kAsTrained},
    {"full", BaseWeights::kFull},
    {"int8", BaseWeights::kInt8},
    {"nf4", BaseWeights::kNF4}};

BaseWeights weights_of(std::string_view name) {
  for (const auto& [known, weights] : kWeightForms) {
    if (name == known) return weights;
  }
  return BaseWeights::kAsTrained;
}

std::string read_standard_input() {
  std::string text;
  std::array<char, 65536> buffer;
  while (true) {
    check_interrupted();
    // Not fread: it would take a signal for the end of the input.
    const ssize_t n = ::read(STDIN_FILENO, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      throw Error(ErrorKind::kIo,
                  std::string("cannot read standard input: ") + std::strerror(errno),
                  "give the question as an argument");
    }
    if (n == 0) break;
    text.append(buffer.data(), static_cast<size_t>(n));
    if (text.size() > (size_t{16} << 20)) {
      throw Error(ErrorKind::kUsage, "the question on standard input is larger than 16 MiB",
                  "give the question as an argument");
    }
  }
  return std::string(trim(text));
}

// A range takes "nan", since it lies neither below nor above.
std::string is_number(const std::string& text) {
  return std::isnan(std::strtod(text.c_str(), nullptr)) ? text + " is not a number" : "";
}

std::string checked_question(std::string question) {
  if (trim(question).empty()) {
    throw Error(ErrorKind::kUsage, "the question is empty",
                "give it as an argument or on standard input");
  }
  if (find_utf8_fault(question)) {
    throw Error(ErrorKind::kUsage, "the question is not UTF-8 text", "convert it to UTF-8");
  }
  return question;
}

// Asks, streams, and prints what --json wants: the answer with `origin` behind it.
int answer(Session& session, const std::string& question,
           const std::optional<std::string>& system_prompt, const PromptOptions& options,
           const GlobalOptions& globals, const std::vector<Json::Member>& origin) {
  if (!session.format().default_template().empty()) {
    warn(default_template_warning(session.format()));
  }
  AnswerOptions answer_options;
  answer_options.max_tokens = options.max_tokens;
  answer_options.sampling.temperature = options.temperature;
  answer_options.sampling.top_p = options.top_p;
  answer_options.sampling.top_k = options.top_k;
  answer_options.sampling.seed = options.seed;
  answer_options.system_prompt = system_prompt;
  const Answer answer = session.answer(question, answer_options, [&](std::string_view text) {
    if (!options.json) write_out(text);
  });
  if (options.json) {
    Json json = Json::object();
    json.set("answer", answer.text);
    json.set("prompt_tokens", answer.prompt_tokens);
    json.set("answer_tokens", answer.answer_tokens);
    json.set("stopped", answer.stopped);
    for (const auto& [key, value] : origin) json.set(key, value);
    write_out(json.dump(2) + "\n");
  } else {
    write_out("\n");
  }
  if (!answer.stopped && globals.verbose) warn("the answer was cut at --max-tokens");
  return 0;
}

// An exported file knows no document: its one text argument is the question.
int prompt_file(const PromptOptions& options, const GlobalOptions& globals) {
  if (options.has_query) {
    throw Error(ErrorKind::kUsage, "with --gguf there is no document",
                "write: dlm prompt --gguf FILE QUESTION");
  }
  if (options.weights != "auto" || options.base_only) {
    throw Error(ErrorKind::kUsage,
                options.base_only ? "--base-only does not go with --gguf"
                                  : "--weights does not go with --gguf",
                options.base_only ? "leave out --lora" : "the file says how its weights are held");
  }
  const std::string question =
      checked_question(options.has_path ? options.path : read_standard_input());
  Device device(globals.num_threads);
  const auto session = Session::open_gguf(options.gguf, options.lora, device);
  return answer(*session, question, std::nullopt, options, globals,
                {{"gguf", Json(options.gguf)},
                 {"adapter", options.lora.empty() ? Json() : Json(options.lora)}});
}

int run_prompt(const PromptOptions& options, const GlobalOptions& globals) {
  if (!options.gguf.empty()) return prompt_file(options, globals);
  if (!options.has_path) {
    throw Error(ErrorKind::kUsage, "path is required",
                "name the document, or an exported file with --gguf");
  }
  if (!options.lora.empty()) {
    throw Error(ErrorKind::kUsage, "--lora is for --gguf",
                "a document's own adapter is used without it");
  }
  const Document document = load_document(options.path);
  const std::string question =
      checked_question(options.has_query ? options.query : read_standard_input());
  const StoreLayout store(home_folder(globals), document.frontmatter.dlm_id);
  fs::path adapter;
  std::optional<RunRecord> trained;
  std::string base_key = document.frontmatter.base_model;
  if (!options.base_only) {
    const auto current = current_version(store);
    if (!current) {
      throw Error(
          ErrorKind::kInference, "the document has not been trained yet",
          "run `dlm train " + options.path + "` first, or ask the base alone with --base-only");
    }
    adapter = *current;
    trained = read_run_record(adapter);
    if (trained) {
      base_key = trained->inputs.base;
    } else if (store.is_initialized()) {
      base_key = read_manifest(store).base_model;
    }
  }
  ConsentRequest consent;
  consent.base = base_key;
  consent.home = home_folder(globals);
  consent.may_ask = false;
  BaseSearch search = base_search();
  if (store.is_initialized()) {
    consent.of_store = read_manifest(store).license_acceptance;
    search.commits = pinned_commits(store);
  }
  require_license(consent);
  const Base base{base_key, locate_base(base_key, search), {}, {}};
  if (trained) require_trained_base(*trained, base.folder);
  Device device(globals.num_threads);
  const auto session = Session::open(base, adapter, device, weights_of(options.weights));
  return answer(*session, question, document.frontmatter.system_prompt, options, globals,
                {{"base_model", Json(base.key)}, {"adapter", Json(adapter.string())}});
}

}  // namespace

Action add_prompt(CLI::App& app, const GlobalOptions& globals) {
  auto options = std::make_shared<PromptOptions>();
  CLI::App* command = app.add_subcommand("prompt", "Ask the trained document one question");
  auto* path = command->add_option("path", options->path, "The document")->type_name("PATH");
  auto* query =
      command->add_option("query", options->query, "The question (default: standard input)")
          ->type_name("TEXT");
  command
      ->add_option("--gguf", options->gguf,
                   "Ask this exported model instead of a document; then only the question follows")
      ->type_name("FILE");
  command->add_option("--lora", options->lora, "With --gguf: a GGUF LoRA file for it")
      ->type_name("FILE");
  command->add_option("--max-tokens", options->max_tokens, "At most so many tokens of answer")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 20))
      ->capture_default_str();
  command
      ->add_option("--temp", options->temperature,
                   "Sampling temperature; 0 takes the likeliest token")
      ->check(CLI::Range(0.0, 10.0))
      ->check(is_number)
      ->capture_default_str();
  command
      ->add_option("--top-p", options->top_p,
                   "Sample from the likeliest tokens of this probability")
      ->check(CLI::Range(0.0, 1.0))
      ->check(is_number)
      ->capture_default_str();
  command
      ->add_option("--top-k", options->top_k, "Sample from so many likeliest tokens; 0 means all")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 30))
      ->capture_default_str();
  command->add_option("--seed", options->seed, "Seed of the sampling")->capture_default_str();
  std::vector<std::string> weights;
  for (const auto& [name, form] : kWeightForms) weights.emplace_back(name);
  command
      ->add_option(
          "--weights", options->weights,
          "How the base is held: full, int8 (8 bits), nf4 (4 bits), or as it was trained on")
      ->check(CLI::IsMember(weights))
      ->capture_default_str();
  command->add_flag("--base-only", options->base_only, "Ask the base without the adapter");
  command->add_flag("--json", options->json, "Print answer and counts as JSON");
  return [options, path, query, &globals] {
    options->has_path = path->count() > 0;
    options->has_query = query->count() > 0;
    return run_prompt(*options, globals);
  };
}

}  // namespace dlm
