// Consent to the licence of a base: asked for once, then known from the store or the home folder.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "store/license_acceptance.h"
#include "support/file.h"

namespace dlm {

struct ConsentRequest {
  std::string base;
  fs::path home;
  bool is_given = false;                      // --i-accept-license
  bool may_ask = true;                        // on a terminal
  std::optional<LicenseAcceptance> of_store;  // of the document's manifest
};

// Consent to the licence that a base has now, of the document's store or of the home folder; none
// where there is none, or none is asked for.
std::optional<LicenseAcceptance> known_consent(const ConsentRequest& request);

// None for a base without conditions. New consent is recorded in the home folder. Throws
// Error(kLicense) where there is none.
std::optional<LicenseAcceptance> require_license(const ConsentRequest& request);

// Whether a person sits at both ends of this process.
bool is_at_terminal();
// Asks on standard error; only "y" and "yes" agree.
bool agrees(const std::string& question);

}  // namespace dlm
