// training_run.json: the record that each version keeps of its run, for people, for checking a base
// before prompting, for repairing a manifest, and for training the version again.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "bases/locate.h"
#include "data/row_weights.h"
#include "data/source_sections.h"
#include "doc/document.h"
#include "store/manifest.h"
#include "store/replay_corpus.h"
#include "train/run_state.h"

namespace dlm {

// Every plan trains to the same bytes at any number of threads and any memory limit, on every
// instruction set (docs/determinism.md).
inline constexpr const char* kDeterminismClass = "strict";

struct RunRecord {
  int64_t run_id = 0;
  std::string started_at;
  std::string ended_at;
  RunInputs inputs;  // without the adapter's configuration, which lies beside the record
  std::string base_commit;  // on its hub, where it lay in the hub's cache; else empty
  std::string document_sha256;
  std::string base_weights_stamp;  // weights_stamp() of the base's folder
  std::string general_rows_sha256;
  std::string adapter_sha256;
  std::string adapter_config_sha256;
  std::string determinism_class = kDeterminismClass;
  std::optional<int64_t> max_steps;
  std::vector<RunPart> parts;
  int64_t micro_batch_tokens = 0;
  EvalReport kept;
  double final_train_loss = 0;
  std::optional<double> final_val_loss;
  std::string summary_path;
  std::optional<WeightDistribution> weight_distribution;  // rows by tag, where tags have weights
  bool allows_secrets = false;        // source files with what looks like a secret were taken
  std::vector<SourceRecord> sources;  // one per directive; read back: path and sha256

  int64_t seed() const { return parts.front().plan.at("seed").as_int(); }
  int64_t steps() const { return parts.back().until_step; }
};

// `plan` is for people: all choices with their reasons.
Json run_record_json(const RunRecord& record, Json plan);
// The record of a version's folder; none when another program, or a dlm of before, wrote it. Throws
// Error(kFormat) when the file is damaged.
std::optional<RunRecord> read_run_record(const fs::path& version);

// Puts a committed version into the manifest: the run, the current version, the sections.
void record_run(Manifest& manifest, const RunRecord& record, int64_t version,
                const Document& document);
// Does so, and keeps its sections, for a current version whose run could not be recorded when it
// was committed, from what lies in its folder. Returns whether the manifest changed.
bool record_current_version(Manifest& manifest, const StoreLayout& store, const StoreLock& lock,
                            const ReplayWarning& on_warning);

// Versions of what computed, with the keys of the Python program as null.
PinnedVersions pinned_versions(const Machinery& machinery);

// Adds the commit of a base from the hub, unless it is empty: a name such as hf:org/name stands for
// another one tomorrow.
void pin_commit(PinnedVersions& versions, const std::string& commit);
// The commits that a store's runs have pinned, for BaseSearch::commits.
std::map<std::string, std::string, std::less<>> pinned_commits(const StoreLayout& store);

// Names, sizes and times of the files of the weights, one a line: as long as it stays, so does the
// digest, for which the weights would have to be read whole.
std::string weights_stamp(const fs::path& base_folder);
// Throws Error(kInference) when the base does not have the weights that the version was trained on.
void require_trained_base(const RunRecord& record, const fs::path& base_folder);

}  // namespace dlm
