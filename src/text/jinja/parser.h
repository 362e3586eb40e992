// Parses a template's source into its syntax tree: Jinja's statements and expressions, without what
// would reach other templates (include, import, extends, block).
#pragma once

#include <string_view>

#include "text/jinja/ast.h"

namespace dlm::jinja {

// Throws Error(kFormat) with the line of the template.
Template parse_template(std::string_view source);

}  // namespace dlm::jinja
