#include "train/run_files.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "data/source_report.h"
#include "store/training_state.h"
#include "support/hash.h"

namespace dlm {

Json number_or_null(double value) {
  return std::isfinite(value) ? Json(value) : Json();
}

Json banner_json(const TrainResult& result, const PinnedVersions& pinned) {
  Json banner = Json::object();
  banner.set("determinism_class", result.determinism_class);
  banner.set("determinism_notes", Json::array());
  Json pins = Json::array();
  for (const auto& [key, value] : pinned) {
    if (value) pins.push_back(Json::array({Json(key), Json(*value)}));
  }
  banner.set("pinned_versions", std::move(pins));
  banner.set("plan", plan_json(result.plan));
  banner.set("resumed_at_step", result.resumed_at_step);
  banner.set("run_id", result.run_id);
  banner.set("seed", result.plan.seed);
  return banner;
}

Json delta_json(const Document& document, const Manifest& manifest) {
  Json fresh = Json::array();
  Json unchanged = Json::array();
  Json removed = Json::array();
  std::set<std::string> now;
  for (const Section& section : document.sections) {
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

Json step_json(const StepReport& step) {
  Json json = Json::object();
  json.set("grad_norm", number_or_null(step.grad_norm));
  json.set("loss", number_or_null(step.loss));
  json.set("lr", step.rate);
  json.set("step", step.step);
  json.set("tokens_per_sec", static_cast<double>(step.tokens) / std::max(1e-9, step.seconds));
  json.set("val_loss", Json());
  return json;
}

Json eval_json(const EvalReport& eval) {
  Json json = Json::object();
  json.set("answers_exact", eval.exact_rows);
  json.set("answers_total", eval.num_rows);
  json.set("drift", number_or_null(eval.drift));
  json.set("step", eval.step);
  json.set("val_loss", number_or_null(eval.loss));
  return json;
}

Json complete_json(const TrainResult& result, const std::string& summary_path) {
  Json done = Json::object();
  done.set("adapter_version", result.adapter_version);
  done.set("early_stopped", false);
  done.set("elapsed_seconds", result.seconds);
  done.set("run_id", result.run_id);
  done.set("steps", result.loop.steps);
  done.set("summary_path", summary_path);
  return done;
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
  json.set("source_directives", source_records_json(r.sources));
  json.set("steps", r.loop.steps);
  return json;
}

void write_version_files(const fs::path& folder, LoraAdapter& adapter, const RunState& state,
                         RunRecord& record, const TrainingPlan& plan, const Prepared& p) {
  adapter.save(folder);
  record.adapter_sha256 = sha256_file_hex(folder / kAdapterWeightsFile);
  record.adapter_config_sha256 = sha256_file_hex(folder / kAdapterConfigFile);
  for (const char* name : {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
                           "chat_template.jinja"}) {
    if (path_exists(p.base.folder / name)) {
      write_file_atomic(folder / name, read_file(p.base.folder / name));
    }
  }
  write_file_atomic(folder / kDocumentFile, p.document_bytes);
  write_training_state(folder, run_state_value(state));
  Json versions = Json::object();
  for (const auto& [key, value] : pinned_versions(record.parts.back().machinery)) {
    versions.set(key, value ? Json(*value) : Json());
  }
  write_file_atomic(folder / kPinnedVersionsFile, versions.dump_sorted(2) + "\n");
  write_file_atomic(folder / kTrainingRunFile,
                    run_record_json(record, plan_json(plan)).dump_sorted(2) + "\n");
}

Json train_result_json(const TrainResult& r) {
  Json json = Json::object();
  json.set("trained", r.trained);
  json.set("plan", plan_json(r.plan));
  if (!r.sources.empty()) json.set("source_directives", source_records_json(r.sources));
  if (!r.trained) return json;
  json.set("run_id", r.run_id);
  json.set("adapter_version", r.adapter_version);
  json.set("adapter_path", r.adapter_path.string());
  json.set("adapter_sha256", r.adapter_sha256);
  json.set("log_path", r.log_path.string());
  json.set("summary_path", r.summary_path.string());
  json.set("steps", r.loop.steps);
  json.set("resumed_at_step", r.resumed_at_step);
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
