// The comment lines at the head of a section that say which program wrote it: harvested, mined or
// synthesised. In prose and media such lines are ordinary text.
#pragma once

#include <string>
#include <string_view>

#include "doc/section.h"
#include "support/error.h"

namespace dlm {

// Reads one line into the section's mark; false when the line is no marker for a section of this
// type. Throws Error(kParse) at `place` when it is one with a mistake.
bool read_marker(std::string_view line, Section& section, const Place& place);

// The marker lines of a section, each with LF, in the order harvest, mined, synth. Throws
// Error(kParse) when a value holds a quote or a line end, which the form cannot say.
std::string marker_lines(const Section& section);

}  // namespace dlm
