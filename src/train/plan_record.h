// The fields of a plan that decide a run's bytes, as JSON: kept with every version and checkpoint,
// compared before a run is resumed, and taken back to train it again. Predictions and the cutting
// into micro-batches are no part of it: they decide nothing.
#pragma once

#include <string>
#include <vector>

#include "support/json.h"
#include "train/plan.h"

namespace dlm {

Json plan_record(const TrainingPlan& plan);

// Puts the recorded fields into a plan. Throws Error(kFormat) for a record that lacks one.
void apply_plan_record(const Json& record, TrainingPlan& plan);

// How the run held its base; records of early versions leave it to the kind of adapter.
BaseFormat recorded_base_format(const Json& record);

// "training.lora_r: 8 → 16" for each field that must be the same in all parts of a run: all but the
// number of steps and what follows from it.
std::vector<std::string> plan_differences(const Json& before, const Json& now);

}  // namespace dlm
