// Why a base could not be trained on here, whatever the document says: looked up, nothing fetched.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bases/hub_settings.h"
#include "bases/presence.h"
#include "store/license_acceptance.h"
#include "train/refusal.h"

namespace dlm {

struct BaseSurroundings {
  fs::path home;                              // knows the accepted licences
  std::optional<LicenseAcceptance> of_store;  // of the document's store
  BaseSearch search;
  HubSettings hub;
};

// Not known, not run by this version, its licence not accepted, not on this machine (with the
// command that fetches it, and what stands in its way: no token for a gated base, no room on the
// disk, the hub switched off), or incomplete. Empty: nothing is in the way.
std::vector<Refusal> base_refusals(const std::string& base, const BasePresence& presence,
                                   const BaseSurroundings& around);

}  // namespace dlm
