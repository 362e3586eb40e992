// What became of the source directives, for people and as JSON.
#pragma once

#include <string>
#include <vector>

#include "data/source_sections.h"
#include "support/json.h"

namespace dlm {

// "120 files, 1.2 MiB; left out: 12 by patterns, 3 binary"
std::string source_counts(const SourceRecord& record);

// One short block: a line per directive, and one per file with what looks like a secret, the
// first 20. Never the secret.
std::vector<std::string> source_lines(const SourceSections& sources);

// Counts of one directive, with the names of the Python program where it has them.
Json source_record_json(const SourceRecord& record);
Json source_records_json(const std::vector<SourceRecord>& records);
// The `.dlm` folders that were found.
Json tree_configs_json(const std::vector<TreeConfigFound>& configs);

}  // namespace dlm
