// What a source tree leaves out unless it says otherwise: version control, secrets, caches and
// outputs of tools, lock files, archives.
#pragma once

#include <string_view>

namespace dlm {

enum class DefaultExclude { kNone, kSecret, kOther };

// `path` is relative to the source's root.
DefaultExclude default_exclude(std::string_view path);
// Whether all paths below the folder are left out.
bool default_excludes_folder(std::string_view folder);

}  // namespace dlm
