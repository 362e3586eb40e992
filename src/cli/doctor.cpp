// dlm doctor: what this machine offers, and what training a document on it would be; with --bench,
// measured.

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <memory>

#include "bases/hub_settings.h"
#include "bases/registry.h"
#include "cli/command.h"
#include "cli/console.h"
#include "cli/forecast_report.h"
#include "cli/machine_report.h"
#include "export/base_probes.h"
#include "support/clock.h"
#include "support/text.h"
#include "train/base_refusals.h"
#include "train/benchmark.h"
#include "train/file_benchmark.h"
#include "train/forecast.h"

namespace dlm {

namespace {

struct DoctorOptions {
  std::string path;
  std::optional<std::string> base;
  std::string gguf;
  bool bench = false;
  bool json = false;
};

const BaseInfo& known_base(const std::string& key) {
  if (const BaseInfo* base = find_base(key)) return *base;
  const auto nearest = nearest_word(key, base_keys());
  throw Error(ErrorKind::kBase, "base \"" + key + "\" is not known",
              nearest ? "did you mean " + *nearest + "?" : "known: " + join(base_keys(), ", "));
}

// An exported file as it lies: no training, since blocks do not train.
int run_file_bench(const DoctorOptions& options, const GlobalOptions& globals) {
  Device device(globals.num_threads);
  const FileBenchmark result = run_file_benchmark(options.gguf, device);
  if (options.json) {
    write_out(file_benchmark_json(result).dump(2) + "\n");
  } else {
    write_out(file_benchmark_text(result));
  }
  return 0;
}

int run_bench(const DoctorOptions& options, const GlobalOptions& globals) {
  const std::string base = options.base.value_or("dlm-nano");
  const ModelConfig shapes = shapes_of(known_base(base));
  Device device(globals.num_threads);
  if (!globals.quiet && !options.json) {
    say("bench: " + base + ": five rounds of a training step, beside the matrix products alone");
  }
  BenchmarkOptions bench_options;
  bench_options.base_key = base;
  const BenchmarkResult result = run_benchmark(shapes, device, bench_options);
  const Roofs roofs = measure_roofs(device, result.read_bandwidth_gbs.median, system_clock());
  if (options.json) {
    write_out(benchmark_json(result).dump(2) + "\n");
  } else {
    write_out(benchmark_text(result));
  }
  const fs::path home = home_folder(globals);
  write_roofs(home, roofs);
  if (!globals.quiet) say("recorded: " + roofs_path(home).string());
  return 0;
}

// Of a base alone: what is in its way, whatever the document.
void tell_base(const std::string& base, const GlobalOptions& globals, Json* json,
               std::string& text) {
  BaseSurroundings around;
  around.home = home_folder(globals);
  around.search = base_search();
  around.hub = HubSettings::of_process();
  const std::vector<Refusal> refusals =
      base_refusals(base, find_presence(base, around.search), around);
  if (json != nullptr) {
    json->set("base", base);
    json->set("would_train", refusals.empty());
    json->set("refusals", refusals_json(refusals));
  }
  text += "\nBase " + base + ": " +
          (refusals.empty() ? "nothing is in its way; give a document for its time and memory\n"
                            : "would be refused:\n" + refusals_text(refusals));
}

// The probes that would stop training.
std::vector<Refusal> probe_refusals(const std::string& base, const BaseSearch& search,
                                    const fs::path& home) {
  ProbeRequest asked;
  asked.base = base;
  asked.search = search;
  asked.home = home;
  asked.skips_exports = true;
  std::vector<Refusal> refusals;
  const ProbeReport report = probe_base(asked);
  for (const Probe& probe : report.faults()) {
    refusals.push_back({"probe", probe.name + ": " + probe.detail, probe.remedy, {}});
  }
  return refusals;
}

void tell_document(const DoctorOptions& options, const GlobalOptions& globals, Json* json,
                   std::string& text) {
  ForecastRequest request;
  request.document = options.path;
  request.home = home_folder(globals);
  request.bases = base_search();
  request.hub = HubSettings::of_process();
  request.base = options.base;
  request.clock = &system_clock();
  request.on_warning = [](const Warning& w) { warn(w.place.to_string() + ": " + w.message); };
  request.probe = [&](const std::string& base, const BaseSearch& search) {
    return probe_refusals(base, search, request.home);
  };
  Device device(globals.num_threads);
  const Forecast forecast = forecast_document(request, device);
  if (json != nullptr) set_forecast(forecast, options.path, *json);
  text += "\n" + forecast_text(forecast, options.path);
}

int run_doctor(const DoctorOptions& options, const GlobalOptions& globals) {
  if (!options.gguf.empty() && !options.bench) {
    throw Error(ErrorKind::kUsage, "--gguf is for --bench", "write --bench --gguf FILE");
  }
  if (options.bench && !options.path.empty()) {
    throw Error(ErrorKind::kUsage, "--bench measures a base, not a document",
                "leave the document out; --base names whose shapes to measure");
  }
  if (!options.gguf.empty()) return run_file_bench(options, globals);
  if (options.bench) return run_bench(options, globals);
  const MachineFacts facts =
      read_machine(globals.num_threads, home_folder(globals), base_search().hub_cache);
  std::string text = machine_text(facts);
  Json json = Json::object();
  json.set("capabilities", capabilities_json(facts));
  json.set("plan", Json());
  json.set("plan_error", Json());
  if (!options.path.empty()) {
    tell_document(options, globals, options.json ? &json : nullptr, text);
  } else if (options.base) {
    tell_base(*options.base, globals, options.json ? &json : nullptr, text);
  }
  write_out(options.json ? json.dump(2) + "\n" : text);
  return 0;
}

}  // namespace

Action add_doctor(CLI::App& app, const GlobalOptions& globals) {
  auto options = std::make_shared<DoctorOptions>();
  CLI::App* command = app.add_subcommand(
      "doctor", "Show what this machine offers and what training a document on it would be");
  command->add_option("path", options->path, "A document to plan for, on its base and all others")
      ->type_name("PATH");
  command
      ->add_option("--base", options->base,
                   "With a document: plan for this base alone; with --bench: whose shapes to "
                   "measure (dlm-nano)")
      ->type_name("KEY");
  command->add_flag("--bench", options->bench,
                    "Measure training and decoding with random weights, and record the roofs");
  command->add_option("--gguf", options->gguf, "With --bench: measure prompting of this GGUF file")
      ->type_name("FILE");
  command->add_flag("--json", options->json, "Print JSON");
  return [options, &globals] { return run_doctor(*options, globals); };
}

}  // namespace dlm
