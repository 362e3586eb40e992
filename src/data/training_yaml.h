// `.dlm/training.yaml` of a source tree: patterns, tags and weights for the folder that `.dlm` lies
// in and what is below.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/tag_weights.h"
#include "doc/warning.h"

namespace dlm {

struct TreeConfig {
  std::vector<std::string> include;  // empty: as the folder above
  std::vector<std::string> exclude;
  std::optional<bool> exclude_defaults;  // none: as the folder above
  std::map<std::string, std::string> metadata;
  TagWeights weights;
};

// `text` is valid UTF-8 with LF line ends. Tags and values may be written as numbers or as true and
// false; they count as the text that stands there. Throws Error(kParse) with the place in
// `warnings.path()` for what breaks the schema: unknown keys, weights below 0 or not finite.
TreeConfig parse_training_yaml(std::string_view text, WarningSink& warnings);

}  // namespace dlm
