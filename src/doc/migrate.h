// Lifts the frontmatter of an older document to the current schema, in memory. It never writes a
// file; the document keeps its version until somebody rewrites it.
#pragma once

#include <string_view>

#include "doc/warning.h"
#include "doc/yaml.h"

namespace dlm {

inline constexpr int kCurrentSchemaVersion = 15;

// Reads dlm_version (a document without one has version 1), applies the steps that lie between it
// and the current version, and returns the version that the document was written in. Throws
// Error(kParse) for a version that is no integer, below 1, or newer than this program.
int migrate_frontmatter(YamlTree& tree, WarningSink& warnings);

// The old block training.dpo: which of its keys still mean something, and which of those stand
// below `hyperparams` today.
bool is_dpo_key(std::string_view key);
bool is_dpo_hyperparameter(std::string_view key);

}  // namespace dlm
