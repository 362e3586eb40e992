// Manifest fields in both directions. Defaults stand in the struct; what a reader accepts beyond
// what we write (absent keys, Python's NaN words) is accepted here and nowhere else.
#include "store/manifest.h"

#include <algorithm>

#include "support/error.h"

namespace dlm {
namespace {

constexpr int64_t kSchemaVersion = 1;
const std::string kCorrupt = "manifest is corrupt: ";
constexpr const char* kHint =
    "restore manifest.json from a backup; the adapters beside it are not affected";

class ManifestReader {
 public:
  explicit ManifestReader(const fs::path& path)
      : refuse_([path](const std::string& reason) {
          throw Error(
              ErrorKind::kStore, "manifest is corrupt: " + reason,
              "restore manifest.json from a backup; the adapters beside it are not affected",
              {path.string()});
        }),
        path_(path) {}

  Manifest read(std::string_view text) const {
    const Json json = parse(text);
    JsonFields fields(json, "", refuse_);
    check_version(fields);
    Manifest manifest;
    manifest.dlm_id = fields.text("dlm_id");
    manifest.created_at = fields.time("created_at");
    manifest.updated_at = fields.time("updated_at");
    manifest.base_model = fields.text("base_model");
    manifest.base_model_revision = fields.text_or_null("base_model_revision");
    manifest.base_model_sha256 = fields.text_or_null("base_model_sha256");
    manifest.adapter_version = fields.integer("adapter_version", 0, 0);
    manifest.adapter_sha256 = fields.text_or_null("adapter_sha256");
    manifest.adapter_config_sha256 = fields.text_or_null("adapter_config_sha256");
    manifest.adapter_versions = fields.counts("adapter_versions");
    manifest.training_runs =
        list<TrainingRun>(fields, "training_runs", [&](JsonFields& item) { return run(item); });
    manifest.exports = list<ExportRecord>(fields, "exports",
                                          [&](JsonFields& item) { return export_record(item); });
    manifest.content_hashes = fields.texts("content_hashes");
    manifest.pinned_versions = fields.versions("pinned_versions");
    manifest.source_path = fields.text_or_null("source_path");
    manifest.license_acceptance = read_license(fields, "license_acceptance", refuse_);
    fields.finish();
    return manifest;
  }

 private:
  Json parse(std::string_view text) const {
    JsonLimits limits;
    limits.max_depth = 16;
    limits.allow_nan_words = true;
    try {
      return parse_json(text, path_.string(), limits);
    } catch (const Error& error) {
      throw Error(ErrorKind::kStore, kCorrupt + error.message(), kHint, error.place());
    }
  }

  void check_version(JsonFields& fields) const {
    const int64_t version = fields.integer("schema_version", INT64_MIN, kSchemaVersion);
    if (version == kSchemaVersion) return;
    throw Error(ErrorKind::kStore,
                "schema_version " + std::to_string(version) + " requires migration to " +
                    std::to_string(kSchemaVersion),
                "the store was written by another version of dlm: use that one, or a newer one",
                {path_.string()});
  }

  template <typename T, typename ReadItem>
  std::vector<T> list(JsonFields& fields, const char* key, ReadItem read_item) const {
    std::vector<T> result;
    const Json* value = fields.value(key);
    if (value == nullptr) return result;
    if (!value->is_array()) fields.refuse(key, "a list");
    for (size_t i = 0; i < value->items().size(); ++i) {
      JsonFields item(value->items()[i], std::string(key) + "[" + std::to_string(i) + "]", refuse_);
      result.push_back(read_item(item));
      item.finish();
    }
    return result;
  }

  TrainingRun run(JsonFields& fields) const {
    TrainingRun run;
    run.run_id = fields.integer("run_id", 1);
    run.started_at = fields.time("started_at");
    run.ended_at = fields.time_or_null("ended_at");
    run.adapter_version = fields.integer("adapter_version", 1);
    run.base_model_revision = fields.text_or_null("base_model_revision");
    run.seed = fields.integer("seed", INT64_MIN);
    run.steps = fields.integer("steps", 0, 0);
    run.final_train_loss = fields.number_or_null("final_train_loss");
    run.final_val_loss = fields.number_or_null("final_val_loss");
    run.status = fields.text("status", "completed");
    if (run.status != "running" && run.status != "completed" && run.status != "failed" &&
        run.status != "cancelled") {
      fields.refuse("status", "running, completed, failed or cancelled");
    }
    run.pinned_versions = fields.versions("pinned_versions");
    run.summary_path = fields.text_or_null("summary_path");
    run.adapter_name = fields.text_or_null("adapter_name");
    const Json* weights = fields.value("weight_distribution");
    if (weights == nullptr || weights->is_null()) return run;
    JsonFields tags(*weights, fields.path("weight_distribution"), refuse_);
    run.weight_distribution.emplace();
    for (const auto& [tag, values] : weights->members()) {
      (*run.weight_distribution)[tag] = tags.counts(tag.c_str());
    }
    return run;
  }

  ExportRecord export_record(JsonFields& fields) const {
    ExportRecord record;
    record.exported_at = fields.time("exported_at");
    record.target = fields.text("target", "ollama");
    record.quant = fields.text("quant");
    record.merged = fields.boolean("merged", false);
    record.ollama_name = fields.text_or_null("ollama_name");
    record.ollama_version = fields.text_or_null("ollama_version");
    record.llama_cpp_tag = fields.text_or_null("llama_cpp_tag");
    record.base_gguf_sha256 = fields.text_or_null("base_gguf_sha256");
    record.adapter_gguf_sha256 = fields.text_or_null("adapter_gguf_sha256");
    record.smoke_output_first_line = fields.text_or_null("smoke_output_first_line");
    record.adapter_name = fields.text_or_null("adapter_name");
    const Json* mix = fields.value("adapter_mix");
    if (mix == nullptr || mix->is_null()) return record;
    const auto refuse = [&] { fields.refuse("adapter_mix", "a list of [name, weight]"); };
    if (!mix->is_array()) refuse();
    record.adapter_mix.emplace();
    for (const Json& pair : mix->items()) {
      if (!pair.is_array() || pair.size() != 2 || !pair.items()[0].is_string() ||
          !pair.items()[1].is_number()) {
        refuse();
      }
      record.adapter_mix->emplace_back(pair.items()[0].as_string(), pair.items()[1].as_double());
    }
    return record;
  }

  Refuse refuse_;
  const fs::path& path_;
};

Json run_json(const TrainingRun& run) {
  Json weights;
  if (run.weight_distribution) {
    weights = Json::object();
    for (const auto& [tag, counts] : *run.weight_distribution) weights.set(tag, json_of(counts));
  }
  return Json::object({{"run_id", run.run_id},
                       {"started_at", run.started_at},
                       {"ended_at", json_or_null(run.ended_at)},
                       {"adapter_version", run.adapter_version},
                       {"base_model_revision", json_or_null(run.base_model_revision)},
                       {"seed", run.seed},
                       {"steps", run.steps},
                       {"final_train_loss", json_or_null(run.final_train_loss)},
                       {"final_val_loss", json_or_null(run.final_val_loss)},
                       {"status", run.status},
                       {"pinned_versions", json_of(run.pinned_versions)},
                       {"summary_path", json_or_null(run.summary_path)},
                       {"adapter_name", json_or_null(run.adapter_name)},
                       {"weight_distribution", weights}});
}

}  // namespace

int64_t Manifest::next_run_id() const {
  int64_t last = 0;
  for (const TrainingRun& run : training_runs) last = std::max(last, run.run_id);
  return last + 1;
}

Json export_record_json(const ExportRecord& record) {
  Json mix;
  if (record.adapter_mix) {
    mix = Json::array();
    for (const auto& [name, weight] : *record.adapter_mix) {
      mix.push_back(Json::array({Json(name), Json(weight)}));
    }
  }
  return Json::object({{"exported_at", record.exported_at},
                       {"target", record.target},
                       {"quant", record.quant},
                       {"merged", record.merged},
                       {"ollama_name", json_or_null(record.ollama_name)},
                       {"ollama_version", json_or_null(record.ollama_version)},
                       {"llama_cpp_tag", json_or_null(record.llama_cpp_tag)},
                       {"base_gguf_sha256", json_or_null(record.base_gguf_sha256)},
                       {"adapter_gguf_sha256", json_or_null(record.adapter_gguf_sha256)},
                       {"smoke_output_first_line", json_or_null(record.smoke_output_first_line)},
                       {"adapter_name", json_or_null(record.adapter_name)},
                       {"adapter_mix", mix}});
}

std::string manifest_text(const Manifest& manifest) {
  Json runs = Json::array(), exports = Json::array();
  for (const TrainingRun& run : manifest.training_runs) runs.push_back(run_json(run));
  for (const ExportRecord& record : manifest.exports) exports.push_back(export_record_json(record));
  const Json json =
      Json::object({{"dlm_id", manifest.dlm_id},
                    {"schema_version", kSchemaVersion},
                    {"created_at", manifest.created_at},
                    {"updated_at", manifest.updated_at},
                    {"base_model", manifest.base_model},
                    {"base_model_revision", json_or_null(manifest.base_model_revision)},
                    {"base_model_sha256", json_or_null(manifest.base_model_sha256)},
                    {"adapter_version", manifest.adapter_version},
                    {"adapter_sha256", json_or_null(manifest.adapter_sha256)},
                    {"adapter_config_sha256", json_or_null(manifest.adapter_config_sha256)},
                    {"adapter_versions", json_of(manifest.adapter_versions)},
                    {"training_runs", runs},
                    {"exports", exports},
                    {"content_hashes", json_of(manifest.content_hashes)},
                    {"pinned_versions", json_of(manifest.pinned_versions)},
                    {"source_path", json_or_null(manifest.source_path)},
                    {"license_acceptance", json_of(manifest.license_acceptance)}});
  return json.dump_sorted(2) + "\n";
}

Manifest parse_manifest(std::string_view text, const fs::path& path) {
  return ManifestReader(path).read(text);
}

Manifest read_manifest(const StoreLayout& store) {
  std::string text;
  try {
    text = read_file(store.manifest(), size_t{256} << 20);
  } catch (const Error& error) {
    throw Error(ErrorKind::kStore, kCorrupt + error.message(), error.hint(),
                {store.manifest().string()});
  }
  return parse_manifest(text, store.manifest());
}

void write_manifest(const StoreLayout& store, const Manifest& manifest, const StoreLock& lock) {
  check(lock.guards(store), "a manifest is written without its store's lock");
  write_file_atomic(store.manifest(), manifest_text(manifest));
}

}  // namespace dlm
