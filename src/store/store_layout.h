// Where things lie below the home folder: HOME/store/DLM_ID and the paths inside of one store. Only
// names are made here; but for ensure() nothing is read or written.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "support/file.h"

namespace dlm {

// The value of an environment variable, or null; ::getenv outside of tests.
using Environment = std::function<const char*(const char*)>;

// The home folder, first that applies: the explicit one, a non-empty $DLM_HOME, ~/.dlm. The first
// two get a leading ~ expanded and become absolute. Throws Error(kUsage) when ~ is needed and $HOME
// is not set.
fs::path dlm_home(const std::optional<fs::path>& explicit_home, const Environment& environment);

// 26 characters of the id alphabet. Everything else could lead out of the store folder.
bool is_store_id(std::string_view id);
// [a-z][a-z0-9_]{0,31}, and none of the names that the layout uses itself.
bool is_stored_adapter_name(std::string_view name);

class StoreLayout {
 public:
  // Throws Error(kStore) when the id is none.
  StoreLayout(const fs::path& home, std::string_view dlm_id);
  // A store folder that is known by its path.
  static StoreLayout at(fs::path root);

  const fs::path& root() const { return root_; }
  fs::path manifest() const { return root_ / "manifest.json"; }
  fs::path exclusive_lock() const { return root_ / ".lock"; }
  fs::path dlm_lock() const { return root_ / "dlm.lock"; }

  // An empty name means the flat layout: one adapter without a name. Others must be adapter names,
  // else Error(kStore).
  fs::path adapter(std::string_view name = {}) const;
  fs::path versions(std::string_view name = {}) const;
  fs::path current(std::string_view name = {}) const;
  fs::path version(int64_t number, std::string_view name = {}) const;  // number from 1
  fs::path checkpoint(std::string_view name = {}) const;               // of an unfinished run

  fs::path logs() const { return root_ / "logs"; }
  fs::path replay() const { return root_ / "replay"; }
  fs::path replay_corpus() const { return replay() / "corpus.zst"; }
  fs::path replay_index() const { return replay() / "index.json"; }
  fs::path exports(std::string_view quant) const;
  fs::path cache() const { return root_ / "cache"; }
  fs::path tokenized_cache() const { return root_ / "tokenized-cache"; }
  fs::path metrics() const { return root_ / "metrics.sqlite"; }

  // Log and summary of a run: logs/train-000003-20260418T100000.jsonl and .summary.json.
  fs::path run_log(int64_t run_id, int64_t started_unix_seconds) const;
  fs::path run_summary(int64_t run_id, int64_t started_unix_seconds) const;

  bool is_initialized() const;
  // Creates the root, adapter/, adapter/versions/ and logs/.
  void ensure() const;
  // The path relative to the root, with slashes; absolute when it lies outside.
  std::string relative(const fs::path& path) const;

 private:
  StoreLayout() = default;
  fs::path root_;
};

// v0001; more digits from 10000 on.
std::string version_name(int64_t number);

// Files of a version folder beside those of the tokenizer.
inline constexpr const char* kAdapterConfigFile = "adapter_config.json";
inline constexpr const char* kAdapterWeightsFile = "adapter_model.safetensors";
inline constexpr const char* kTrainingStateFile = "training_state.pt";
inline constexpr const char* kTrainingStateHashFile = "training_state.pt.sha256";
inline constexpr const char* kTrainingStateRngFile = "training_state.rng.json";
inline constexpr const char* kPinnedVersionsFile = "pinned_versions.json";
inline constexpr const char* kTrainingRunFile = "training_run.json";
inline constexpr const char* kDocumentFile = "document.dlm";  // as it was when the run began

}  // namespace dlm
