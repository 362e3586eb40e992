#include "bases/license.h"

#include "bases/media_base.h"
#include "bases/registry.h"

namespace dlm {
namespace {

// By the beginning of their keys.
struct Terms {
  std::string_view family;
  std::string_view url;
};
constexpr Terms kTerms[] = {
    {"llama-3.2", "https://www.llama.com/llama3_2/license/"},
    {"llama-3.3", "https://llama.meta.com/llama3/license"},
    {"gemma-2", "https://ai.google.dev/gemma/terms"},
    {"paligemma", "https://ai.google.dev/gemma/terms"},
};

std::string_view url_of(std::string_view key) {
  for (const Terms& terms : kTerms) {
    if (key.starts_with(terms.family)) return terms.url;
  }
  return {};
}

}  // namespace

std::optional<GatedLicense> gated_license(std::string_view base_key) {
  if (const BaseInfo* base = find_base(base_key); base && base->needs_acceptance) {
    return GatedLicense{url_of(base_key), base->license};
  }
  if (const MediaBase* base = find_media_base(base_key); base && base->needs_acceptance) {
    return GatedLicense{url_of(base_key), base->license};
  }
  return std::nullopt;
}

}  // namespace dlm
