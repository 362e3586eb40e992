// The severity table of dlm.lock. A change that must give other weights from the same document is
// an error, one that may is a warning, and an edited document is what training is for.
#include <charconv>

#include "store/lock_file.h"

namespace dlm {
namespace {

using Text = std::optional<std::string>;

std::string shown(const Text& value) {
  return value ? *value : "none";
}

// The leading integer of a version, or none.
std::optional<int> major_version(const std::string& version) {
  int major = 0;
  const auto parsed = std::from_chars(version.data(), version.data() + version.size(), major);
  if (parsed.ec != std::errc()) return std::nullopt;
  const bool ends = parsed.ptr == version.data() + version.size();
  return ends || *parsed.ptr == '.' || *parsed.ptr == '+' ? std::optional(major) : std::nullopt;
}

class Comparison {
 public:
  Comparison(const LockFile& before, const LockFile& now) : before_(before), now_(now) {}

  std::vector<LockMismatch> run() {
    compare_inputs();
    if (before_.hardware_tier != now_.hardware_tier) {
      changed("hardware_tier", before_.hardware_tier, now_.hardware_tier);
    }
    if (before_.determinism_class != now_.determinism_class) {
      changed("determinism_class", before_.determinism_class, now_.determinism_class);
    }
    if (!(before_.determinism_flags == now_.determinism_flags)) {
      changed("determinism_flags", before_.determinism_flags.dump(), now_.determinism_flags.dump());
    }
    compare_torch();
    compare_package("bitsandbytes");
    if (before_.seed != now_.seed) {
      changed("seed", std::to_string(before_.seed), std::to_string(now_.seed));
    }
    if (before_.cuda_version != now_.cuda_version) {
      changed("cuda_version", shown(before_.cuda_version), shown(now_.cuda_version));
    }
    if (before_.rocm_version != now_.rocm_version) {
      changed("rocm_version", shown(before_.rocm_version), shown(now_.rocm_version));
    }
    compare_license();
    if (before_.world_size != now_.world_size) {
      changed("world_size", std::to_string(before_.world_size), std::to_string(now_.world_size));
    }
    for (const char* package : {"transformers", "peft", "trl", "accelerate", "llama_cpp", "dlm",
                                "onednn", "instruction_set"}) {
      compare_package(package);
    }
    return std::move(mismatches_);
  }

 private:
  void add(const char* field, Severity severity, std::string message) {
    mismatches_.push_back({field, severity, std::move(message)});
  }

  void changed(const char* field, const std::string& from, const std::string& to) {
    add(field, Severity::kWarn, std::string(field) + " changed (" + from + " → " + to + ")");
  }

  void compare_inputs() {
    if (before_.dlm_sha256 != now_.dlm_sha256) {
      add("dlm_sha256", Severity::kAllow,
          "dlm_sha256 changed (" + before_.dlm_sha256.substr(0, 12) + "… → " +
              now_.dlm_sha256.substr(0, 12) + "…)");
    }
    if (before_.base_model_revision != now_.base_model_revision) {
      add("base_model_revision", Severity::kError,
          "base_model_revision changed (" + before_.base_model_revision + " → " +
              now_.base_model_revision + "); re-run with --update-lock to accept");
    }
    if (before_.base_model_sha256 && now_.base_model_sha256 &&
        before_.base_model_sha256 != now_.base_model_sha256) {
      add("base_model_sha256", Severity::kError,
          "base_model_sha256 changed (" + before_.base_model_sha256->substr(0, 12) + "… → " +
              now_.base_model_sha256->substr(0, 12) + "…)");
    }
  }

  static Text version_of(const LockFile& lock, const char* package) {
    const auto found = lock.pinned_versions.find(package);
    return found == lock.pinned_versions.end() ? std::nullopt : found->second;
  }

  // True when only one side is pinned, which is then told.
  bool told_one_sided(const char* package, const Text& from, const Text& to) {
    if (from.has_value() == to.has_value()) return false;
    const std::string name = package;
    add(package, Severity::kWarn,
        from ? name + " no longer pinned (was " + *from + ")"
             : name + " newly pinned (" + *to + ")");
    return true;
  }

  void compare_package(const char* package) {
    const Text from = version_of(before_, package), to = version_of(now_, package);
    if (from == to || told_one_sided(package, from, to)) return;
    changed(package, "'" + *from + "'", "'" + *to + "'");
  }

  void compare_torch() {
    const Text from = version_of(before_, "torch"), to = version_of(now_, "torch");
    if (from == to || told_one_sided("torch", from, to)) return;
    const auto old_major = major_version(*from), new_major = major_version(*to);
    const std::string versions = "(" + *from + " → " + *to + ")";
    if (!old_major || !new_major) {
      add("torch", Severity::kWarn,
          "torch version changed (unparseable: " + *from + " → " + *to + ")");
    } else if (*old_major != *new_major) {
      add("torch", Severity::kError, "torch major-version mismatch " + versions);
    } else {
      add("torch", Severity::kWarn, "torch minor-version drift " + versions);
    }
  }

  void compare_license() {
    const auto &from = before_.license_acceptance, &to = now_.license_acceptance;
    const char* field = "license_acceptance";
    if (!from && !to) return;
    if (!from) {
      add(field, Severity::kWarn, "license_acceptance newly recorded (" + to->license_spdx + ")");
    } else if (!to) {
      add(field, Severity::kWarn, "license_acceptance cleared (was " + from->license_spdx + ")");
    } else if (from->license_spdx != to->license_spdx) {
      add(field, Severity::kWarn,
          "license_acceptance spdx changed (" + from->license_spdx + " → " + to->license_spdx +
              ")");
    } else if (from->license_url != to->license_url) {
      add(field, Severity::kWarn,
          "license_acceptance url changed (" + from->license_url + " → " + to->license_url + ")");
    }
  }

  const LockFile& before_;
  const LockFile& now_;
  std::vector<LockMismatch> mismatches_;
};

}  // namespace

std::vector<LockMismatch> compare_lock_files(const LockFile& before, const LockFile& now) {
  return Comparison(before, now).run();
}

}  // namespace dlm
