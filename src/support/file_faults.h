// A place for tests to make the disk fail. Every step of support/file that changes the disk asks
// the installed fault first; without one the question costs a load. Production code never installs
// any.
#pragma once

#include <filesystem>
#include <functional>

namespace dlm {

enum class FileStep { kCreate, kWrite, kSync, kSyncFolder, kRename, kMakeFolder, kRemove };

// Returns 0 to let the step happen, or the errno that it fails with. May also kill the process.
using FileFault = std::function<int(FileStep, const std::filesystem::path&)>;

// Installs a fault for the life of the object; one at a time in a process, steps of any thread ask
// it.
class ScopedFileFault {
 public:
  explicit ScopedFileFault(FileFault fault);
  ~ScopedFileFault();
  ScopedFileFault(const ScopedFileFault&) = delete;
  ScopedFileFault& operator=(const ScopedFileFault&) = delete;

 private:
  FileFault fault_;
};

// What support/file asks: 0, or an errno.
int ask_file_fault(FileStep step, const std::filesystem::path& path);

}  // namespace dlm
