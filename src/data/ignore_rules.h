// `.dlm/ignore` of a source tree, one rule a line: `#` begins a comment, a leading `!` takes back
// what an earlier layer left out, a leading `/` ties the pattern to the folder that `.dlm` lies in,
// a trailing `/` means folders, with all that is in them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "data/glob.h"
#include "doc/warning.h"

namespace dlm {

struct IgnoreRule {
  Glob glob;
  bool is_negated = false;
  bool is_anchored = false;
  bool is_for_folders = false;

  // `path` is that of a file, relative to the folder that holds `.dlm`.
  bool matches(std::string_view path) const;
  // Whether each path below the folder matches; may say no where the answer is yes.
  bool matches_all_below(std::string_view folder) const;
  // Whether a path below the folder could match; may say yes where the answer is no.
  bool may_match_below(std::string_view folder) const;
  // Whether the rule names a file without wildcards: nobody writes that by accident.
  bool names_file() const { return glob.is_literal() && !is_for_folders; }
};

// `text` has LF line ends. Lines that are no rule give a warning each.
std::vector<IgnoreRule> parse_ignore_rules(std::string_view text, WarningSink& warnings);

}  // namespace dlm
