// The exclusive lock of a store, `.lock`: held by every command that changes the store, ended by
// the kernel when the process ends. The three lines in it (pid, host, seconds) are for people and
// for the Python program, which only looks at them.
#pragma once

#include <string>

#include "store/store_layout.h"
#include "support/clock.h"
#include "support/file_lock.h"

namespace dlm {

class StoreLock {
 public:
  // Creates the store folder when it is absent. Throws Error(kLocked), naming process and host,
  // when another process holds the store.
  static StoreLock acquire(const StoreLayout& store, const Clock& clock);

  bool guards(const StoreLayout& store) const { return root_ == store.root(); }

 private:
  StoreLock(FileLock lock, fs::path root) : lock_(std::move(lock)), root_(std::move(root)) {}
  FileLock lock_;
  fs::path root_;
};

}  // namespace dlm
