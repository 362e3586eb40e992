// The JSON that a run tells: the events of its log, its summary, the result on the command line;
// and the files of a version's folder.
#pragma once

#include "model/lora.h"
#include "store/manifest.h"
#include "support/json.h"
#include "train/prepare.h"
#include "train/run.h"
#include "train/run_record.h"

namespace dlm {

// Null for infinities and what is not a number.
Json number_or_null(double value);

Json banner_json(const TrainResult& result, const PinnedVersions& pinned);
// Ids of the sections that are new, unchanged and removed since the manifest's last run.
Json delta_json(const Document& document, const Manifest& manifest);
Json step_json(const StepReport& step);
Json eval_json(const EvalReport& eval);
Json complete_json(const TrainResult& result, const std::string& summary_path);
Json summary_json(const TrainResult& result);

// Adapter, tokenizer, document, state and record. Fills the record's digests of the adapter.
void write_version_files(const fs::path& folder, LoraAdapter& adapter, const RunState& state,
                         RunRecord& record, const TrainingPlan& plan, const Prepared& p);

}  // namespace dlm
