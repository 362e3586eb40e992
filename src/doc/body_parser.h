// Cuts the body of a document into sections. It knows fences, code blocks and markers; what stands
// in a section is the grammar's business, except for warnings.
#pragma once

#include <vector>

#include "doc/section.h"
#include "doc/warning.h"

namespace dlm {

// `text` is the body behind the frontmatter with LF line ends; `first_line` is the file line of its
// first line; sections are parts of it. Throws Error(kParse) for a fence or marker with a mistake,
// and for a code block without an end.
std::vector<Section> parse_body(const SharedText& text, int first_line, WarningSink& warnings);

}  // namespace dlm
