#include "bases/blob_digest.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "support/git_hash.h"
#include "support/hash.h"

namespace dlm {
namespace {

// Still in the processor's cache when it is read back.
constexpr uint64_t kPiece = uint64_t{512} << 10;

// Either kind of digest.
class Digest {
 public:
  Digest(uint64_t size, size_t digits) {
    if (digits == 40) git_.emplace(size);
  }
  void update(std::span<const std::byte> bytes) {
    if (git_) {
      git_->update(bytes);
    } else {
      sha256_.update(bytes);
    }
  }
  std::string hex() const { return git_ ? git_->hex() : sha256_.hex(); }

 private:
  Sha256 sha256_;
  std::optional<GitBlobHash> git_;
};

}  // namespace

BlobDigest::BlobDigest(ReadAt read_at, uint64_t size, size_t digits)
    : read_at_(std::move(read_at)), size_(size), digits_(digits), thread_([this] { run(); }) {}

BlobDigest::~BlobDigest() {
  {
    const std::lock_guard lock(mutex_);
    ends_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void BlobDigest::advance(uint64_t written) {
  {
    const std::lock_guard lock(mutex_);
    // Waking the thread for less costs more than it gains.
    const bool is_worth_it = written == size_ || written / kPiece > written_ / kPiece;
    written_ = written;
    if (!is_worth_it) return;
  }
  changed_.notify_all();
}

void BlobDigest::restart() {
  const std::lock_guard lock(mutex_);
  written_ = 0;
  ++generation_;
}

std::string BlobDigest::finish() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return !result_.empty() || error_; });
  if (error_) std::rethrow_exception(error_);
  return result_;
}

void BlobDigest::run() {
  try {
    std::vector<std::byte> buffer(static_cast<size_t>(std::min(kPiece, size_)));
    std::unique_lock lock(mutex_);
    while (!ends_) {
      const int64_t generation = generation_;
      Digest digest(size_, digits_);
      uint64_t done = 0;
      while (!ends_ && generation == generation_ && done < size_) {
        const uint64_t ready = written_;
        if (ready - done < std::min(kPiece, size_ - done)) {
          changed_.wait(lock);
          continue;
        }
        lock.unlock();
        const auto bytes =
            std::span(buffer).first(static_cast<size_t>(std::min(kPiece, ready - done)));
        std::exception_ptr fault;
        try {
          read_at_(done, bytes);
        } catch (...) {
          fault = std::current_exception();
        }
        if (!fault) digest.update(bytes);
        lock.lock();
        // A file that was cut meanwhile has nothing to read there.
        if (fault && generation == generation_) std::rethrow_exception(fault);
        done += bytes.size();
      }
      if (ends_ || generation != generation_) continue;
      result_ = digest.hex();
      changed_.notify_all();
      return;
    }
  } catch (...) {
    const std::lock_guard lock(mutex_);
    error_ = std::current_exception();
    changed_.notify_all();
  }
}

}  // namespace dlm
