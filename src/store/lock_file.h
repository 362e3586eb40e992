// dlm.lock: what a training run depended on, and what changed since. It is written after a run and
// compared before the next one; it is a record, not a lock in the sense of store_lock.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "store/json_fields.h"
#include "store/license_acceptance.h"
#include "store/store_layout.h"

namespace dlm {

struct LockFile {
  std::string created_at;  // UTC with microseconds and Z
  std::string dlm_id;
  std::string dlm_sha256;  // of the document's bytes
  std::string base_model_revision;
  std::optional<std::string> base_model_sha256;
  // Our own keys are dlm, onednn and instruction_set; the Python program's are written as null.
  PinnedVersions pinned_versions;
  std::optional<std::string> cuda_version;
  std::optional<std::string> rocm_version;
  std::string hardware_tier = "cpu";  // cpu, cuda-sm80+, cuda-sm<80, mps, rocm
  int64_t seed = 0;
  Json determinism_flags = Json::object();
  std::string determinism_class = "strong";  // strong, best-effort, advisory
  std::optional<LicenseAcceptance> license_acceptance;
  int64_t last_run_id = 1;
  int64_t world_size = 1;

  bool operator==(const LockFile&) const = default;
};

// The known keys of the Python program as null, and ours with their values.
PinnedVersions own_pinned_versions(const std::string& dlm, const std::string& onednn,
                                   const std::string& instruction_set);

// Throws Error(kStore) with the file as place: unreadable, invalid JSON, another lock_version, a
// field that breaks the schema.
LockFile parse_lock_file(std::string_view text, const fs::path& path);
// None when there is no file.
std::optional<LockFile> read_lock_file(const fs::path& path);
std::string lock_file_text(const LockFile& lock);
void write_lock_file(const fs::path& path, const LockFile& lock);

enum class Severity { kAllow, kWarn, kError };

struct LockMismatch {
  std::string field;
  Severity severity;
  std::string message;
};

// What differs, in the order of the severity table.
std::vector<LockMismatch> compare_lock_files(const LockFile& before, const LockFile& now);

enum class LockMode {
  kDefault,  // errors abort, warnings are told
  kStrict,   // warnings abort too
  kUpdate,   // no comparison; also replaces a file that cannot be read
  kIgnore,   // no comparison, no write
};

struct LockDecision {
  enum class Action { kProceed, kProceedWithWarnings, kAbort };
  Action action = Action::kProceed;
  std::vector<LockMismatch> mismatches;  // severities as the mode sees them
  bool should_write = true;              // after the run succeeded
};

LockDecision check_lock_file(const fs::path& path, const LockFile& now, LockMode mode);

// Throws Error(kStore) "lock validation failed (r1; r2)" with all messages when the decision is to
// abort.
void require_lock(const LockDecision& decision, const fs::path& path);

}  // namespace dlm
