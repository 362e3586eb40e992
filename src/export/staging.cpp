#include "export/staging.h"

#include <fcntl.h>
#include <stdio.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <vector>

#include "support/error.h"
#include "support/file_faults.h"

namespace dlm {

namespace {

constexpr const char* kStaged = ".staged-";
constexpr const char* kOld = ".old-";

// Makes every file and folder below durable.
void sync_tree(const fs::path& folder) {
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_directory()) sync_folder(entry.path());
    if (entry.is_regular_file()) sync_file(entry.path());
  }
  sync_folder(folder);
}

// Both folders change their names in one step. False where the file system cannot.
bool exchange(const fs::path& a, const fs::path& b) {
  if (const int fault = ask_file_fault(FileStep::kRename, a)) {
    throw Error(ErrorKind::kIo,
                "cannot move the export into place: " + std::generic_category().message(fault), {},
                {b.string(), 0, 0});
  }
#ifdef RENAME_EXCHANGE
  if (::renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE) == 0) return true;
#endif
  return false;
}

// A kill between the two moves of a file system without exchange left the old export aside.
void restore(const fs::path& root) {
  std::error_code none;
  std::vector<fs::path> hidden;
  for (const auto& entry : fs::directory_iterator(root, none)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(kOld) || name.starts_with(kStaged)) hidden.push_back(entry.path());
  }
  for (const fs::path& path : hidden) {
    const std::string name = path.filename().string();
    const fs::path target =
        root / name.substr(std::min(name.size(), std::string_view(kOld).size()));
    if (name.starts_with(kOld) && !path_exists(target)) {
      move_path(path, target);
    } else {
      remove_path(path);
    }
  }
}

}  // namespace

StagedExport::StagedExport(const StoreLayout& store, const std::string& name,
                           const StoreLock& lock) {
  check(lock.guards(store), "an export without the store's lock");
  const fs::path root = store.root() / "exports";
  make_folders(root);
  restore(root);
  target_ = root / name;
  folder_ = root / (kStaged + name);
  make_folders(folder_);
}

StagedExport::~StagedExport() {
  if (!is_open_) return;
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

void StagedExport::publish() {
  sync_tree(folder_);
  if (!path_exists(target_)) {
    move_path(folder_, target_);
  } else if (exchange(folder_, target_)) {
    sync_folder(target_.parent_path());
    remove_path(folder_);
  } else {
    const fs::path old = target_.parent_path() / (kOld + target_.filename().string());
    move_path(target_, old);
    move_path(folder_, target_);
    remove_path(old);
  }
  is_open_ = false;
}

}  // namespace dlm
