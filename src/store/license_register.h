// HOME/licenses.json: the licences of bases that the person of this home folder has accepted, so
// that each is asked for once. A store's manifest has a copy of the record of its own base.
#pragma once

#include <optional>
#include <string_view>

#include "store/license_acceptance.h"
#include "support/file.h"

namespace dlm {

// Throws Error(kStore) for a file that is damaged.
std::optional<LicenseAcceptance> accepted_license(const fs::path& home, std::string_view base);
// Replaces an earlier record of the same base. Throws Error(kIo).
void record_license(const fs::path& home, std::string_view base, const LicenseAcceptance& license);

// Consent to these very terms: consent to others is none. `of_store` is the record of a document's
// manifest, which goes first. Throws as accepted_license().
std::optional<LicenseAcceptance> acceptance_of(std::string_view license_url,
                                               std::string_view license_spdx, std::string_view base,
                                               const fs::path& home,
                                               const std::optional<LicenseAcceptance>& of_store);

}  // namespace dlm
