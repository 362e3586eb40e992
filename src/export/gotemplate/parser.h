// Go template source to its tree: actions, if, with, range, break, continue, variables. It refuses,
// by name, what chat templates do not need (define, template, block).
#pragma once

#include <string_view>
#include <vector>

#include "export/gotemplate/tree.h"

namespace dlm::gotemplate {

// Throws Error(kFormat) with the line.
std::vector<Node> parse(std::string_view source);

}  // namespace dlm::gotemplate
