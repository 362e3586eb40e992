// The record that a person accepted the licence of a gated base; part of manifest and lock file.
#pragma once

#include <string>

#include "store/json_fields.h"

namespace dlm {

struct LicenseAcceptance {
  std::string accepted_at;  // UTC, whole seconds
  std::string license_url;
  std::string license_spdx;
  std::string via;  // cli_flag, interactive, frontmatter

  bool operator==(const LicenseAcceptance&) const = default;
};

// The record under `key`, or none when it is absent or null.
std::optional<LicenseAcceptance> read_license(JsonFields& fields, const char* key,
                                              const Refuse& refuse);
Json json_of(const std::optional<LicenseAcceptance>& license);

}  // namespace dlm
