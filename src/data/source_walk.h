// One walk over a source tree, in the order of its paths, component by component. Folders of which
// nothing can be taken are not entered; links to folders are not followed, so a walk ends.
#pragma once

#include <sys/stat.h>

#include <functional>
#include <optional>
#include <string>

#include "data/source_rules.h"
#include "doc/warning.h"
#include "support/file.h"

namespace dlm {

// A file that the rules take. `folder` is an open descriptor, `name` the entry in it.
struct WalkedFile {
  const std::string& path;  // relative to the root, with '/'
  int folder;
  const char* name;
  bool is_link;
  bool allows_secrets;
  const SourceRules& rules;  // as they stand in the file's folder
};

// A `.dlm` folder that was found.
struct TreeConfigFound {
  std::string folder;                // that `.dlm` lies in, relative to the root; "" for the root
  std::optional<TreeConfig> config;  // of training.yaml, when it could be used
  bool has_training_yaml = false;
  bool has_ignore = false;
  size_t num_ignore_rules = 0;
};

struct WalkEvents {
  // Files of a folder that will come next, as far as names tell; may be empty.
  std::function<void(int folder, const char* name)> on_ahead;
  // Files in their order; false ends the walk.
  std::function<bool(const WalkedFile&)> on_file;
  std::function<void(const std::string& path, SourceChoice choice)> on_left_out;
  std::function<void(const std::string& folder)> on_folder_left_out;
  std::function<void(const std::string& path, const std::string& reason)> on_unreadable;
  // A name that is no UTF-8 text; the path has U+FFFD in its place.
  std::function<void(const std::string& path)> on_bad_name;
  std::function<void(const TreeConfigFound&)> on_config;
  std::function<void(const Warning&)> on_warning;  // of training.yaml and ignore files
};

// `shown_root` stands in messages. Throws Error(kIo) when the root cannot be read, or the tree has
// more than 5 million entries or 200 levels.
void walk_source_tree(const fs::path& root, const std::string& shown_root, SourceRules& rules,
                      const WalkEvents& events);

}  // namespace dlm
