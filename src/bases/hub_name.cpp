#include "bases/hub_name.h"

#include <algorithm>

#include "support/error.h"
#include "support/git_hash.h"
#include "support/text.h"

namespace dlm {
namespace {

constexpr std::string_view kPrefix = "hf:";
constexpr std::string_view kWord =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

// As the hub itself rules: "--" separates the parts of a cache folder's name.
bool is_name_part(std::string_view part) {
  return !part.empty() && part.size() <= 96 && part.find_first_not_of(kWord) == part.npos &&
         part.find("--") == part.npos && part.find("..") == part.npos && part.front() != '-' &&
         part.front() != '.' && part.back() != '-' && part.back() != '.';
}

bool is_revision(std::string_view revision) {
  if (revision.empty() || revision.size() > 200) return false;
  const auto parts = split(revision, '/');
  return std::all_of(parts.begin(), parts.end(), [](std::string_view part) {
    return !part.empty() && part.find_first_not_of(kWord) == part.npos && part.front() != '.' &&
           part.find("..") == part.npos;
  });
}

}  // namespace

std::string HubName::text() const {
  return std::string(kPrefix) + repository + (revision.empty() ? "" : "@" + revision);
}

bool is_hub_name(std::string_view base) {
  return base.starts_with(kPrefix);
}

HubName parse_hub_name(std::string_view text) {
  const auto fail = [&](const char* what) {
    throw Error(ErrorKind::kBase, "\"" + std::string(text) + "\" " + what,
                "write hf:org/name, or hf:org/name@revision with a commit, branch or tag");
  };
  if (!is_hub_name(text)) fail("is no name on the hub");
  std::string_view rest = text.substr(kPrefix.size());
  HubName name;
  if (const size_t at = rest.find('@'); at != rest.npos) {
    name.revision = rest.substr(at + 1);
    if (!is_revision(name.revision)) fail("names no revision");
    rest = rest.substr(0, at);
  }
  const size_t slash = rest.find('/');
  if (slash == rest.npos || !is_name_part(rest.substr(0, slash)) ||
      !is_name_part(rest.substr(slash + 1))) {
    fail("names no repository");
  }
  name.repository = rest;
  return name;
}

bool is_commit(std::string_view revision) {
  return is_hex(revision, 40);
}

bool is_safe_file_name(std::string_view name) {
  if (name.empty() || name.size() > 1000 || name.find('\\') != name.npos) return false;
  if (std::any_of(name.begin(), name.end(),
                  [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; })) {
    return false;
  }
  const auto parts = split(name, '/');
  return std::all_of(parts.begin(), parts.end(), [](std::string_view part) {
    return !part.empty() && part != "." && part != ".." && part.size() <= 255;
  });
}

}  // namespace dlm
