// Adapter versions: complete or absent. A new one is written in a hidden folder that no listing
// sees, made durable, renamed to its number, and only then named by current.txt. Old versions are
// never changed and never deleted here.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/store_layout.h"
#include "store/store_lock.h"

namespace dlm {

// Numbers of the versions on disk, ascending. Hidden, rejected and foreign names are left out.
std::vector<int64_t> list_versions(const StoreLayout& store, std::string_view adapter = {});

// The folder that current.txt names, whether it exists or not; none when the file is absent or
// blank. Reads `adapter/versions/v0001` (from the store root) and `versions/v0001` (from the
// adapter's folder). Throws Error(kStore) for a path that leaves the store.
std::optional<fs::path> read_pointer(const StoreLayout& store, std::string_view adapter = {});
// The same; throws Error(kStore) when the folder is missing.
std::optional<fs::path> current_version(const StoreLayout& store, std::string_view adapter = {});
// Its number; 0 when there is none or its folder has another name.
int64_t current_version_number(const StoreLayout& store, std::string_view adapter = {});
// Makes an existing version the current one.
void set_current_version(const StoreLayout& store, int64_t number, std::string_view adapter,
                         const StoreLock& lock);

class PendingVersion {
 public:
  // The lock must live as long as the pending version.
  PendingVersion(const StoreLayout& store, std::string_view adapter, const StoreLock& lock);
  // What was neither committed nor rejected is removed.
  ~PendingVersion();
  PendingVersion(const PendingVersion&) = delete;
  PendingVersion& operator=(const PendingVersion&) = delete;

  const fs::path& folder() const { return folder_; }  // write the files here
  int64_t number() const { return number_; }          // highest existing + 1

  // Makes the files durable, gives the version its name and makes it current. Returns its folder.
  fs::path commit();
  // Keeps the files for inspection as vNNNN-rejected (then -rejected-1 to -999); current.txt stays.
  fs::path reject();

 private:
  StoreLayout store_;
  std::string adapter_;
  int64_t number_;
  fs::path folder_;
  bool is_open_ = true;
};

// Removes what killed runs left: pending versions and temporary files of the store's own folders.
// Returns how many entries were removed.
size_t remove_leftovers(const StoreLayout& store, const StoreLock& lock);

}  // namespace dlm
