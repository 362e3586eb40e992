// The installed fault is one atomic pointer, so that the question is free of locks.
#include "support/file_faults.h"

#include <atomic>
#include <utility>

#include "support/error.h"

namespace dlm {
namespace {

std::atomic<const FileFault*> installed{nullptr};

}  // namespace

ScopedFileFault::ScopedFileFault(FileFault fault) : fault_(std::move(fault)) {
  const FileFault* none = nullptr;
  check(installed.compare_exchange_strong(none, &fault_), "two file faults are installed at once");
}

ScopedFileFault::~ScopedFileFault() {
  installed.store(nullptr);
}

int ask_file_fault(FileStep step, const std::filesystem::path& path) {
  const FileFault* fault = installed.load(std::memory_order_acquire);
  return fault == nullptr ? 0 : (*fault)(step, path);
}

}  // namespace dlm
