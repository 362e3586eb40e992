#include "bases/license.h"

#include "bases/registry.h"

namespace dlm {

std::optional<GatedLicense> gated_license(std::string_view base_key) {
  const BaseInfo* base = find_any_base(base_key);
  if (base == nullptr || !base->needs_acceptance) return std::nullopt;
  return GatedLicense{base->license_url, base->license};
}

}  // namespace dlm
