// An export folder that appears whole. Files are made in a hidden folder beside it; when all are
// durable the two folders change places in one step of the file system, so that a kill at any
// instant leaves the old export or the new one. What killed runs left is removed by the next.
#pragma once

#include <string>

#include "store/store_layout.h"
#include "store/store_lock.h"

namespace dlm {

class StagedExport {
 public:
  // Removes what killed exports left, and makes the hidden folder. The lock must outlive it.
  StagedExport(const StoreLayout& store, const std::string& name, const StoreLock& lock);
  // What was not published is removed.
  ~StagedExport();
  StagedExport(const StagedExport&) = delete;
  StagedExport& operator=(const StagedExport&) = delete;

  const fs::path& folder() const { return folder_; }  // write the files here
  const fs::path& target() const { return target_; }
  // Puts the folder under its name, in place of one that is there, which is removed.
  void publish();

 private:
  fs::path target_;
  fs::path folder_;
  bool is_open_ = true;
};

}  // namespace dlm
