// What a store holds, for `dlm show`: numbers from the manifest and sizes from the disk. Reads
// only; a store that another process is changing may be inspected.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "store/manifest.h"
#include "store/store_layout.h"

namespace dlm {

struct StoredAdapter {
  std::string name;
  bool has_current = false;
  int64_t latest_version = 0;  // 0: none
};

struct StoreInspection {
  std::string dlm_id;
  fs::path path;
  std::string base_model;
  std::optional<std::string> base_model_revision;
  int64_t adapter_version = 0;
  int64_t training_runs = 0;
  std::optional<std::string> last_trained_at;  // with a blank between date and time
  std::vector<ExportRecord> exports;
  bool has_adapter_current = false;
  uint64_t replay_size_bytes = 0;
  uint64_t total_size_bytes = 0;
  std::optional<std::string> source_path;
  bool orphaned = false;
  std::map<std::string, std::string> content_hashes;
  PinnedVersions pinned_versions;
  std::vector<StoredAdapter> named_adapters;  // by name
};

// The dlm_id of the document at a path, or none when it cannot be read or parsed.
using DocumentId = std::function<std::optional<std::string>(const fs::path&)>;

// `source_path`, where given, wins over the manifest's. A store is orphaned when its document is
// known and is missing, broken or has another id. Throws as read_manifest.
StoreInspection inspect_store(const StoreLayout& store, const std::optional<fs::path>& source_path,
                              const DocumentId& document_id);

Json inspection_json(const StoreInspection& inspection);

}  // namespace dlm
