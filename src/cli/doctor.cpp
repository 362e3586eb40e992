// dlm doctor: what this machine offers and what training on it would look like; with --bench,
// measured.

#include <fmt/format.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include <memory>

#include "bases/registry.h"
#include "cli/command.h"
#include "cli/console.h"
#include "engine/cpu/gemm.h"
#include "support/progress.h"
#include "support/text.h"
#include "support/version.h"
#include "train/benchmark.h"
#include "train/file_benchmark.h"
#include "train/machine.h"
#include "train/plan.h"

namespace dlm {

namespace {

struct DoctorOptions {
  std::string base = "dlm-nano";
  std::string gguf;
  bool bench = false;
  bool json = false;
};

std::string processor_name() {
  try {
    const std::string text = read_file("/proc/cpuinfo", size_t{16} << 20);
    for (const std::string_view line : split(text, '\n')) {
      if (!line.starts_with("model name")) continue;
      const size_t colon = line.find(':');
      if (colon != std::string_view::npos) return std::string(trim(line.substr(colon + 1)));
    }
  } catch (const Error&) {
    // Without the file the name stays unknown.
  }
  return "unknown processor";
}

std::string platform_name() {
  utsname names{};
  if (uname(&names) != 0) return "unknown";
  return std::string(names.sysname) + " " + names.release;
}

uint64_t total_memory_bytes() {
  return static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) *
         static_cast<uint64_t>(sysconf(_SC_PAGE_SIZE));
}

// The plan of a document of a dozen pairs on that base, with nothing written in it.
TrainingPlan sample_plan(const ModelConfig& shapes, Device& device) {
  const Frontmatter defaults;
  PlanInput in;
  in.frontmatter = &defaults;
  in.model = &shapes;
  in.num_rows = in.num_chat_rows = 12;
  in.num_tokens = 12 * 50;
  in.longest_row = 60;
  in.num_general_rows = 192;
  in.general_tokens = 192 * 30;
  in.machine_has_bf16 = has_bf16_products(device.tier());
  in.num_threads = device.pool().num_threads();
  in.memory_bytes = available_memory_bytes();
  in.program_bytes = resident_bytes();
  in.gflops = measure_gflops(device, device.preferred_dtype());
  return make_plan(in);
}

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
  const ModelConfig shapes = shapes_of(known_base(options.base));
  Device device(globals.num_threads);
  if (!globals.quiet && !options.json) {
    say("bench: " + options.base +
        ": five rounds of a training step, beside the matrix products alone");
  }
  BenchmarkOptions bench_options;
  bench_options.base_key = options.base;
  const BenchmarkResult result = run_benchmark(shapes, device, bench_options);
  if (options.json) {
    write_out(benchmark_json(result).dump(2) + "\n");
  } else {
    write_out(benchmark_text(result));
  }
  return 0;
}

int run_doctor(const DoctorOptions& options, const GlobalOptions& globals) {
  if (!options.gguf.empty() && !options.bench) {
    throw Error(ErrorKind::kUsage, "--gguf is for --bench", "write --bench --gguf FILE");
  }
  if (!options.gguf.empty()) return run_file_bench(options, globals);
  if (options.bench) return run_bench(options, globals);
  const ModelConfig shapes = shapes_of(known_base(options.base));
  Device device(globals.num_threads);
  const bool bf16 = has_bf16_products(device.tier());
  const char* determinism = "strong";  // products keep their bits on every tier (engine/cpu/gemm.h)
  std::optional<TrainingPlan> plan;
  std::string refusal;
  try {
    plan = sample_plan(shapes, device);
  } catch (const Error& e) {
    refusal = e.message();
  }
  if (options.json) {
    Json capabilities = Json::object();
    capabilities.set("backend", "cpu");
    capabilities.set("device_name", "CPU (" + processor_name() + ")");
    capabilities.set("cpu_cores", usable_cores());
    capabilities.set("threads", device.pool().num_threads());
    capabilities.set("instruction_set", isa_name(device.tier()));
    capabilities.set("best_instruction_set", isa_name(best_isa_tier()));
    capabilities.set("supports_bf16", bf16);
    capabilities.set("ram_gb", static_cast<double>(total_memory_bytes()) / 1073741824.0);
    capabilities.set("available_gb", static_cast<double>(available_memory_bytes()) / 1073741824.0);
    capabilities.set("onednn_version", onednn_version());
    capabilities.set("dlm_version", kVersion);
    capabilities.set("platform", platform_name());
    capabilities.set("determinism_class", determinism);
    capabilities.set("telemetry", "none");
    Json json = Json::object();
    json.set("capabilities", std::move(capabilities));
    json.set("base", options.base);
    json.set("plan", plan ? plan_json(*plan) : Json());
    json.set("plan_error", refusal.empty() ? Json() : Json(refusal));
    write_out(json.dump(2) + "\n");
    return 0;
  }
  std::string text;
  const auto line = [&](const char* label, const std::string& value) {
    text += fmt::format("{:<16}{}\n", label, value);
  };
  line("Backend:", "cpu (" + processor_name() + ")");
  line("CPU cores:",
       fmt::format("{} usable, {} threads", usable_cores(), device.pool().num_threads()));
  line("Instructions:",
       fmt::format("{} (best here: {})", isa_name(device.tier()), isa_name(best_isa_tier())));
  line("RAM:", fmt::format("{:.1f} GB, {:.1f} GB free",
                           static_cast<double>(total_memory_bytes()) / 1073741824.0,
                           static_cast<double>(available_memory_bytes()) / 1073741824.0));
  line("oneDNN:", onednn_version());
  line("Determinism:", determinism);
  line("Telemetry:", "none: this program never connects by itself");
  line("Platform:", platform_name());
  text += "\n";
  if (plan) {
    text += fmt::format("Suggested plan (a dozen pairs on {}):\n", options.base);
    text += fmt::format("  adapter      {}, rank {}\n", word_of(kAdapterKindWords, plan->adapter),
                        plan->rank);
    text += fmt::format("  precision    {}\n", plan->dtype == DType::kBF16 ? "bf16" : "fp32");
    text += fmt::format("  steps        {} at rate {:g}\n", plan->steps, plan->learning_rate);
    text += fmt::format("  est. memory  {}\n", format_bytes(plan->predicted_peak_bytes));
    text += fmt::format("  est. time    {}\n", format_duration(plan->predicted_seconds));
  } else {
    text += "Plan refused: " + refusal + "\n";
  }
  text +=
      "\nRun `dlm doctor --json` for machine-readable output, `dlm doctor --bench` to measure.\n";
  write_out(text);
  return 0;
}

}  // namespace

Action add_doctor(CLI::App& app, const GlobalOptions& globals) {
  auto options = std::make_shared<DoctorOptions>();
  CLI::App* command = app.add_subcommand("doctor", "Show what this machine offers, and measure it");
  command->add_option("--base", options->base, "Base whose shapes are planned or measured")
      ->capture_default_str()
      ->type_name("KEY");
  command->add_flag("--bench", options->bench, "Measure training and decoding with random weights");
  command->add_option("--gguf", options->gguf, "With --bench: measure prompting of this GGUF file")
      ->type_name("FILE");
  command->add_flag("--json", options->json, "Print JSON");
  return [options, &globals] { return run_doctor(*options, globals); };
}

}  // namespace dlm
