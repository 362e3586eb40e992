// The commit of adapter versions. The order of the disk steps is the contract: files, their folder,
// the rename, the folder of versions, the pointer.
#include "store/adapter_versions.h"

#include <algorithm>
#include <charconv>

#include "store/replay_corpus.h"
#include "support/error.h"
#include "support/text.h"

namespace dlm {
namespace {

constexpr std::string_view kPendingPrefix = ".pending-";

// "v0012" → 12; none for other names.
std::optional<int64_t> version_number(const std::string& name) {
  if (name.size() < 2 || name[0] != 'v') return std::nullopt;
  int64_t number = 0;
  const auto parsed = std::from_chars(name.data() + 1, name.data() + name.size(), number);
  if (parsed.ec != std::errc() || parsed.ptr != name.data() + name.size() || number < 1) {
    return std::nullopt;
  }
  return number;
}

std::vector<fs::path> entries_of(const fs::path& folder) {
  std::vector<fs::path> entries;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    entries.push_back(entry.path());
  }
  std::sort(entries.begin(), entries.end());
  return entries;
}

void sync_tree(const fs::path& folder) {
  for (const fs::path& entry : entries_of(folder)) {
    std::error_code error;
    if (fs::is_symlink(entry, error)) continue;
    if (is_folder(entry)) {
      sync_tree(entry);
    } else {
      sync_file(entry);
    }
  }
  sync_folder(folder);
}

void write_pointer(const StoreLayout& store, const fs::path& version, std::string_view adapter) {
  write_file_atomic(store.current(adapter), store.relative(version) + "\n");
}

}  // namespace

std::vector<int64_t> list_versions(const StoreLayout& store, std::string_view adapter) {
  std::vector<int64_t> numbers;
  for (const fs::path& entry : entries_of(store.versions(adapter))) {
    const auto number = version_number(entry.filename().string());
    if (number && is_folder(entry)) numbers.push_back(*number);
  }
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

std::optional<fs::path> read_pointer(const StoreLayout& store, std::string_view adapter) {
  const fs::path path = store.current(adapter);
  if (!path_exists(path)) return std::nullopt;
  const std::string text = read_file(path, 1 << 16);
  const std::string target(trim(text));
  if (target.empty()) return std::nullopt;
  const auto refuse = [&](const std::string& reason) {
    throw Error(ErrorKind::kStore, "\"" + target + "\" " + reason,
                "write the name of a version into it, as adapter/versions/v0001", {path.string()});
  };
  if (target.find_first_of(std::string_view("\n\r\0", 3)) != target.npos) refuse("is no path");
  const fs::path from = target.starts_with("versions/") ? store.adapter(adapter) : store.root();
  const fs::path full = (from / target).lexically_normal();
  // Links are followed where they exist, so that one cannot lead out either.
  std::error_code error;
  const fs::path root = fs::weakly_canonical(store.root(), error);
  const fs::path real = error ? fs::path() : fs::weakly_canonical(full, error);
  const fs::path inside = real.lexically_relative(root);
  if (error || inside.empty() || inside == "." || *inside.begin() == "..")
    refuse("leads out of the store");
  return full;
}

std::optional<fs::path> current_version(const StoreLayout& store, std::string_view adapter) {
  std::optional<fs::path> version = read_pointer(store, adapter);
  if (version && !is_folder(*version)) {
    throw Error(ErrorKind::kStore,
                "the current version " + store.relative(*version) + " does not exist",
                "name another version of the folder in it, or train again",
                {store.current(adapter).string()});
  }
  return version;
}

int64_t current_version_number(const StoreLayout& store, std::string_view adapter) {
  const std::optional<fs::path> version = current_version(store, adapter);
  return version ? version_number(version->filename().string()).value_or(0) : 0;
}

void set_current_version(const StoreLayout& store, int64_t number, std::string_view adapter,
                         const StoreLock& lock) {
  check(lock.guards(store), "a version is made current without its store's lock");
  const fs::path version = store.version(number, adapter);
  if (!is_folder(version)) {
    throw Error(ErrorKind::kStore, "there is no version " + version_name(number), {},
                {version.parent_path().string()});
  }
  write_pointer(store, version, adapter);
}

PendingVersion::PendingVersion(const StoreLayout& store, std::string_view adapter,
                               const StoreLock& lock)
    : store_(store), adapter_(adapter) {
  check(lock.guards(store), "a version is begun without its store's lock");
  const std::vector<int64_t> existing = list_versions(store, adapter);
  number_ = existing.empty() ? 1 : existing.back() + 1;
  folder_ = store.versions(adapter) / (std::string(kPendingPrefix) + version_name(number_));
  remove_path(folder_);
  make_folders(folder_);
}

PendingVersion::~PendingVersion() {
  if (!is_open_) return;
  try {
    remove_path(folder_);
  } catch (const Error&) {
    // The next run removes it; a destructor has no one to tell.
  }
}

fs::path PendingVersion::commit() {
  check(is_open_, "a version is committed twice");
  sync_tree(folder_);
  const fs::path version = store_.version(number_, adapter_);
  move_path(folder_, version);
  is_open_ = false;
  write_pointer(store_, version, adapter_);
  return version;
}

fs::path PendingVersion::reject() {
  check(is_open_, "a committed version is rejected");
  const std::string name = version_name(number_) + "-rejected";
  fs::path target = store_.versions(adapter_) / name;
  constexpr int kMostRejected = 999;
  for (int i = 1; path_exists(target); ++i) {
    if (i > kMostRejected) {
      throw Error(ErrorKind::kStore, "too many rejected versions of one number",
                  "delete the folders that end in -rejected", {target.parent_path().string()});
    }
    target = store_.versions(adapter_) / (name + "-" + std::to_string(i));
  }
  move_path(folder_, target);
  is_open_ = false;
  return target;
}

size_t remove_leftovers(const StoreLayout& store, const StoreLock& lock) {
  check(lock.guards(store), "a store is cleaned without its lock");
  std::vector<fs::path> adapters = {store.adapter()};
  for (const fs::path& entry : entries_of(store.adapter())) {
    if (is_stored_adapter_name(entry.filename().string())) adapters.push_back(entry);
  }
  finish_rewrite(store, lock);
  size_t removed = remove_stale_temporaries(store.root());
  for (const fs::path& folder : {store.replay(), store.logs()}) {
    removed += remove_stale_temporaries(folder);
  }
  for (const fs::path& adapter : adapters) {
    removed += remove_stale_temporaries(adapter);
    removed += remove_stale_temporaries(adapter / ".checkpoint");
    for (const fs::path& entry : entries_of(adapter / "versions")) {
      if (!entry.filename().string().starts_with(kPendingPrefix)) continue;
      remove_path(entry);
      ++removed;
    }
  }
  return removed;
}

}  // namespace dlm
