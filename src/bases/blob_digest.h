// The digest of a file that is still being written, by a thread of its own that reads what was
// written a moment ago: it is known when the last byte arrives, and costs the writer no time.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <span>
#include <string>
#include <thread>

namespace dlm {

class BlobDigest {
 public:
  // Fills the span with the file's bytes from this one on; called by the digest's own thread.
  using ReadAt = std::function<void(uint64_t offset, std::span<std::byte> bytes)>;

  // Of a file that will have `size` bytes; `digits` as in blob_digest().
  BlobDigest(ReadAt read_at, uint64_t size, size_t digits);
  ~BlobDigest();
  BlobDigest(const BlobDigest&) = delete;
  BlobDigest& operator=(const BlobDigest&) = delete;

  void advance(uint64_t written);  // so many bytes are there, and stay as they are
  void restart();                  // none is
  // Waits for all `size` bytes. Throws Error(kIo) when they cannot be read.
  std::string finish();

 private:
  void run();

  const ReadAt read_at_;
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
