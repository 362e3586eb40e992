#include "train/run.h"

#include <sys/sysinfo.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <set>

#include <fmt/format.h>

#include "data/rows.h"
#include "data/token_rows.h"
#include "doc/document.h"
#include "engine/cpu/gemm.h"
#include "formats/safetensors.h"
#include "formats/torch_pt.h"
#include "infer/session.h"
#include "store/adapter_versions.h"
#include "store/manifest.h"
#include "store/store_layout.h"
#include "store/store_lock.h"
#include "store/training_state.h"
#include "support/error.h"
#include "support/hash.h"
#include "support/version.h"
#include "train/machine.h"
#include "train/run_log.h"

namespace dlm {

namespace {

// Everything that a run reads before its first step.
struct Prepared {
  Document document;
  Base base;
  ModelConfig model_config;
  std::unique_ptr<ChatFormat> format;
  DocumentRows rows;
  std::vector<TokenRow> token_rows;
};

std::string base_name(const TrainRequest& request, const Document& document) {
  return request.base.value_or(document.frontmatter.base_model);
}

Prepared prepare(const TrainRequest& request, const TrainEvents& events) {
  Prepared p;
  p.document = load_document(request.document);
  if (events.on_warning) {
    for (const Warning& warning : p.document.warnings) events.on_warning(warning);
  }
  check_supported(p.document.frontmatter);
  p.base = open_base(base_name(request, p.document), request.bases);
  p.model_config = load_model_config(p.base.folder);
  p.rows = rows_of(p.document);
  p.format = std::make_unique<ChatFormat>(ChatFormat::load(p.base.folder));
  check_vocabulary(*p.format, p.model_config, p.base.folder);
  p.token_rows = tokenize_rows(p.rows, *p.format, p.document.frontmatter.system_prompt,
                               max_row_tokens(p.document.frontmatter, p.model_config),
                               request.document.string());
  return p;
}

// Adapter, optimizer state and logs, with room for a temporary copy of each.
void check_disk(const StoreLayout& store, int64_t adapter_parameters) {
  const uint64_t adapter = static_cast<uint64_t>(adapter_parameters) * 4;
  const uint64_t needed = 2 * (adapter * 4) + (uint64_t{16} << 20);
  const uint64_t available = free_disk_bytes(store.root());
  if (available >= needed) return;
  throw Error(ErrorKind::kIo,
              fmt::format("a training run needs {:.1f} MB of disk, {:.1f} MB are free",
                          static_cast<double>(needed) / 1e6, static_cast<double>(available) / 1e6),
              "free some space, or put the store elsewhere with --home",
              {store.root().string(), 0, 0});
}

bool is_strong(const TrainingPlan& plan) {
  // Products keep their bits in bf16 but on AMX, where the last tile's height shows, and in f32
  // from AVX-512 on; below that oneDNN's do not.
  if (plan.dtype == DType::kBF16) return isa_tier() != IsaTier::kAmx;
  return isa_tier() >= IsaTier::kAvx512;
}

// Sizes of the weight files together.
uint64_t weight_bytes(const fs::path& folder) {
  uint64_t bytes = 0;
  const SafetensorsSet set = SafetensorsSet::open(folder);
  for (const SafetensorsFile& file : set.files()) {
    bytes += fs::file_size(file.path());
  }
  return bytes;
}

PlanInput plan_input(const TrainRequest& request, const Prepared& p, Device& device) {
  PlanInput in;
  in.frontmatter = &p.document.frontmatter;
  in.model = &p.model_config;
  in.base_key = p.base.key;
  in.num_rows = static_cast<int64_t>(p.token_rows.size());
  in.num_chat_rows = p.rows.num_chat;
  for (const TokenRow& row : p.token_rows) {
    const auto size = static_cast<int64_t>(row.tokens.size());
    in.num_tokens += size;
    in.longest_row = std::max(in.longest_row, size);
  }
  if (p.format->has_chat_template()) {
    // Before they exist: a prompt and an answer of about 15 tokens each.
    in.num_general_rows = static_cast<int64_t>(mixed_general_prompts().size());
    in.general_tokens = 30 * in.num_general_rows;
  }
  in.max_steps = request.max_steps;
  in.seed = request.seed;
  in.machine_has_bf16 = has_bf16_products(device.tier());
  in.num_threads = device.pool().num_threads();
  in.memory_bytes = available_memory_bytes();
  in.max_memory_bytes = request.max_memory_bytes.value_or(0);
  in.weight_file_bytes = weight_bytes(p.base.folder);
  in.gflops = measure_gflops(device, in.machine_has_bf16 ? DType::kBF16 : DType::kF32);
  in.program_bytes = resident_bytes();
  return in;
}

LoopRows split_rows(const Prepared& p, const TrainingPlan& plan, GeneralRows general) {
  LoopRows rows;
  rows.general = std::move(general);
  std::vector<TokenRow> conversations;
  for (const TokenRow& row : p.token_rows) {
    const DocumentRow& source = p.rows.rows[row.source];
    if (plan.holds_out && is_validation_row(source, plan.seed, 0.1)) {
      rows.judged.push_back(row);
      continue;
    }
    rows.train.push_back(row);
    if (source.kind == RowKind::kChat) conversations.push_back(row);
  }
  if (rows.judged.empty()) rows.judged = conversations.empty() ? rows.train : conversations;
  if (rows.train.empty()) rows.train = rows.judged;
  return rows;
}

TorchValue training_state(TrainingLoop& loop, LoraAdapter& adapter, const TrainResult& result,
                          const std::string& base_revision) {
  TorchValue::Dict optimizer;
  TorchValue::Dict weights;
  const std::vector<Parameter*> parameters = adapter.parameters();
  const auto tensor = [](const Tensor& t) {
    return TorchValue(TorchTensor{
        "F32", t.shape(), {static_cast<const std::byte*>(t.data()), t.size_bytes()}, nullptr});
  };
  for (size_t i = 0; i < parameters.size(); ++i) {
    // The second factor lies transposed, [rank, out], in both.
    weights.emplace_back(parameters[i]->name, tensor(loop.last_weights()[i]));
    optimizer.emplace_back(
        parameters[i]->name,
        TorchValue::Dict{{"exp_avg", tensor(loop.optimizer().first_moments()[i])},
                         {"exp_avg_sq", tensor(loop.optimizer().second_moments()[i])}});
  }
  TorchValue::Dict state;
  state.reserve(10);
  state.emplace_back("producer", "dlm");
  state.emplace_back("version", 1);
  state.emplace_back("global_step", result.loop.steps);
  state.emplace_back("kept_step", result.loop.kept.step);
  state.emplace_back("planned_steps", result.plan.steps);
  state.emplace_back("seed", result.plan.seed);
  state.emplace_back("base_model_revision", base_revision);
  state.emplace_back("optimizer_steps", loop.optimizer().num_steps());
  state.emplace_back("weights", std::move(weights));
  state.emplace_back("optimizer", std::move(optimizer));
  return state;
}

Json number_or_null(double value) {
  return std::isfinite(value) ? Json(value) : Json();
}

Json run_json(const TrainResult& r, const Prepared& p, const std::string& started) {
  Json json = Json::object();
  json.set("base_model", p.base.key);
  json.set("base_model_revision", p.base.revision);
  json.set("dlm_version", kVersion);
  json.set("document_sha256", p.document.sha256_of_bytes);
  json.set("exact_rows", r.loop.kept.exact_rows);
  json.set("instruction_set", isa_name(isa_tier()));
  json.set("judged_rows", r.loop.kept.num_rows);
  json.set("kept_step", r.loop.kept.step);
  json.set("plan", plan_json(r.plan));
  json.set("run_id", r.run_id);
  json.set("started_at", started);
  json.set("steps", r.loop.steps);
  json.set("use_qlora", false);
  return json;
}

// The files of a version folder.
void write_version_files(const fs::path& folder, LoraAdapter& adapter, TrainingLoop& loop,
                         const TrainResult& result, const Prepared& p, const PinnedVersions& pinned,
                         const std::string& started) {
  adapter.save(folder);
  for (const char* name : {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
                           "chat_template.jinja"}) {
    if (path_exists(p.base.folder / name)) {
      write_file_atomic(folder / name, read_file(p.base.folder / name));
    }
  }
  write_training_state(folder, training_state(loop, adapter, result, p.base.revision));
  Json versions = Json::object();
  for (const auto& [key, value] : pinned) versions.set(key, value ? Json(*value) : Json());
  write_file_atomic(folder / kPinnedVersionsFile, versions.dump_sorted(2) + "\n");
  write_file_atomic(folder / kTrainingRunFile, run_json(result, p, started).dump_sorted(2) + "\n");
}

Json summary_json(const TrainResult& r) {
  Json json = Json::object();
  json.set("adapter_version", r.adapter_version);
  json.set("answers_exact", r.loop.kept.exact_rows);
  json.set("answers_total", r.loop.kept.num_rows);
  json.set("determinism_class", r.determinism_class);
  json.set("drift", number_or_null(r.loop.kept.drift));
  json.set("duration_seconds", r.seconds);
  json.set("early_stopped", false);
  json.set("final_train_loss", number_or_null(r.loop.mean_loss));
  const bool held_out = r.plan.holds_out;
  json.set("final_val_loss", held_out ? number_or_null(r.loop.kept.loss) : Json());
  json.set("final_val_perplexity", held_out ? number_or_null(std::exp(r.loop.kept.loss)) : Json());
  json.set("kept_step", r.loop.kept.step);
  json.set("probes", Json::array());
  for (const char* key :
       {"retention_cpt", "retention_loss", "retention_loss_delta", "retention_sft",
        "train_loss_cpt", "train_loss_sft", "val_loss_cpt", "val_loss_sft"}) {
    json.set(key, Json());
  }
  json.set("run_id", r.run_id);
  json.set("seed", r.plan.seed);
  json.set("source_directives", Json::array());
  json.set("steps", r.loop.steps);
  return json;
}

Json delta_json(const Prepared& p, const Manifest& manifest) {
  Json fresh = Json::array();
  Json unchanged = Json::array();
  Json removed = Json::array();
  std::set<std::string> now;
  for (const Section& section : p.document.sections) {
    const std::string id = section_id(section);
    if (!now.insert(id).second) continue;
    (manifest.content_hashes.contains(id) ? unchanged : fresh).push_back(id);
  }
  for (const auto& [id, hash] : manifest.content_hashes) {
    if (!now.contains(id)) removed.push_back(id);
  }
  Json delta = Json::object();
  delta.set("new", std::move(fresh));
  delta.set("removed", std::move(removed));
  delta.set("unchanged", std::move(unchanged));
  return delta;
}

Manifest open_manifest(const StoreLayout& store, const Prepared& p, const TrainRequest& request) {
  if (store.is_initialized()) return read_manifest(store);
  Manifest manifest;
  manifest.dlm_id = p.document.frontmatter.dlm_id;
  manifest.created_at = format_utc(request.clock->unix_seconds());
  manifest.updated_at = manifest.created_at;
  manifest.base_model = p.base.key;
  manifest.base_model_revision = p.base.revision;
  manifest.source_path = fs::absolute(request.document).lexically_normal().string();
  return manifest;
}

LockFile lock_record(const Prepared& p, const TrainResult& result, const PinnedVersions& pinned,
                     const Clock& clock) {
  LockFile lock;
  lock.created_at = format_utc_us(clock.unix_us());
  lock.dlm_id = p.document.frontmatter.dlm_id;
  lock.dlm_sha256 = p.document.sha256_of_bytes;
  lock.base_model_revision = p.base.revision;
  lock.base_model_sha256 = p.base.revision;
  lock.pinned_versions = pinned;
  lock.seed = result.plan.seed;
  lock.determinism_class = result.determinism_class == "strict" ? "strong" : "best-effort";
  lock.last_run_id = result.run_id;
  return lock;
}

}  // namespace

TrainResult train_document(const TrainRequest& request, const TrainEvents& events) {
  const Prepared p = prepare(request, events);
  TrainResult result;
  if (p.token_rows.empty()) return result;

  Device device(request.num_threads);
  result.plan = make_plan(plan_input(request, p, device));
  result.determinism_class = is_strong(result.plan) ? "strict" : "best_effort";
  if (request.dry_run) {
    if (events.on_plan) events.on_plan(result.plan);
    return result;
  }

  const StoreLayout store(request.home, p.document.frontmatter.dlm_id);
  const StoreLock lock = StoreLock::acquire(store, *request.clock);
  store.ensure();
  remove_leftovers(store, lock);
  Manifest manifest = open_manifest(store, p, request);
  result.run_id = manifest.next_run_id();
  const PinnedVersions pinned =
      own_pinned_versions(kVersion, onednn_version(), isa_name(device.tier()));
  const LockFile record = lock_record(p, result, pinned, *request.clock);
  const LockDecision decision = check_lock_file(store.dlm_lock(), record, request.lock_mode);
  require_lock(decision, store.dlm_lock());
  if (events.on_note && decision.action == LockDecision::Action::kProceedWithWarnings) {
    for (const LockMismatch& mismatch : decision.mismatches) {
      if (mismatch.severity == Severity::kWarn) events.on_note("lock: " + mismatch.message);
    }
  }
  // Told only now: a run that may not start shows no plan.
  if (events.on_plan) events.on_plan(result.plan);

  const auto decoder = Decoder::load(p.base.folder, result.plan.dtype);
  LoraOptions options = lora_options(result.plan);
  options.base_name = p.base.key;
  options.base_revision = p.base.revision;
  const auto adapter =
      LoraAdapter::create(*decoder, options, static_cast<uint64_t>(result.plan.seed));
  check_disk(store, adapter->num_parameters());

  const int64_t started = request.clock->unix_seconds();
  const int64_t began_ns = request.clock->monotonic_ns();
  result.log_path = store.run_log(result.run_id, started);
  result.summary_path = store.run_summary(result.run_id, started);
  // A run that does not commit leaves no log behind either.
  struct LogFile {
    const TrainResult& result;
    ~LogFile() {
      std::error_code ignored;
      if (!result.trained) fs::remove(result.log_path, ignored);
    }
  } log_file{result};
  RunLog log(result.log_path, *request.clock);
  Json banner = Json::object();
  banner.set("determinism_class", result.determinism_class);
  banner.set("determinism_notes", Json::array());
  Json pins = Json::array();
  for (const auto& [key, value] : pinned) {
    if (value) pins.push_back(Json::array({Json(key), Json(*value)}));
  }
  banner.set("pinned_versions", std::move(pins));
  banner.set("plan", plan_json(result.plan));
  banner.set("run_id", result.run_id);
  banner.set("seed", result.plan.seed);
  log.write("banner", std::move(banner));
  log.write("delta", delta_json(p, manifest));

  GeneralRows general;
  if (p.format->has_chat_template()) {
    general = make_general_rows(*decoder, device, *p.format, p.document.frontmatter.system_prompt,
                                events.on_general_row);
  }
  if (general.mixed.empty()) result.plan.general_rows_per_step = 0;
  TrainingLoop loop(*decoder, *adapter, device, result.plan,
                    split_rows(p, result.plan, std::move(general)));
  LoopEvents loop_events;
  loop_events.on_step = [&](const StepReport& step) {
    Json json = Json::object();
    json.set("grad_norm", number_or_null(step.grad_norm));
    json.set("loss", number_or_null(step.loss));
    json.set("lr", step.rate);
    json.set("step", step.step);
    json.set("tokens_per_sec", static_cast<double>(step.tokens) / std::max(1e-9, step.seconds));
    json.set("val_loss", Json());
    log.write("step", std::move(json));
    if (events.on_step) events.on_step(step, result.plan);
  };
  loop_events.on_eval = [&](const EvalReport& eval) {
    Json json = Json::object();
    json.set("answers_exact", eval.exact_rows);
    json.set("answers_total", eval.num_rows);
    json.set("drift", number_or_null(eval.drift));
    json.set("step", eval.step);
    json.set("val_loss", number_or_null(eval.loss));
    log.write("eval", std::move(json));
    if (events.on_eval) events.on_eval(eval);
  };
  result.loop = loop.run(loop_events);
  result.seconds = static_cast<double>(request.clock->monotonic_ns() - began_ns) / 1e9;

  PendingVersion pending(store, {}, lock);
  result.adapter_version = pending.number();
  write_version_files(pending.folder(), *adapter, loop, result, p, pinned, format_utc(started));
  result.adapter_sha256 = sha256_file_hex(pending.folder() / kAdapterWeightsFile);
  const std::string config_sha256 = sha256_file_hex(pending.folder() / kAdapterConfigFile);
  result.adapter_path = pending.commit();
  result.trained = true;

  write_file_atomic(result.summary_path, summary_json(result).dump_sorted(2) + "\n");
  TrainingRun run;
  run.run_id = result.run_id;
  run.started_at = format_utc(started);
  run.ended_at = format_utc(request.clock->unix_seconds());
  run.adapter_version = result.adapter_version;
  run.base_model_revision = p.base.revision;
  run.seed = result.plan.seed;
  run.steps = result.loop.steps;
  run.final_train_loss = result.loop.mean_loss;
  if (result.plan.holds_out) run.final_val_loss = result.loop.kept.loss;
  run.pinned_versions = pinned;
  run.summary_path = store.relative(result.summary_path);
  manifest.training_runs.push_back(std::move(run));
  manifest.updated_at = format_utc(request.clock->unix_seconds());
  manifest.base_model = p.base.key;
  manifest.base_model_revision = p.base.revision;
  manifest.base_model_sha256 = p.base.revision;
  manifest.adapter_version = result.adapter_version;
  manifest.adapter_sha256 = result.adapter_sha256;
  manifest.adapter_config_sha256 = config_sha256;
  manifest.content_hashes.clear();
  for (const Section& section : p.document.sections) {
    const std::string id = section_id(section);
    manifest.content_hashes[id] = id;
  }
  manifest.pinned_versions = pinned;
  write_manifest(store, manifest, lock);
  if (decision.should_write) write_lock_file(store.dlm_lock(), record);
  Json done = Json::object();
  done.set("adapter_version", result.adapter_version);
  done.set("early_stopped", false);
  done.set("elapsed_seconds", result.seconds);
  done.set("run_id", result.run_id);
  done.set("steps", result.loop.steps);
  done.set("summary_path", store.relative(result.summary_path));
  log.write("run_complete", std::move(done));
  log.sync();
  return result;
}

Json train_result_json(const TrainResult& r) {
  Json json = Json::object();
  json.set("trained", r.trained);
  json.set("plan", plan_json(r.plan));
  if (!r.trained) return json;
  json.set("run_id", r.run_id);
  json.set("adapter_version", r.adapter_version);
  json.set("adapter_path", r.adapter_path.string());
  json.set("adapter_sha256", r.adapter_sha256);
  json.set("log_path", r.log_path.string());
  json.set("summary_path", r.summary_path.string());
  json.set("steps", r.loop.steps);
  json.set("final_train_loss", number_or_null(r.loop.mean_loss));
  json.set("answers_exact", r.loop.kept.exact_rows);
  json.set("answers_total", r.loop.kept.num_rows);
  json.set("drift", number_or_null(r.loop.kept.drift));
  json.set("kept_step", r.loop.kept.step);
  json.set("seconds", r.seconds);
  json.set("determinism_class", r.determinism_class);
  return json;
}

}  // namespace dlm
