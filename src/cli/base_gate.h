// The probes of a base before it is trained on: what there is to know is said, and a base that
// training would stumble over is refused with what to do.
#pragma once

#include <optional>

#include "export/base_probes.h"

namespace dlm {

// None for a base that is not here or not known, since the run itself says that better. Warnings
// are said when the base is probed, not again for a kept report; what its exports would be refused
// for is said each time. Throws Error(kBase), with a table before it where there are several
// faults.
std::optional<ProbeReport> require_sound_base(const ProbeRequest& request);

}  // namespace dlm
