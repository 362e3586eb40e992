// Cuts the body of a document into sections. It knows fences, code blocks and markers; what stands
// in a section is the grammar's business, except for warnings.
#pragma once

#include <string_view>
#include <vector>

#include "doc/section.h"
#include "doc/warning.h"

namespace dlm {

// `body` is the text behind the frontmatter with LF line ends; `first_line` is the file line of its
// first line. Throws Error(kParse) for a fence or marker with a mistake, and for a code block
// without an end.
std::vector<Section> parse_body(std::string_view body, int first_line, WarningSink& warnings);

}  // namespace dlm
