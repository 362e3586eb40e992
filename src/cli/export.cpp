// dlm export: a trained document as files that other programs run, proved and recorded.

#include <CLI/CLI.hpp>

#include <cmath>
#include <memory>
#include <set>

#include "cli/command.h"
#include "cli/console.h"
#include "export/check.h"
#include "export/export_fault.h"
#include "export/gguf_export.h"
#include "support/progress.h"
#include "support/text.h"

namespace dlm {

namespace {

struct ExportOptions {
  std::string path;
  std::optional<std::string> check;
  ExportFlags flags;
  std::optional<double> max_kl;
  std::optional<double> min_agreement;
  bool json = false;
};

// What a person sees while it runs.
class ExportConsole {
 public:
  explicit ExportConsole(const GlobalOptions& globals) : globals_(globals) {}

  ExportEvents events() {
    ExportEvents events;
    events.on_warning = [this](const std::string& text) {
      finish();
      warn(text);
    };
    events.on_note = [this](const std::string& text) {
      finish();
      if (!globals_.quiet) say(text);
    };
    events.on_command = [this](const std::vector<std::string>& words) {
      if (globals_.verbose) say("$ " + join(words, " "));
    };
    events.on_progress = [this](const std::string& label, uint64_t done, uint64_t all) {
      if (globals_.quiet) return;
      if (!bar_) {
        bar_ = std::make_unique<ProgressWriter>(progress_target(stderr), system_clock(), label, all,
                                                "B");
      }
      bar_->update(done);
    };
    return events;
  }
  void finish() { bar_.reset(); }

 private:
  const GlobalOptions& globals_;
  std::unique_ptr<ProgressWriter> bar_;
};

void say_proof(const ProofResult& proof) {
  const std::string text = proof_text(proof);
  for (const std::string_view line : split(text, '\n')) {
    if (!line.empty()) say(line);
  }
}

void say_parity(const TemplateParity& parity) {
  const std::string name = parity.dialect.empty() ? parity.file : parity.dialect;
  say("template: " + name + ", " + std::to_string(parity.num_equal()) + " of " +
      std::to_string(parity.cases.size()) + " conversations equal the base's own, token for token");
  for (const std::string& difference : parity.differences()) say("  differs: " + difference);
  if (parity.folds_system) {
    say("  the base knows no system role: its text stands before the first question");
  }
}

void say_result(const ExportResult& r) {
  say("exported: " + r.folder.string() + " in " + format_duration(r.seconds));
  for (const ExportArtifact& a : r.manifest.artifacts) {
    say("  " + a.path + "  " + format_bytes(a.size_bytes));
  }
  for (const ProofResult& proof : r.proofs) say_proof(proof);
  if (r.parity) say_parity(*r.parity);
  if (r.file_parity) say_parity(*r.file_parity);
  if (r.plan.target != ExportTarget::kOllama) say("target: " + r.manifest.target);
  if (r.manifest.ollama_name) {
    say("ollama: " + *r.manifest.ollama_name + " (v" + *r.ollama_version + ")");
  }
  if (r.smoke_line) say("smoke: " + *r.smoke_line);
  if (!r.next_step.empty()) say("next: " + r.next_step);
}

Json result_json(const ExportResult& r) {
  Json json = Json::object();
  json.set("folder", r.folder.string());
  json.set("manifest", parse_json(export_manifest_text(r.manifest)));
  json.set("proof", proofs_json(r.proofs));
  json.set("template", r.parity ? r.parity->to_json() : Json());
  json.set("template_in_model", r.file_parity ? r.file_parity->to_json() : Json());
  json.set("smoke", r.smoke_line ? Json(*r.smoke_line) : Json());
  json.set("next_step", r.next_step.empty() ? Json() : Json(r.next_step));
  json.set("seconds", r.seconds);
  return json;
}

int run_check(const ExportOptions& options, const GlobalOptions& globals) {
  CheckRequest request;
  request.folder = *options.check;
  request.document = options.path;
  request.home = home_folder(globals);
  request.bases = base_search();
  request.max_kl = options.max_kl;
  request.min_agreement = options.min_agreement;
  request.num_threads = globals.num_threads;
  ExportConsole console(globals);
  const CheckResult result = check_export(request, console.events());
  if (options.json) {
    Json faults = Json::array();
    for (const std::string& fault : result.faults) faults.push_back(fault);
    Json json = Json::object();
    json.set("holds", result.faults.empty());
    json.set("faults", std::move(faults));
    json.set("proof", result.proofs.empty() ? Json() : proofs_json(result.proofs));
    json.set("no_proof_reason",
             result.no_proof_reason.empty() ? Json() : Json(result.no_proof_reason));
    Json templates = Json::array();
    for (const TemplateParity& parity : result.templates) templates.push_back(parity.to_json());
    json.set("templates", std::move(templates));
    write_out(json.dump(2) + "\n");
  } else if (!globals.quiet) {
    for (const ProofResult& proof : result.proofs) say_proof(proof);
    for (const TemplateParity& parity : result.templates) say_parity(parity);
    if (!result.no_proof_reason.empty()) say("proof not repeated: " + result.no_proof_reason);
    if (result.faults.empty()) {
      say("checked: " + std::to_string(result.manifest.artifacts.size()) +
          " files are as they were written");
    }
  }
  if (result.faults.empty()) return 0;
  throw Error(ErrorKind::kExport, join(result.faults, "; "), "export the document again",
              {options.check.value(), 0, 0});
}

int run_command(const ExportOptions& options, const GlobalOptions& globals) {
  for (const auto& limit : {options.max_kl, options.min_agreement}) {
    if (limit && std::isnan(*limit)) {
      throw Error(ErrorKind::kUsage, "a limit of the proof is no number", "give a number");
    }
  }
  if (options.check) return run_check(options, globals);
  if (options.path.empty()) {
    throw Error(ErrorKind::kUsage, "no document is given",
                "dlm export PATH, or dlm export --check FOLDER");
  }
  ExportRequest request;
  request.document = options.path;
  request.home = home_folder(globals);
  request.bases = base_search();
  request.flags = options.flags;
  request.max_kl = options.max_kl;
  request.min_agreement = options.min_agreement;
  request.num_threads = globals.num_threads;
  request.clock = &system_clock();
  ExportConsole console(globals);
  const ExportResult result = run_export(request, console.events());
  console.finish();
  if (options.json) {
    write_out(result_json(result).dump(2) + "\n");
  } else if (!globals.quiet) {
    say_result(result);
  }
  return 0;
}

// An export is checked as it was made: what says how to make one has no meaning then.
void refuse_with_check(const CLI::App& command) {
  static const std::set<std::string> kTaken = {"path", "--check", "--max-kl", "--min-agreement",
                                               "--json"};
  for (const CLI::Option* option : command.get_options()) {
    if (option->count() == 0 || kTaken.contains(option->get_name())) continue;
    throw Error(ErrorKind::kUsage, "--check goes with no " + option->get_name(),
                "leave it out: an export is checked as it was made");
  }
}

}  // namespace

Action add_export(CLI::App& app, const GlobalOptions& globals) {
  auto options = std::make_shared<ExportOptions>();
  ExportFlags& f = options->flags;
  CLI::App* command = app.add_subcommand("export", "Write a trained document for other programs");
  command->add_option("path", options->path, "The document")->type_name("PATH");
  command->add_option("--target", f.target, "ollama, llama-server, vllm, mlx-serve or hf")
      ->type_name("TARGET")
      ->capture_default_str();
  command
      ->add_option("--quant", f.quant,
                   "Q4_K_M, Q5_K_M, Q6_K, Q8_0 or F16 (default: the document's, else Q4_K_M)")
      ->type_name("QUANT");
  command->add_flag("--merged", f.merged, "Work the adapter into the weights");
  command->add_flag("--adapter-form", f.adapter_form,
                    "Keep the adapter a file of its own beside the base");
  command->add_flag("--dequantize", f.dequantize,
                    "Consent to merging an adapter that was trained on 4 bits");
  command->add_option("--name", f.name, "Name of the model in Ollama, or served by vLLM")
      ->type_name("NAME");
  command->add_flag("--no-template", f.no_template, "Write no chat template");
  command->add_flag("--no-smoke", f.no_smoke, "Do not ask the exported model a question");
  command->add_flag("--no-imatrix", f.no_imatrix, "Quantize without an importance matrix");
  command->add_option("--draft", f.draft, "Name this draft model in the Modelfile")
      ->type_name("TAG");
  command->add_flag("--no-draft", f.no_draft, "Name no draft model");
  command->add_flag("--skip-ollama", f.skip_ollama, "Write the files, do not call ollama");
  command->add_option("--adapter", f.adapter, "Which adapter, of a document of several")
      ->type_name("NAME");
  command
      ->add_option("--adapter-mix", f.adapter_mix,
                   "A weighted sum of adapters, as tone:0.7,facts:1")
      ->type_name("SPEC");
  command
      ->add_option("--adapter-mix-method", f.adapter_mix_method,
                   "linear (the exact sum) or svd (cut to the largest rank)")
      ->type_name("METHOD");
  command->add_flag("--emit-sway-json", f.emit_sway_json, "Not offered; says why");
  command
      ->add_option("--max-kl", options->max_kl,
                   "Most divergence from the trained model that the proof allows, in nats a token")
      ->check(CLI::Range(0.0, 100.0));
  command
      ->add_option("--min-agreement", options->min_agreement,
                   "Least share of tokens with the same likeliest successor, 0 to 1")
      ->check(CLI::Range(0.0, 1.0));
  command
      ->add_option("--check", options->check,
                   "Check an export's files and repeat its proof, and export nothing")
      ->type_name("FOLDER");
  command->add_flag("--json", options->json, "Print the result as JSON");
  return [options, &globals, command] {
    try {
      if (options->check) refuse_with_check(*command);
      return run_command(*options, globals);
    } catch (const ExportFault& fault) {
      return report_as(fault, fault.prefix());
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::kUsage) return report(error, "export");
      throw;
    }
  };
}

}  // namespace dlm
