#include "train/resume.h"

#include "store/adapter_versions.h"
#include "store/checkpoint.h"
#include "store/training_state.h"
#include "support/error.h"
#include "support/text.h"

namespace dlm {

namespace {

// The reader's errors under the name of what was wanted.
template <typename Read>
auto resuming(Read read) {
  try {
    return read();
  } catch (const Error& e) {
    if (e.kind() == ErrorKind::kResume) throw;
    const std::string hint = e.kind() == ErrorKind::kIo && !e.hint().empty()
                                 ? e.hint()
                                 : "train without --resume to start anew";
    throw Error(ErrorKind::kResume, e.message(), hint, e.place());
  }
}

}  // namespace

std::optional<RunState> unfinished_run(const StoreLayout& store, int64_t next_run_id) {
  return resuming([&]() -> std::optional<RunState> {
    const auto value = read_checkpoint(store, {});
    if (!value) return std::nullopt;
    RunState state = read_run_state(*value, store.checkpoint().string());
    if (state.run_id < next_run_id) return std::nullopt;
    return state;
  });
}

ResumePoint find_resume_point(const StoreLayout& store, int64_t next_run_id) {
  if (auto state = unfinished_run(store, next_run_id)) return {std::move(*state), true};
  return resuming([&]() -> ResumePoint {
    const auto version = current_version(store);
    if (!version) {
      throw Error(ErrorKind::kResume, "there is no run to go on from",
                  "train without --resume first");
    }
    return {read_run_state(read_training_state(*version), version->string()), false};
  });
}

void require_same_run(const RunState& before, const RunInputs& now, const Json& plan,
                      const Machinery& machinery, LockMode mode) {
  if (const auto changed = run_differences(before, now, plan); !changed.empty()) {
    throw Error(ErrorKind::kResume,
                "the run cannot go on, since this changed: " + join(changed, "; "),
                "put it back as it was, or train without --resume to start anew");
  }
  if (mode == LockMode::kUpdate || mode == LockMode::kIgnore) return;
  const auto changed = machinery_differences(before.parts.back().machinery, machinery);
  if (changed.empty()) return;
  throw Error(
      ErrorKind::kResume,
      "the run cannot go on with the same bytes, since this changed: " + join(changed, "; "),
      "go on there with DLM_ISA and dlm as they were, accept other bytes with "
      "--update-lock, or start anew");
}

}  // namespace dlm
