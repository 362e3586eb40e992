// Fields of dlm.lock in both directions, and the modes of its check.
#include "store/lock_file.h"

#include <algorithm>

#include "support/error.h"
#include "support/hash.h"
#include "support/text.h"

namespace dlm {
namespace {

constexpr int64_t kLockVersion = 1;
const std::string kNotValid = "lock file is not valid: ";
constexpr const char* kHint = "pass --update-lock to write a new one";

void require_one_of(const JsonFields& fields, const char* key, const std::string& value,
                    const std::vector<std::string>& allowed) {
  if (std::find(allowed.begin(), allowed.end(), value) == allowed.end()) {
    fields.refuse(key, "one of " + join(allowed, ", "));
  }
}

}  // namespace

PinnedVersions own_pinned_versions(const std::string& dlm, const std::string& onednn,
                                   const std::string& instruction_set) {
  PinnedVersions pinned = {{"dlm", dlm}, {"onednn", onednn}, {"instruction_set", instruction_set}};
  for (const char* key : {"torch", "transformers", "peft", "trl", "bitsandbytes", "sway"}) {
    pinned[key] = std::nullopt;
  }
  return pinned;
}

LockFile parse_lock_file(std::string_view text, const fs::path& path) {
  const Refuse refuse = [&](const std::string& reason) {
    throw Error(ErrorKind::kStore, kNotValid + reason, kHint, {path.string()});
  };
  Json json;
  try {
    JsonLimits limits;
    limits.max_depth = 16;
    json = parse_json(text, path.string(), limits);
  } catch (const Error& error) {
    throw Error(ErrorKind::kStore, kNotValid + error.message(), kHint, error.place());
  }
  JsonFields fields(json, "", refuse);
  const int64_t version = fields.integer("lock_version", 1, kLockVersion);
  if (version != kLockVersion) refuse("unsupported lock_version " + std::to_string(version));
  LockFile lock;
  lock.created_at = fields.time("created_at");
  lock.dlm_id = fields.text("dlm_id");
  lock.dlm_sha256 = fields.text("dlm_sha256");
  if (!is_sha256_hex(lock.dlm_sha256)) fields.refuse("dlm_sha256", "64 lower-case hex digits");
  lock.base_model_revision = fields.text("base_model_revision");
  lock.base_model_sha256 = fields.text_or_null("base_model_sha256");
  lock.pinned_versions = fields.versions("pinned_versions");
  lock.cuda_version = fields.text_or_null("cuda_version");
  lock.rocm_version = fields.text_or_null("rocm_version");
  lock.hardware_tier = fields.text("hardware_tier");
  require_one_of(fields, "hardware_tier", lock.hardware_tier,
                 {"cuda-sm80+", "cuda-sm<80", "mps", "cpu", "rocm"});
  lock.seed = fields.integer("seed", INT64_MIN);
  if (const Json* flags = fields.value("determinism_flags")) {
    if (!flags->is_object()) fields.refuse("determinism_flags", "an object");
    lock.determinism_flags = *flags;
  }
  lock.determinism_class = fields.text("determinism_class");
  require_one_of(fields, "determinism_class", lock.determinism_class,
                 {"strong", "best-effort", "advisory"});
  lock.license_acceptance = read_license(fields, "license_acceptance", refuse);
  lock.last_run_id = fields.integer("last_run_id", 1);
  lock.world_size = fields.integer("world_size", 1, 1);
  fields.finish();
  return lock;
}

std::optional<LockFile> read_lock_file(const fs::path& path) {
  if (!path_exists(path)) return std::nullopt;
  return parse_lock_file(read_file(path, size_t{16} << 20), path);
}

std::string lock_file_text(const LockFile& lock) {
  const Json json = Json::object({{"lock_version", kLockVersion},
                                  {"created_at", lock.created_at},
                                  {"dlm_id", lock.dlm_id},
                                  {"dlm_sha256", lock.dlm_sha256},
                                  {"base_model_revision", lock.base_model_revision},
                                  {"base_model_sha256", json_or_null(lock.base_model_sha256)},
                                  {"pinned_versions", json_of(lock.pinned_versions)},
                                  {"cuda_version", json_or_null(lock.cuda_version)},
                                  {"rocm_version", json_or_null(lock.rocm_version)},
                                  {"hardware_tier", lock.hardware_tier},
                                  {"seed", lock.seed},
                                  {"determinism_flags", lock.determinism_flags},
                                  {"determinism_class", lock.determinism_class},
                                  {"license_acceptance", json_of(lock.license_acceptance)},
                                  {"last_run_id", lock.last_run_id},
                                  {"world_size", lock.world_size}});
  return json.dump_sorted(2, true) + "\n";
}

void write_lock_file(const fs::path& path, const LockFile& lock) {
  write_file_atomic(path, lock_file_text(lock));
}

LockDecision check_lock_file(const fs::path& path, const LockFile& now, LockMode mode) {
  LockDecision decision;
  if (mode == LockMode::kUpdate) return decision;
  const std::optional<LockFile> before = read_lock_file(path);
  if (mode == LockMode::kIgnore) {
    decision.should_write = false;
    return decision;
  }
  if (!before) return decision;
  decision.mismatches = compare_lock_files(*before, now);
  for (LockMismatch& mismatch : decision.mismatches) {
    if (mode == LockMode::kStrict && mismatch.severity == Severity::kWarn) {
      mismatch.severity = Severity::kError;
    }
    if (mismatch.severity == Severity::kError) {
      decision.action = LockDecision::Action::kAbort;
    } else if (mismatch.severity == Severity::kWarn &&
               decision.action == LockDecision::Action::kProceed) {
      decision.action = LockDecision::Action::kProceedWithWarnings;
    }
  }
  decision.should_write = decision.action != LockDecision::Action::kAbort;
  return decision;
}

void require_lock(const LockDecision& decision, const fs::path& path) {
  if (decision.action != LockDecision::Action::kAbort) return;
  std::vector<std::string> reasons;
  for (const LockMismatch& mismatch : decision.mismatches) reasons.push_back(mismatch.message);
  throw Error(
      ErrorKind::kStore, "lock validation failed (" + join(reasons, "; ") + ")",
      "pass --update-lock to accept the changes, or --ignore-lock to run without the record",
      {path.string()});
}

}  // namespace dlm
