// Rewrites the text of an older document in the current schema version. The frontmatter's text is
// edited where it stands: comments, order and quoting of everything that the migration does not
// touch survive, and the body keeps its bytes, so that no section changes its id. It reads and
// writes no file.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "doc/warning.h"

namespace dlm {

struct MigratedText {
  std::string bytes;          // the whole document
  int from = 1;               // the version that it was written in
  bool is_applied = false;    // false: it is current already, and `bytes` are as they were given
  bool kept_comments = true;  // false: the frontmatter was written anew, in canonical form
  std::vector<Warning> warnings;
};

// The result has been read back: it holds the same settings and the same sections. Throws what
// parse_document throws.
MigratedText migrate_text(std::string_view bytes, const std::string& path);

}  // namespace dlm
