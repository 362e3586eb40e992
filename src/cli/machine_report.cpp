#include "cli/machine_report.h"

#include <fmt/format.h>
#include <sys/utsname.h>

#include <cstdlib>

#include "engine/cpu/gemm.h"
#include "support/progress.h"
#include "support/text.h"
#include "support/threads.h"
#include "support/version.h"

namespace dlm {

namespace {

constexpr const char* kMeasure = "run `dlm doctor --bench`";
// Products keep their bits on every tier (engine/cpu/gemm.h).
constexpr const char* kDeterminism = "strong";

double gib(uint64_t bytes) {
  return static_cast<double>(bytes) / 1073741824.0;
}

std::string platform_name() {
  utsname names{};
  if (uname(&names) != 0) return "unknown";
  return std::string(names.sysname) + " " + names.release;
}

std::string counted(int count, const char* what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

std::string gpu_text(const Gpu& gpu) {
  std::string text = gpu.vendor.empty() ? gpu.name : gpu.vendor + " " + gpu.name;
  return text + " at " + gpu.place;
}

Json gpu_json(const Gpu& gpu) {
  const auto or_null = [](const std::string& text) { return text.empty() ? Json() : Json(text); };
  return Json::object({{"vendor", or_null(gpu.vendor)},
                       {"name", Json(gpu.name)},
                       {"place", Json(gpu.place)},
                       {"driver", or_null(gpu.driver)},
                       {"is_used", Json(false)}});
}

// The posture of other programs' telemetry switches; this program has none to switch.
Json telemetry_json() {
  Json json = Json::object();
  for (const char* name :
       {"HF_HUB_DISABLE_TELEMETRY", "DO_NOT_TRACK", "TRANSFORMERS_NO_ADVISORY_WARNINGS"}) {
    const char* value = std::getenv(name);
    json.set(name, value == nullptr ? "<unset>" : value);
  }
  json.set("wandb_installed", "False");
  return json;
}

std::string roofs_text(const KnownRoofs& known) {
  if (!known.roofs) {
    return "not measured: " + std::string(kMeasure) +
           (known.note.empty() ? "" : " (" + known.note + ")");
  }
  const Roofs& roofs = *known.roofs;
  std::vector<std::string> parts;
  for (const auto& [type, rate] : roofs.gflops) {
    parts.push_back(fmt::format("{} {:.0f} GFLOP/s", type, rate));
  }
  parts.push_back(roofs.read_gbs > 0 ? fmt::format("reading {:.1f} GB/s", roofs.read_gbs)
                                     : std::string("reading not measured"));
  std::string text = join(parts, ", ") + "; measured " + roofs.measured_at;
  if (roofs.measured_by == "train") {
    text += std::string(", shortly, by a training run: ") + kMeasure + " for more";
  }
  return text;
}

}  // namespace

MachineFacts read_machine(int num_threads, const fs::path& home, const fs::path& hub_cache) {
  MachineFacts facts;
  facts.processor = read_processor();
  facts.usable_threads = usable_cores();
  facts.num_threads = choose_num_threads(num_threads);
  facts.tier = isa_tier();
  facts.best_tier = best_isa_tier();
  const char* forced = std::getenv("DLM_ISA");
  facts.is_tier_forced = forced != nullptr && *forced != '\0';
  facts.memory = read_memory();
  facts.home = home;
  facts.home_free_bytes = free_disk_bytes(home);
  facts.hub_cache = hub_cache;
  if (!hub_cache.empty()) facts.hub_free_bytes = free_disk_bytes(hub_cache);
  facts.gpus = list_gpus();
  facts.roofs = read_roofs(home, roof_key(facts.num_threads));
  return facts;
}

Json capabilities_json(const MachineFacts& f) {
  Json c = Json::object();
  c.set("backend", "cpu");
  c.set("device_name", "CPU (" + f.processor.name + ")");
  for (const char* key : {"sm", "rocm_arch", "vram_gb", "unified_memory_gb"}) c.set(key, Json());
  c.set("cpu_cores", f.usable_threads);
  c.set("ram_gb", gib(f.memory.total));
  c.set("supports_bf16", has_bf16_products(f.tier));
  c.set("supports_fp16", false);
  for (const char* key : {"has_flash_attention", "has_xformers", "has_triton", "has_mlx"}) {
    c.set(key, false);
  }
  c.set("has_bitsandbytes", true);  // 4- and 8-bit bases, by kernels of our own
  for (const char* key : {"torch_version", "accelerate_version", "cuda_version", "rocm_version"}) {
    c.set(key, Json());
  }
  c.set("platform", platform_name());
  c.set("determinism_class", kDeterminism);
  c.set("telemetry_posture", telemetry_json());
  // Ours.
  c.set("telemetry", "none");
  c.set("physical_cores", f.processor.num_cores);
  c.set("hardware_threads", f.processor.num_threads);
  c.set("threads", f.num_threads);
  c.set("instruction_set", isa_name(f.tier));
  c.set("best_instruction_set", isa_name(f.best_tier));
  c.set("instruction_set_forced", f.is_tier_forced);
  c.set("available_gb", gib(f.memory.available));
  c.set("memory_limit_gb", f.memory.limit > 0 ? Json(gib(f.memory.limit)) : Json());
  Json disk = Json::array();
  disk.push_back(Json::object({{"holds", Json("stores")},
                               {"path", Json(f.home.string())},
                               {"free_gb", Json(gib(f.home_free_bytes))}}));
  if (!f.hub_cache.empty()) {
    disk.push_back(Json::object({{"holds", Json("bases")},
                                 {"path", Json(f.hub_cache.string())},
                                 {"free_gb", Json(gib(f.hub_free_bytes))}}));
  }
  c.set("disk", std::move(disk));
  Json gpus = Json::array();
  for (const Gpu& gpu : f.gpus) gpus.push_back(gpu_json(gpu));
  c.set("gpus", std::move(gpus));
  c.set("onednn_version", onednn_version());
  c.set("dlm_version", kVersion);
  c.set("roofs", f.roofs.roofs ? roofs_json(*f.roofs.roofs) : Json());
  c.set("roofs_note", f.roofs.note.empty() ? Json() : Json(f.roofs.note));
  return c;
}

std::string machine_text(const MachineFacts& f) {
  std::string text;
  const auto line = [&](const char* label, const std::string& value) {
    text += fmt::format("{:<16}{}\n", label, value);
  };
  line("Backend:", "cpu (" + f.processor.name + ")");
  line("CPU cores:",
       fmt::format("{}, {}; {} usable, {} taken", counted(f.processor.num_cores, "core"),
                   counted(f.processor.num_threads, "thread"), f.usable_threads, f.num_threads));
  line("Instructions:",
       fmt::format("{}{} (best here: {})", isa_name(f.tier),
                   f.is_tier_forced ? ", forced by DLM_ISA" : "", isa_name(f.best_tier)));
  line("RAM:",
       format_bytes(f.memory.total) + ", " + format_bytes(f.memory.available) + " available" +
           (f.memory.limit > 0 ? "; the control group allows " + format_bytes(f.memory.limit)
                               : std::string()));
  line("Disk:", format_bytes(f.home_free_bytes) + " free for stores (" + f.home.string() + ")");
  if (!f.hub_cache.empty()) {
    line("", format_bytes(f.hub_free_bytes) + " free for bases (" + f.hub_cache.string() + ")");
  }
  if (f.gpus.empty()) line("GPUs:", "none found");
  for (const Gpu& gpu : f.gpus) {
    line(&gpu == &f.gpus.front() ? "GPUs:" : "", gpu_text(gpu) + ": not used by this version");
  }
  line("Roofs:", roofs_text(f.roofs));
  line("Determinism:", kDeterminism);
  line("Telemetry:", "none: this program never connects by itself");
  line("Versions:", fmt::format("dlm {}, oneDNN {}", kVersion, onednn_version()));
  line("Platform:", platform_name());
  return text;
}

}  // namespace dlm
