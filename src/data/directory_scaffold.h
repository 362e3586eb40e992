// `dlm train DIR`: the document of a folder, DIR/.dlm/NAME.dlm, which names the folder as its
// source. It is written once and then belongs to its author.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "doc/frontmatter.h"
#include "support/clock.h"
#include "support/file.h"

namespace dlm {

struct ScaffoldRequest {
  fs::path folder;
  std::optional<std::string> base_model;
  std::vector<std::string> include;  // empty: everything
  std::vector<std::string> exclude;
  bool is_recursive = true;
  std::optional<std::string> name;      // none: "corpus", or the only document there is
  std::optional<SourcesPolicy> policy;  // none: strict
  bool rescaffold =
      false;  // writes the document anew, under its id; the old one becomes NAME.dlm.bak
};

struct Scaffold {
  fs::path document;
  std::string dlm_id;
  bool is_new = false;  // written now
};

// Throws Error(kIo): the folder is missing, it holds several documents, a first run names no
// base, or the document that stands there already says otherwise than the request.
Scaffold scaffold_directory(const ScaffoldRequest& request, const Clock& clock,
                            const RandomSource& random);

}  // namespace dlm
