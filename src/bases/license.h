// Which bases their publisher gives only to those who accept a licence, and where it can be read.
#pragma once

#include <optional>
#include <string_view>

namespace dlm {

struct GatedLicense {
  std::string_view url;
  std::string_view spdx;  // "Other" and "Gemma" for licences without a name there
};

// None for a base that needs no consent, or that is not known.
std::optional<GatedLicense> gated_license(std::string_view base_key);

}  // namespace dlm
