#include "bases/blob_digest.h"

#include <algorithm>
#include <optional>
#include <span>

#include "support/git_hash.h"
#include "support/hash.h"

namespace dlm {
namespace {

constexpr uint64_t kPiece = uint64_t{1} << 20;

// Either kind of digest.
class Digest {
 public:
  Digest(uint64_t size, size_t digits) {
    if (digits == 40) git_.emplace(size);
  }
  void update(std::string_view bytes) {
    if (git_) {
      git_->update(std::as_bytes(std::span(bytes)));
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

BlobDigest::BlobDigest(const fs::path& path, uint64_t size, size_t digits)
    : path_(path), size_(size), digits_(digits), thread_([this] { run(); }) {}

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
    const ReadFile file(path_);
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
        const std::string bytes =
            file.read_at(done, static_cast<size_t>(std::min(kPiece, ready - done)));
        digest.update(bytes);
        done += bytes.size();
        lock.lock();
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
