#include "bases/hub_cache.h"

#include <algorithm>
#include <set>

#include "bases/hub_name.h"
#include "support/error.h"
#include "support/file_lock.h"
#include "support/part_file.h"
#include "support/text.h"

namespace dlm {
namespace {

constexpr std::string_view kModels = "models--";

std::string folder_name(std::string_view repository) {
  std::string name(kModels);
  for (const char c : repository) {
    if (c == '/') {
      name += "--";
    } else {
      name += c;
    }
  }
  return name;
}

// Files below a folder, links as such; none when it is absent.
std::vector<fs::path> files_below(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code error;
  for (auto it = fs::recursive_directory_iterator(folder, error);
       !error && it != fs::recursive_directory_iterator(); it.increment(error)) {
    if (!it->is_directory(error) || it->is_symlink(error)) files.push_back(it->path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

uint64_t size_of(const fs::path& path) {
  std::error_code error;
  const auto size = fs::file_size(path, error);
  return error ? 0 : size;
}

}  // namespace

HubCache::HubCache(const fs::path& cache, std::string_view repository)
    : folder_(cache / folder_name(repository)),
      locks_(cache / ".locks" / folder_name(repository)) {}

fs::path HubCache::part(std::string_view digest) const {
  return blobs() / (std::string(digest) + ".incomplete");
}

fs::path HubCache::lock(std::string_view digest) const {
  return locks_ / (std::string(digest) + ".lock");
}

std::optional<std::string> HubCache::commit_of(std::string_view revision) const {
  if (is_commit(revision)) return std::string(revision);
  const fs::path ref = folder_ / "refs" / revision;
  std::error_code error;
  if (!fs::is_regular_file(ref, error)) return std::nullopt;
  const std::string commit(trim(read_file(ref, 1024)));
  if (is_commit(commit)) return commit;
  return std::nullopt;
}

void HubCache::write_ref(std::string_view revision, std::string_view commit) const {
  if (is_commit(revision) || commit_of(revision) == commit) return;
  const fs::path ref = folder_ / "refs" / revision;
  make_folders(ref.parent_path());
  write_file_atomic(ref, commit);
}

std::vector<std::string> HubCache::commits() const {
  std::vector<std::string> all = names_in(folder_ / "snapshots");
  std::erase_if(all, [](const std::string& name) { return !is_commit(name); });
  return all;
}

std::vector<std::string> HubCache::refs_to(std::string_view commit) const {
  std::vector<std::string> refs;
  for (const fs::path& file : files_below(folder_ / "refs")) {
    const std::string name = fs::relative(file, folder_ / "refs").generic_string();
    if (commit_of(name) == commit) refs.push_back(name);
  }
  return refs;
}

void HubCache::link(std::string_view commit, std::string_view file, std::string_view digest) const {
  const fs::path link = snapshot(commit) / file;
  if (digest_of(link) == digest) return;
  make_folders(link.parent_path());
  fs::path up = "../..";
  for (auto depth = std::count(file.begin(), file.end(), '/'); depth > 0; --depth) up /= "..";
  make_link(up / "blobs" / digest, link);
}

void HubCache::mark_absent(std::string_view commit, std::string_view file) const {
  const fs::path mark = absences(commit) / file;
  if (path_exists(mark)) return;
  make_folders(mark.parent_path());
  write_file_atomic(mark, "");
}

std::string HubCache::digest_of(const fs::path& file) const {
  std::error_code error;
  const fs::path text = fs::read_symlink(file, error);
  if (error) return {};
  const fs::path target = (file.parent_path() / text).lexically_normal();
  return target.parent_path() == blobs().lexically_normal() ? target.filename().string() : "";
}

uint64_t HubCache::remove(std::string_view commit) const {
  std::set<std::string> kept, own;
  for (const std::string& name : names_in(folder_ / "snapshots")) {
    for (const fs::path& file : files_below(folder_ / "snapshots" / name)) {
      (name == commit ? own : kept).insert(digest_of(file));
    }
  }
  for (const std::string& ref : refs_to(commit)) remove_path(folder_ / "refs" / ref);
  remove_path(snapshot(commit));
  remove_path(absences(commit));
  uint64_t freed = 0;
  if (commits().empty()) {
    // What no snapshot names is left of downloads that were stopped. One that goes on is not ours
    // to take.
    for (const std::string& name : names_in(blobs())) own.insert(fs::path(name).stem().string());
  }
  for (const std::string& digest : own) {
    if (digest.empty() || kept.contains(digest)) continue;
    make_folders(locks_);
    auto held = FileLock::try_acquire(lock(digest));
    if (!held) {
      throw Error(ErrorKind::kLocked, "another program fetches a file of this base",
                  "wait until it is done", {lock(digest).string()});
    }
    for (const fs::path& path : {blob(digest), part(digest)}) {
      freed += size_of(path);
      remove_path(path);
    }
  }
  if (commits().empty() && names_in(blobs()).empty()) {
    remove_path(folder_);
    remove_path(locks_);
  }
  return freed;
}

std::vector<std::string> cached_repositories(const fs::path& cache) {
  std::vector<std::string> repositories;
  for (const std::string& name : names_in(cache)) {
    if (!name.starts_with(kModels)) continue;
    std::string repository = name.substr(kModels.size());
    const size_t middle = repository.find("--");
    if (middle == repository.npos) continue;
    repository.replace(middle, 2, "/");
    repositories.push_back(std::move(repository));
  }
  return repositories;
}

}  // namespace dlm
