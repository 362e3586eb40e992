// The canonical text of a document: fixed key order, defaults left out, sections as they are.
// Reading it back gives equal frontmatter and equal sections. It keeps no comments: a tool that
// changes one thing should edit the file's text instead.
#pragma once

#include <string>
#include <vector>

#include "doc/document.h"

namespace dlm {

struct SerializeOptions {
  // Also writes fields that equal their default when the document wrote them (an absent field may
  // mean "choose for me"). false: the form of the Python program.
  bool keep_written = true;
};

// Both delimiter lines included, with a final LF.
std::string serialize_frontmatter(const Frontmatter& frontmatter,
                                  const SerializeOptions& options = {});

// Throws Error(kParse) for a section that cannot be written so that it reads back: a code block
// without an end, quotes in media attributes or markers.
std::string serialize_sections(const std::vector<Section>& sections);

std::string serialize_document(const Frontmatter& frontmatter, const std::vector<Section>& sections,
                               const SerializeOptions& options = {});

}  // namespace dlm
