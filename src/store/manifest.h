// manifest.json: what a store knows about its document, its runs and its exports. The text is
// canonical (sorted keys, two blanks, UTF-8, LF), and a saved manifest reads back and saves to the
// same bytes. Unknown keys are refused here as by every other reader, so extensions belong into
// other files.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "store/json_fields.h"
#include "store/license_acceptance.h"
#include "store/store_layout.h"
#include "store/store_lock.h"

namespace dlm {

// Times are texts: UTC, whole seconds, as format_utc writes them.
struct TrainingRun {
  int64_t run_id = 1;
  std::string started_at;
  std::optional<std::string> ended_at;
  int64_t adapter_version = 1;
  std::optional<std::string> base_model_revision;
  int64_t seed = 0;
  int64_t steps = 0;
  std::optional<double> final_train_loss;
  std::optional<double> final_val_loss;
  std::string status = "completed";  // running, completed, failed, cancelled
  PinnedVersions pinned_versions;
  std::optional<std::string> summary_path;  // relative to the store root
  std::optional<std::string> adapter_name;
  // tag → value → rows; none: no weights configured; {}: configured, nothing matched
  std::optional<std::map<std::string, std::map<std::string, int64_t>>> weight_distribution;

  bool operator==(const TrainingRun&) const = default;
};

struct ExportRecord {
  std::string exported_at;
  std::string target = "ollama";
  std::string quant;
  bool merged = false;
  std::optional<std::string> ollama_name;
  std::optional<std::string> ollama_version;
  std::optional<std::string> llama_cpp_tag;
  std::optional<std::string> base_gguf_sha256;
  std::optional<std::string> adapter_gguf_sha256;
  std::optional<std::string> smoke_output_first_line;
  std::optional<std::string> adapter_name;
  std::optional<std::vector<std::pair<std::string, double>>> adapter_mix;

  bool operator==(const ExportRecord&) const = default;
};

struct Manifest {
  std::string dlm_id;
  std::string created_at;
  std::string updated_at;
  std::string base_model;
  std::optional<std::string> base_model_revision;
  std::optional<std::string> base_model_sha256;
  int64_t adapter_version = 0;  // last committed of the flat layout
  std::optional<std::string> adapter_sha256;
  std::optional<std::string> adapter_config_sha256;
  std::map<std::string, int64_t> adapter_versions;  // last committed of each named adapter
  std::vector<TrainingRun> training_runs;
  std::vector<ExportRecord> exports;
  std::map<std::string, std::string> content_hashes;  // section id → section id
  PinnedVersions pinned_versions;
  std::optional<std::string> source_path;
  std::optional<LicenseAcceptance> license_acceptance;

  bool operator==(const Manifest&) const = default;

  // max run id + 1; 1 for the first.
  int64_t next_run_id() const;
};

// Throws Error(kStore) "manifest is corrupt: REASON" with the file as place, and "schema_version N
// requires migration to 1" for other versions.
Manifest parse_manifest(std::string_view text, const fs::path& path);
Manifest read_manifest(const StoreLayout& store);
std::string manifest_text(const Manifest& manifest);
// Atomic. The lock proves that no other process is between reading and writing.
void write_manifest(const StoreLayout& store, const Manifest& manifest, const StoreLock& lock);

Json export_record_json(const ExportRecord& record);

}  // namespace dlm
