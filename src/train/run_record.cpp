#include "train/run_record.h"

#include <algorithm>
#include <cmath>

#include "bases/hub_name.h"
#include "data/source_report.h"
#include "store/adapter_versions.h"
#include "store/lock_file.h"
#include "support/error.h"
#include "support/hash.h"
#include "train/plan_record.h"
#include "train/prepare.h"
#include "train/replay.h"

namespace dlm {

namespace {

constexpr const char* kBaseCommit = "base_commit";

Json part_json(const RunPart& part) {
  Json json = Json::object();
  json.set("dlm_version", part.machinery.program);
  json.set("instruction_set", part.machinery.instruction_set);
  json.set("onednn_version", part.machinery.onednn);
  json.set("plan", part.plan);
  json.set("until_step", part.until_step);
  return json;
}

RunPart part_from(const Json& json) {
  RunPart part;
  part.plan = json.at("plan");
  part.until_step = json.at("until_step").as_int();
  part.machinery = {json.at("dlm_version").as_string(), json.at("onednn_version").as_string(),
                    json.at("instruction_set").as_string()};
  return part;
}

RunRecord record_from(const Json& json) {
  RunRecord r;
  r.run_id = json.at("run_id").as_int();
  r.started_at = json.at("started_at").as_string();
  r.ended_at = json.at("ended_at").as_string();
  r.inputs.base = json.at("base_model").as_string();
  r.inputs.base_revision = json.at("base_model_revision").as_string();
  r.inputs.rows_sha256 = json.at("rows_sha256").as_string();
  r.inputs.prompt_sha256 = json.at("prompt_sha256").as_string();
  r.inputs.tokenizer_sha256 = json.at("tokenizer_sha256").as_string();
  if (const Json* replayed = json.find("replayed")) {
    for (const Json& reference : replayed->items()) {
      r.inputs.replayed.push_back(reference.as_string());
    }
  }
  if (const Json* commit = json.find("base_commit")) r.base_commit = commit->as_string();
  r.document_sha256 = json.at("document_sha256").as_string();
  r.base_weights_stamp = json.at("base_weights_stamp").as_string();
  r.general_rows_sha256 = json.at("general_rows_sha256").as_string();
  r.adapter_sha256 = json.at("adapter_sha256").as_string();
  r.adapter_config_sha256 = json.at("adapter_config_sha256").as_string();
  r.determinism_class = json.at("determinism_class").as_string();
  if (!json.at("max_steps").is_null()) r.max_steps = json.at("max_steps").as_int();
  for (const Json& part : json.at("parts").items()) r.parts.push_back(part_from(part));
  if (r.parts.empty()) throw Error(ErrorKind::kFormat, "\"parts\" is empty");
  r.micro_batch_tokens = json.at("micro_batch_tokens").as_int();
  r.kept.step = json.at("kept_step").as_int();
  r.kept.exact_rows = json.at("exact_rows").as_int();
  r.kept.num_rows = json.at("judged_rows").as_int();
  if (!json.at("final_train_loss").is_null()) {
    r.final_train_loss = json.at("final_train_loss").as_double();
  }
  if (!json.at("final_val_loss").is_null()) {
    r.final_val_loss = json.at("final_val_loss").as_double();
  }
  r.summary_path = json.at("summary_path").as_string();
  if (const Json* tags = json.find("weight_distribution"); tags != nullptr && tags->is_object()) {
    r.weight_distribution.emplace();
    for (const auto& [tag, counts] : tags->members()) {
      for (const auto& [value, count] : counts.members()) {
        (*r.weight_distribution)[tag][value] = count.as_int();
      }
    }
  }
  // Records of before there were sources lack these.
  if (const Json* allows = json.find("allows_secrets")) r.allows_secrets = allows->as_bool();
  if (const Json* sources = json.find("source_directives")) {
    for (const Json& source : sources->items()) {
      SourceRecord& back = r.sources.emplace_back();
      back.path = source.at("path").as_string();
      back.sha256 = source.at("sha256").as_string();
    }
  }
  return r;
}

}  // namespace

Json run_record_json(const RunRecord& r, Json plan) {
  Json json = Json::object();
  json.set("adapter_config_sha256", r.adapter_config_sha256);
  json.set("adapter_sha256", r.adapter_sha256);
  json.set("allows_secrets", r.allows_secrets);
  json.set("base_commit", r.base_commit);
  json.set("base_model", r.inputs.base);
  json.set("base_model_revision", r.inputs.base_revision);
  json.set("base_weights_stamp", r.base_weights_stamp);
  json.set("determinism_class", r.determinism_class);
  json.set("document_sha256", r.document_sha256);
  json.set("ended_at", r.ended_at);
  json.set("exact_rows", r.kept.exact_rows);
  json.set("final_train_loss", r.final_train_loss);
  json.set("final_val_loss", json_or_null(r.final_val_loss));
  json.set("general_rows_sha256", r.general_rows_sha256);
  json.set("judged_rows", r.kept.num_rows);
  json.set("kept_step", r.kept.step);
  json.set("max_steps", r.max_steps ? Json(*r.max_steps) : Json());
  json.set("micro_batch_tokens", r.micro_batch_tokens);
  Json parts = Json::array();
  for (const RunPart& part : r.parts) parts.push_back(part_json(part));
  json.set("parts", std::move(parts));
  json.set("plan", std::move(plan));
  json.set("prompt_sha256", r.inputs.prompt_sha256);
  Json replayed = Json::array();
  for (const std::string& reference : r.inputs.replayed) replayed.push_back(reference);
  json.set("replayed", std::move(replayed));
  json.set("rows_sha256", r.inputs.rows_sha256);
  json.set("run_id", r.run_id);
  json.set("source_directives", source_records_json(r.sources));
  json.set("started_at", r.started_at);
  json.set("steps", r.steps());
  json.set("summary_path", r.summary_path);
  if (r.weight_distribution) {
    Json tags = Json::object();
    for (const auto& [tag, counts] : *r.weight_distribution) {
      Json values = Json::object();
      for (const auto& [value, count] : counts) values.set(value, count);
      tags.set(tag, std::move(values));
    }
    json.set("weight_distribution", std::move(tags));
  }
  json.set("tokenizer_sha256", r.inputs.tokenizer_sha256);
  json.set("use_qlora", recorded_base_format(r.parts.back().plan) == BaseFormat::qlora());
  return json;
}

std::optional<RunRecord> read_run_record(const fs::path& version) {
  const fs::path path = version / kTrainingRunFile;
  if (!path_exists(path)) return std::nullopt;
  const Json json = parse_json(read_file(path, size_t{16} << 20), path.string());
  if (json.find("parts") == nullptr) return std::nullopt;
  try {
    return record_from(json);
  } catch (const Error& e) {
    throw e.at({path.string()});
  }
}

void record_run(Manifest& manifest, const RunRecord& record, int64_t version,
                const Document& document) {
  PinnedVersions pinned = pinned_versions(record.parts.back().machinery);
  pin_commit(pinned, record.base_commit);
  TrainingRun run;
  run.run_id = record.run_id;
  run.started_at = record.started_at;
  run.ended_at = record.ended_at;
  run.adapter_version = version;
  run.base_model_revision = record.inputs.base_revision;
  run.seed = record.seed();
  run.steps = record.steps();
  run.final_train_loss = record.final_train_loss;
  run.final_val_loss = record.final_val_loss;
  run.pinned_versions = pinned;
  run.summary_path = record.summary_path;
  run.weight_distribution = record.weight_distribution;
  manifest.training_runs.push_back(std::move(run));
  manifest.updated_at = record.ended_at;
  manifest.base_model = record.inputs.base;
  manifest.base_model_revision = record.inputs.base_revision;
  manifest.base_model_sha256 = record.inputs.base_revision;
  manifest.adapter_version = version;
  manifest.adapter_sha256 = record.adapter_sha256;
  manifest.adapter_config_sha256 = record.adapter_config_sha256;
  manifest.content_hashes.clear();
  for (const Section& section : document.sections) {
    const std::string id = section_id(section);
    manifest.content_hashes[id] = id;
  }
  manifest.pinned_versions = pinned;
}

bool record_current_version(Manifest& manifest, const StoreLayout& store, const StoreLock& lock,
                            const ReplayWarning& on_warning) {
  const int64_t current = current_version_number(store);
  if (current <= manifest.adapter_version) return false;
  const fs::path version = store.version(current);
  const auto record = read_run_record(version);
  const fs::path document = version / kDocumentFile;
  if (!record || !path_exists(document)) return false;
  const Document trained = parse_document(read_document(document), document.string());
  record_history(store, trained, manifest, record->run_id, record->ended_at, lock, on_warning);
  record_run(manifest, *record, current, trained);
  return true;
}

PinnedVersions pinned_versions(const Machinery& m) {
  return own_pinned_versions(m.program, m.onednn, m.instruction_set);
}

void pin_commit(PinnedVersions& versions, const std::string& commit) {
  if (!commit.empty()) versions[kBaseCommit] = commit;
}

std::map<std::string, std::string, std::less<>> pinned_commits(const StoreLayout& store) {
  if (!store.is_initialized()) return {};
  const Manifest manifest = read_manifest(store);
  const auto found = manifest.pinned_versions.find(kBaseCommit);
  if (found == manifest.pinned_versions.end() || !found->second) return {};
  if (!is_hub_name(manifest.base_model)) return {};  // a key is pinned by the registry
  return {{manifest.base_model, *found->second}};
}

std::string weights_stamp(const fs::path& base_folder) {
  std::vector<std::string> lines;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(base_folder, error)) {
    if (entry.path().extension() != ".safetensors") continue;
    const auto time = entry.last_write_time(error).time_since_epoch().count();
    lines.push_back(entry.path().filename().string() + " " +
                    std::to_string(entry.file_size(error)) + " " + std::to_string(time) + "\n");
  }
  std::sort(lines.begin(), lines.end());
  std::string stamp;
  for (const std::string& line : lines) stamp += line;
  return stamp;
}

void require_trained_base(const RunRecord& record, const fs::path& base_folder) {
  if (weights_stamp(base_folder) == record.base_weights_stamp) return;
  const std::string found = weights_digest(base_folder);
  if (found == record.inputs.base_revision) return;
  throw Error(ErrorKind::kInference,
              "the base's weights have the digest " + found.substr(0, 12) +
                  "…, the adapter was trained on " + record.inputs.base_revision.substr(0, 12) +
                  "…",
              "put the former base back, or train the document on this one with --update-lock",
              {base_folder.string()});
}

}  // namespace dlm
