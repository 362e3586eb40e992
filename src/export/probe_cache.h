// HOME/probes.json: reports of probes by what they hold for. A file that is damaged is as none, and
// one may be deleted at any time.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "export/probe_parts.h"

namespace dlm {

// SHA-256 over the bytes of the base's small files, the headers and sizes of its weight files, what
// the registry says of it, and this program's version; "" where they cannot be read.
std::string probe_key(const ProbedBase& base, const std::string& name, bool skips_exports);

std::optional<std::vector<Probe>> kept_probes(const fs::path& home, const std::string& key);

}  // namespace dlm
