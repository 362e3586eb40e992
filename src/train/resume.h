// Where a run can go on, and whether it may: from the checkpoint of an unfinished run, else from
// the state of the current version.
#pragma once

#include <optional>

#include "store/lock_file.h"
#include "store/store_layout.h"
#include "train/run_state.h"

namespace dlm {

struct ResumePoint {
  RunState state;
  bool is_unfinished =
      false;  // from a checkpoint: what it left out of the command line still holds
};

// The checkpoint of the run that would be run `next_run_id`; of earlier runs, which committed, none
// counts. Throws what reading it throws.
std::optional<RunState> unfinished_run(const StoreLayout& store, int64_t next_run_id);

// Throws Error(kResume) when there is nothing to go on from, or its files are damaged or from
// elsewhere.
ResumePoint find_resume_point(const StoreLayout& store, int64_t next_run_id);

// Throws Error(kResume) with all that differs. What computes may differ where the lock is updated
// or ignored: the bytes are then not those of one straight run.
void require_same_run(const RunState& before, const RunInputs& now, const Json& plan,
                      const Machinery& machinery, LockMode mode);

}  // namespace dlm
