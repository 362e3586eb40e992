// Four required texts; `via` has three known values.
#include "store/license_acceptance.h"

namespace dlm {

std::optional<LicenseAcceptance> read_license(JsonFields& fields, const char* key,
                                              const Refuse& refuse) {
  const Json* value = fields.value(key);
  if (value == nullptr || value->is_null()) return std::nullopt;
  JsonFields record(*value, fields.path(key), refuse);
  LicenseAcceptance license;
  license.accepted_at = record.time("accepted_at");
  license.license_url = record.text("license_url");
  license.license_spdx = record.text("license_spdx");
  license.via = record.text("via");
  if (license.via != "cli_flag" && license.via != "interactive" && license.via != "frontmatter") {
    record.refuse("via", "cli_flag, interactive or frontmatter");
  }
  record.finish();
  return license;
}

Json json_of(const std::optional<LicenseAcceptance>& license) {
  if (!license) return {};
  return Json::object({{"accepted_at", license->accepted_at},
                       {"license_url", license->license_url},
                       {"license_spdx", license->license_spdx},
                       {"via", license->via}});
}

}  // namespace dlm
