// Names on a model hub: of repositories, revisions and files. All of them become parts of paths and
// addresses, so what could lead elsewhere is refused here.
#pragma once

#include <string>
#include <string_view>

namespace dlm {

struct HubName {
  std::string repository;  // "org/name"
  std::string revision;    // commit, branch or tag; "" where none was given

  // "hf:org/name@revision", or without the revision.
  std::string text() const;
};

inline constexpr const char* kDefaultRevision = "main";

// Whether a base is named by its repository: it begins with "hf:".
bool is_hub_name(std::string_view base);
// Throws Error(kBase) for text that is no "hf:org/name" or "hf:org/name@revision".
HubName parse_hub_name(std::string_view text);

// 40 lower-case hex digits.
bool is_commit(std::string_view revision);

// Whether a file of this name stays below its repository's folder, and is one that a file system
// takes.
bool is_safe_file_name(std::string_view name);

}  // namespace dlm
