// Sizes are sums over regular files; links are not followed, and files that vanish meanwhile count
// nothing.
#include "store/inspection.h"

#include <algorithm>

#include "store/adapter_versions.h"
#include "support/clock.h"

namespace dlm {
namespace {

uint64_t size_of_tree(const fs::path& folder) {
  uint64_t total = 0;
  std::error_code error;
  for (fs::recursive_directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error)) {
    std::error_code entry_error;
    if (it->is_symlink(entry_error) || !it->is_regular_file(entry_error)) continue;
    const uintmax_t size = it->file_size(entry_error);
    if (!entry_error) total += size;
  }
  return total;
}

std::optional<std::string> last_end(const Manifest& manifest) {
  std::optional<int64_t> last;
  for (const TrainingRun& run : manifest.training_runs) {
    const auto ended = run.ended_at ? parse_utc(*run.ended_at) : std::nullopt;
    if (ended && (!last || *ended > *last)) last = ended;
  }
  if (!last) return std::nullopt;
  constexpr int64_t kUsPerSecond = 1'000'000;
  std::string text = format_utc(*last / kUsPerSecond - (*last % kUsPerSecond < 0 ? 1 : 0));
  std::replace(text.begin(), text.end(), 'T', ' ');
  return text;
}

std::vector<StoredAdapter> named_adapters(const StoreLayout& store) {
  std::vector<StoredAdapter> adapters;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(store.adapter(), error)) {
    const std::string name = entry.path().filename().string();
    if (!is_stored_adapter_name(name) || !is_folder(entry.path() / "versions")) continue;
    const std::vector<int64_t> versions = list_versions(store, name);
    adapters.push_back(
        {name, read_pointer(store, name).has_value(), versions.empty() ? 0 : versions.back()});
  }
  std::sort(adapters.begin(), adapters.end(),
            [](const StoredAdapter& a, const StoredAdapter& b) { return a.name < b.name; });
  return adapters;
}

}  // namespace

StoreInspection inspect_store(const StoreLayout& store, const std::optional<fs::path>& source_path,
                              const DocumentId& document_id) {
  const Manifest manifest = read_manifest(store);
  StoreInspection result;
  result.dlm_id = manifest.dlm_id;
  result.path = store.root();
  result.base_model = manifest.base_model;
  result.base_model_revision = manifest.base_model_revision;
  result.adapter_version = manifest.adapter_version;
  result.training_runs = static_cast<int64_t>(manifest.training_runs.size());
  result.last_trained_at = last_end(manifest);
  result.exports = manifest.exports;
  result.has_adapter_current = read_pointer(store).has_value();
  result.replay_size_bytes = size_of_tree(store.replay());
  result.total_size_bytes = size_of_tree(store.root());
  result.source_path = source_path ? std::optional(source_path->string()) : manifest.source_path;
  result.orphaned = result.source_path && document_id(*result.source_path) != manifest.dlm_id;
  result.content_hashes = manifest.content_hashes;
  result.pinned_versions = manifest.pinned_versions;
  result.named_adapters = named_adapters(store);
  return result;
}

Json inspection_json(const StoreInspection& inspection) {
  Json exports = Json::array(), adapters = Json::array();
  for (const ExportRecord& record : inspection.exports)
    exports.push_back(export_record_json(record));
  for (const StoredAdapter& adapter : inspection.named_adapters) {
    adapters.push_back(Json::object({{"name", adapter.name},
                                     {"has_current", adapter.has_current},
                                     {"latest_version", adapter.latest_version}}));
  }
  return Json::object({{"dlm_id", inspection.dlm_id},
                       {"path", inspection.path.string()},
                       {"base_model", inspection.base_model},
                       {"base_model_revision", json_or_null(inspection.base_model_revision)},
                       {"adapter_version", inspection.adapter_version},
                       {"training_runs", inspection.training_runs},
                       {"last_trained_at", json_or_null(inspection.last_trained_at)},
                       {"exports", exports},
                       {"has_adapter_current", inspection.has_adapter_current},
                       {"replay_size_bytes", Json(inspection.replay_size_bytes)},
                       {"total_size_bytes", Json(inspection.total_size_bytes)},
                       {"source_path", json_or_null(inspection.source_path)},
                       {"orphaned", inspection.orphaned},
                       {"content_hashes", json_of(inspection.content_hashes)},
                       {"pinned_versions", json_of(inspection.pinned_versions)},
                       {"named_adapters", adapters}});
}

}  // namespace dlm
