#include "train/base_refusals.h"

#include <fmt/format.h>

#include "bases/hub_name.h"
#include "bases/license.h"
#include "bases/registry.h"
#include "store/license_register.h"

namespace dlm {

namespace {

std::string gb(double bytes) {
  return fmt::format("{:.1f} GB", bytes / 1e9);
}

void add_license(const std::string& base, const BaseSurroundings& around,
                 std::vector<Refusal>& refusals) {
  const auto license = gated_license(base);
  if (!license) return;
  try {
    if (acceptance_of(license->url, license->spdx, base, around.home, around.of_store)) return;
  } catch (const Error& error) {
    refusals.push_back(refusal_of("licence", error));
    return;
  }
  refusals.push_back({"licence",
                      "the licence of base " + base + " is not accepted",
                      "read " + std::string(license->url) + ", then say --i-accept-license",
                      {}});
}

// What keeps `dlm bases pull` from fetching it.
void add_pull_obstacles(const BaseInfo* known, const BaseSurroundings& around,
                        std::vector<Refusal>& refusals) {
  if (around.hub.is_offline) {
    refusals.push_back({"absent",
                        "HF_HUB_OFFLINE is set, so nothing is fetched",
                        "unset it to fetch the base",
                        {}});
  }
  if (known == nullptr) return;
  if (known->needs_acceptance && around.hub.token.empty()) {
    refusals.push_back({"gated",
                        "the hub gives base " + std::string(known->key) + " to known accounts only",
                        "ask for access at https://huggingface.co/" + std::string(known->hf_id) +
                            ", then set HF_TOKEN",
                        {}});
  }
  const double needed = known->size_gb * 1e9;
  const auto free = static_cast<double>(free_disk_bytes(around.search.hub_cache));
  if (!around.search.hub_cache.empty() && free < needed) {
    refusals.push_back({"disk",
                        "fetching base " + std::string(known->key) + " needs " + gb(needed) +
                            " of disk, " + gb(free) + " are free",
                        "free some space, or move the cache with HF_HOME",
                        {around.search.hub_cache.string()}});
  }
}

}  // namespace

std::vector<Refusal> base_refusals(const std::string& base, const BasePresence& presence,
                                   const BaseSurroundings& around) {
  std::vector<Refusal> refusals;
  const BaseInfo* known = find_base(base);
  if (!presence.is_whole) {
    try {
      locate_base(base, around.search);  // says what is wrong, and what to do
    } catch (const Error& error) {
      const bool is_media = known == nullptr && find_media_base(base) != nullptr;
      const bool can_be_fetched = known != nullptr || is_hub_name(base);
      refusals.push_back(refusal_of(is_media              ? "media"
                                    : presence.is_partial ? "incomplete"
                                    : can_be_fetched      ? "absent"
                                                          : "unknown",
                                    error));
      if (is_media) return refusals;
      if (can_be_fetched) add_pull_obstacles(known, around, refusals);
    }
  }
  add_license(base, around, refusals);
  return refusals;
}

}  // namespace dlm
