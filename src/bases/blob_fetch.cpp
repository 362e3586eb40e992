#include "bases/blob_fetch.h"

#include <chrono>
#include <optional>
#include <thread>

#include "bases/blob_digest.h"
#include "support/error.h"
#include "support/file_lock.h"
#include "support/git_hash.h"
#include "support/hash.h"
#include "support/part_file.h"

namespace dlm {
namespace {

constexpr auto kLockPoll = std::chrono::milliseconds(100);
// So that the last sync has little left to wait for.
constexpr uint64_t kWritebackBytes = uint64_t{32} << 20;

// The lock of Hugging Face's programs: they take it with flock(2) and leave its file behind. It is
// left here too, since one of them may have opened it already.
class BlobLock {
 public:
  BlobLock(const fs::path& path, const std::function<void()>& check_stopped) {
    make_folders(path.parent_path());
    while (!(lock_ = FileLock::try_acquire(path))) {
      if (check_stopped) check_stopped();
      std::this_thread::sleep_for(kLockPoll);
    }
  }
  ~BlobLock() { lock_->abandon(); }
  BlobLock(const BlobLock&) = delete;
  BlobLock& operator=(const BlobLock&) = delete;

 private:
  std::optional<FileLock> lock_;
};

class BlobTarget : public HttpTarget {
 public:
  BlobTarget(const fs::path& path, const HubFile& file, const BlobEvents& events)
      : file_(path),
        digest_(
            [this](uint64_t offset, std::span<std::byte> bytes) { file_.read_at(offset, bytes); },
            file.size, file.digest.size()),
        events_(events) {
    tell(static_cast<int64_t>(file_.size()));
    if (file_.size() > file.size) {
      restart();
    } else {
      digest_.advance(file_.size());
    }
  }

  uint64_t size() const override { return file_.size(); }
  void write(std::span<const std::byte> bytes) override {
    file_.write(bytes);
    if (file_.size() - flushed_ >= kWritebackBytes) {
      file_.start_writeback();
      flushed_ = file_.size();
    }
    digest_.advance(file_.size());
    tell(static_cast<int64_t>(bytes.size()));
  }
  void restart() override {
    tell(-static_cast<int64_t>(file_.size()));
    digest_.restart();
    file_.cut(0);
    flushed_ = 0;
  }

  std::string finish() {
    file_.sync();
    return digest_.finish();
  }

 private:
  void tell(int64_t bytes) const {
    if (events_.on_bytes) events_.on_bytes(bytes);
  }

  PartFile file_;
  BlobDigest digest_;
  const BlobEvents& events_;
  uint64_t flushed_ = 0;
};

bool is_there(const fs::path& blob, uint64_t size) {
  std::error_code error;
  return fs::is_regular_file(blob, error) && fs::file_size(blob, error) == size && !error;
}

}  // namespace

void fetch_blob(HubClient& client, const HubName& name, const std::string& commit,
                const HubFile& file, const HubCache& cache, const BlobEvents& events) {
  const fs::path blob = cache.blob(file.digest), part = cache.part(file.digest);
  const auto is_done = [&] {
    if (!is_there(blob, file.size)) return false;
    if (events.on_bytes) events.on_bytes(static_cast<int64_t>(file.size));
    return true;
  };
  if (is_done()) return;
  const BlobLock lock(cache.lock(file.digest), events.check_stopped);
  if (is_done()) return;
  make_folders(cache.blobs());
  // Bytes of an earlier attempt may be damaged: then all are fetched once more.
  bool is_resumed = path_exists(part) && fs::file_size(part) > 0;
  while (true) {
    BlobTarget target(part, file, events);
    client.fetch(name, commit, file, target);
    const std::string found = target.finish();
    if (found == file.digest) break;
    target.restart();
    if (is_resumed) {
      is_resumed = false;
      continue;
    }
    remove_path(part);
    throw Error(ErrorKind::kNetwork,
                file.name + " arrived with the digest " + found.substr(0, 12) + "…, not the " +
                    file.digest.substr(0, 12) + "… that was announced",
                "it was damaged or changed on its way and is not kept: try again, or another "
                "mirror");
  }
  move_path(part, blob);
}

std::string blob_digest(const fs::path& path, std::string_view digest) {
  if (digest.size() == 64) return sha256_file_hex(path);
  const std::string bytes = read_file(path);
  GitBlobHash hash(bytes.size());
  hash.update(std::as_bytes(std::span(bytes)));
  return hash.hex();
}

}  // namespace dlm
