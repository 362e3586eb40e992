// Where a source directive points: relative to the folder of its document, or of that folder's
// parent when the document lies in a `.dlm` folder.
#pragma once

#include <string>

#include "doc/frontmatter.h"
#include "support/file.h"

namespace dlm {

// The folder that relative paths begin at, without links.
fs::path source_anchor(const fs::path& document);

struct SourcePath {
  fs::path path;  // absolute, without links
  bool leaves_anchor = false;
};

// Throws Error(kTrain) without a place: the path is missing, or leaves the anchor under policy
// strict.
SourcePath resolve_source(const std::string& written, const fs::path& anchor, SourcesPolicy policy);

bool is_inside(const fs::path& path, const fs::path& folder);

// A path for people: line ends and control characters as \n and \x1b.
std::string printable_path(std::string_view path);

}  // namespace dlm
