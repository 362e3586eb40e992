// Which sections of a document train which of its adapters.
#pragma once

#include <string_view>
#include <vector>

#include "doc/document.h"

namespace dlm {

// Throws Error(kParse) at the fence of a section that names an adapter which the document does not
// declare.
void check_routing(const Document& document);

// Indices into document.sections, ascending. A section with a name goes to that adapter; prose
// without one goes to every adapter, any other section without one to the first.
std::vector<size_t> sections_of_adapter(const Document& document, std::string_view adapter);

}  // namespace dlm
