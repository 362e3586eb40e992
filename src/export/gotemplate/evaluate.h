// Runs a parsed Go template over data, as Go's text/template does with the option
// "missingkey=zero": and, or, not, len, index, slice, eq, ne, lt, le, gt, ge, print. The same data
// always gives the same text.
#pragma once

#include <string>
#include <vector>

#include "export/gotemplate/tree.h"

namespace dlm::gotemplate {

// Throws Error(kFormat) for what the language refuses at run time: an unknown function or variable,
// a field that a struct lacks, an index out of range, values that cannot be compared.
std::string evaluate(const std::vector<Node>& nodes, const Value& data);

}  // namespace dlm::gotemplate
