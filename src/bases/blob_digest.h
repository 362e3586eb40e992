// The digest of a file that is still being written, by a thread of its own that reads what was
// written a moment ago: it is known when the last byte arrives, and costs the writer no time.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "support/file.h"

namespace dlm {

class BlobDigest {
 public:
  // Of the file at `path`, which will have `size` bytes; `digits` as in blob_digest().
  BlobDigest(const fs::path& path, uint64_t size, size_t digits);
  ~BlobDigest();
  BlobDigest(const BlobDigest&) = delete;
  BlobDigest& operator=(const BlobDigest&) = delete;

  void advance(uint64_t written);  // so many bytes are there, and stay as they are
  void restart();                  // none is
  // Waits for all `size` bytes. Throws Error(kIo) when they cannot be read.
  std::string finish();

 private:
  void run();

  const fs::path path_;
  const uint64_t size_;
  const size_t digits_;
  std::mutex mutex_;
  std::condition_variable changed_;
  uint64_t written_ = 0;
  int64_t generation_ = 0;  // of the bytes: counts restarts
  bool ends_ = false;
  std::string result_;
  std::exception_ptr error_;
  std::thread thread_;
};

}  // namespace dlm
