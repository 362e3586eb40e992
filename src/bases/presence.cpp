#include "bases/presence.h"

#include <algorithm>

#include "bases/blob_fetch.h"
#include "bases/hub_cache.h"
#include "bases/hub_name.h"
#include "bases/registry.h"
#include "support/error.h"

namespace dlm {
namespace {

std::vector<fs::path> files_in(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    if (entry.is_regular_file(error) || entry.is_symlink(error)) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

uint64_t size_of(const fs::path& file) {
  std::error_code error;
  const auto size = fs::file_size(file, error);
  return error ? 0 : size;
}

bool is_below(const fs::path& folder, const fs::path& root) {
  if (root.empty()) return false;
  const auto relative = folder.lexically_normal().lexically_relative(root.lexically_normal());
  return !relative.empty() && *relative.begin() != "..";
}

bool is_keyed(const std::string& repository, const std::string& commit) {
  return std::any_of(known_bases().begin(), known_bases().end(), [&](const BaseInfo& base) {
    return base.hf_id == repository && base.revision == commit;
  });
}

}  // namespace

BasePresence find_presence(std::string_view base, const BaseSearch& search) {
  BasePresence presence;
  try {
    presence.folder = locate_base(base, search);
    presence.is_whole = true;
  } catch (const Error& error) {
    // Only a fault of a file has a place.
    presence.is_partial = !error.place().path.empty();
    if (!presence.is_partial) return presence;
    presence.problem = error.what();
    const fs::path place = error.place().path;
    presence.folder = is_folder(place) ? place : place.parent_path();
  }
  for (const fs::path& file : files_in(presence.folder)) presence.bytes += size_of(file);
  presence.is_in_cache = is_below(presence.folder, search.hub_cache);
  return presence;
}

std::vector<std::string> other_cached_bases(const BaseSearch& search) {
  std::vector<std::string> bases;
  if (search.hub_cache.empty()) return bases;
  for (const std::string& repository : cached_repositories(search.hub_cache)) {
    const HubCache cache(search.hub_cache, repository);
    for (const std::string& commit : cache.commits()) {
      if (is_keyed(repository, commit) || !is_whole_base(cache.snapshot(commit))) continue;
      bases.push_back(HubName{repository, commit}.text());
    }
  }
  return bases;
}

std::vector<CheckedFile> verify_files(const fs::path& folder, const BaseSearch& search) {
  std::vector<CheckedFile> checked;
  // CACHE/models--org--name/snapshots/COMMIT
  const fs::path repository = folder.parent_path().parent_path();
  const fs::path blobs = (repository / "blobs").lexically_normal();
  for (const fs::path& file : files_in(folder)) {
    CheckedFile one{file.filename().string(), size_of(file), CheckedFile::State::kUnknown};
    std::error_code error;
    const fs::path link = fs::read_symlink(file, error);
    const fs::path blob = (folder / link).lexically_normal();
    if (!error && is_below(folder, search.hub_cache) && blob.parent_path() == blobs) {
      const std::string digest = blob.filename().string();
      one.state = path_exists(blob) && blob_digest(blob, digest) == digest
                      ? CheckedFile::State::kIntact
                      : CheckedFile::State::kDamaged;
    }
    checked.push_back(std::move(one));
  }
  return checked;
}

CachedPlace cached_place(std::string_view base, const BaseSearch& search) {
  if (search.hub_cache.empty()) return {};
  HubName name;
  if (is_hub_name(base)) {
    name = parse_hub_name(base);
  } else {
    const BaseInfo& info = require_known_base(base);
    if (info.hf_id.empty()) return {};
    name = {std::string(info.hf_id), std::string(info.revision)};
  }
  const auto commit = HubCache(search.hub_cache, name.repository)
                          .commit_of(name.revision.empty() ? kDefaultRevision : name.revision);
  if (!commit) return {};
  return {name.repository, *commit};
}

}  // namespace dlm
