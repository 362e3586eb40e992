// `dlm train`, whole: take the store, plan, train, commit a version, record the run. Until the
// pointer flips, the store reads as it was; a run that is interrupted or killed leaves nothing
// behind but its checkpoint, from which it can go on.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "bases/locate.h"
#include "data/source_sections.h"
#include "doc/warning.h"
#include "store/license_acceptance.h"
#include "store/lock_file.h"
#include "support/clock.h"
#include "support/file.h"
#include "train/loop.h"
#include "train/plan.h"

namespace dlm {

struct TrainRequest {
  fs::path document;
  fs::path home;
  BaseSearch bases;
  std::optional<std::string> base;  // instead of the document's base_model
  std::optional<int64_t> seed;
  std::optional<int64_t> max_steps;
  std::optional<BaseFormat> base_format;     // instead of what the kind of adapter says
  std::optional<uint64_t> max_memory_bytes;  // of the peak
  LockMode lock_mode = LockMode::kDefault;
  int num_threads = 0;
  bool dry_run = false;         // plan only; the store is not touched
  bool resume = false;          // go on with an unfinished run, or from the current version
  bool use_token_cache = true;  // where the document allows it and it pays
  bool fresh = false;  // start anew; the default too, but an unfinished run is forgotten at once
  bool replay_deleted = false;  // train sections of the history that left the document as well
  // A checkpoint is due after so many seconds, but takes at most a twentieth of the time; 0: after
  // every step.
  int64_t checkpoint_seconds = 60;
  bool allows_secrets = false;  // takes source files with text that looks like a secret
  std::optional<LicenseAcceptance> license;  // of a base that asks for consent; recorded
  const Clock* clock = nullptr;
};

struct TrainEvents {
  std::function<void(const Warning&)> on_warning;         // of the document
  std::function<void(const SourceSections&)> on_sources;  // when the document has any
  std::function<void(const std::string&)> on_note;
  std::function<void(const TrainingPlan&)> on_plan;
  std::function<void(size_t done, size_t total)> on_general_row;
  std::function<void(const StepReport&, const TrainingPlan&)> on_step;
  std::function<void(const EvalReport&)> on_eval;
};

struct TrainResult {
  bool trained = false;         // false: nothing to train, or a dry run
  bool is_complete = false;     // resumed, and there were no steps left to take
  int64_t resumed_at_step = 0;  // 0: from the start
  TrainingPlan plan;
  std::vector<SourceRecord> sources;  // one per directive
  int64_t run_id = 0;
  int64_t adapter_version = 0;
  fs::path adapter_path;
  fs::path log_path;
  fs::path summary_path;
  LoopResult loop;
  double seconds = 0;
  std::string adapter_sha256;
  std::string determinism_class;  // "strict"
};

TrainResult train_document(const TrainRequest& request, const TrainEvents& events);

Json train_result_json(const TrainResult& result);

}  // namespace dlm
