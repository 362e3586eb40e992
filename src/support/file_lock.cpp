// flock(2) on a descriptor. Removal on release needs care: a waiter may have opened the file that
// is being removed, so the holder checks that the path still names the file that it locked.
#include "support/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

#include "support/error.h"

namespace dlm {
namespace {

// A lock file holds a few short lines; more is not ours and not worth reading.
constexpr size_t kMostContent = 4096;

[[noreturn]] void throw_lock(const char* action, const std::filesystem::path& path) {
  throw Error(
      ErrorKind::kIo,
      std::string("cannot ") + action + ": " + std::generic_category().message(errno),
      errno == EACCES || errno == EPERM ? "check the permissions of the file and its folder" : "",
      {path.string()});
}

std::string read_descriptor(int descriptor) {
  std::array<char, kMostContent> buffer;
  const ssize_t count = ::pread(descriptor, buffer.data(), buffer.size(), 0);
  return count <= 0 ? std::string() : std::string(buffer.data(), static_cast<size_t>(count));
}

bool names_the_file(const std::filesystem::path& path, int descriptor) {
  struct stat by_path {
  }, by_descriptor{};
  return ::stat(path.c_str(), &by_path) == 0 && ::fstat(descriptor, &by_descriptor) == 0 &&
         by_path.st_dev == by_descriptor.st_dev && by_path.st_ino == by_descriptor.st_ino;
}

}  // namespace

std::optional<FileLock> FileLock::try_acquire(const std::filesystem::path& path) {
  while (true) {
    const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (descriptor < 0) {
      if (errno == EINTR) continue;
      throw_lock("open the lock file", path);
    }
    FileLock lock(path, descriptor, {});
    if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
      const int code = errno;
      lock.abandon();
      if (code == EWOULDBLOCK) return std::nullopt;
      if (code == EINTR) continue;
      errno = code;
      throw_lock("lock the file", path);
    }
    if (names_the_file(path, descriptor)) {
      lock.found_content_ = read_descriptor(descriptor);
      return lock;
    }
    lock.abandon();  // its holder removed it between our open and our lock
  }
}

FileLock::FileLock(std::filesystem::path path, int descriptor, std::string found_content)
    : path_(std::move(path)), descriptor_(descriptor), found_content_(std::move(found_content)) {}

FileLock::FileLock(FileLock&& other) noexcept
    : path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      found_content_(std::move(other.found_content_)) {}

FileLock& FileLock::operator=(FileLock&& other) noexcept {
  if (this != &other) {
    release();
    path_ = std::move(other.path_);
    descriptor_ = std::exchange(other.descriptor_, -1);
    found_content_ = std::move(other.found_content_);
  }
  return *this;
}

FileLock::~FileLock() {
  release();
}

void FileLock::write(std::string_view content) {
  check(descriptor_ >= 0, "a released lock is written");
  if (::ftruncate(descriptor_, 0) != 0) throw_lock("write the lock file", path_);
  const ssize_t count = ::pwrite(descriptor_, content.data(), content.size(), 0);
  if (count != static_cast<ssize_t>(content.size())) throw_lock("write the lock file", path_);
}

void FileLock::abandon() {
  if (descriptor_ >= 0) ::close(std::exchange(descriptor_, -1));
}

void FileLock::release() {
  // Removed while still held, so that no other process can own the name in between.
  if (descriptor_ >= 0 && names_the_file(path_, descriptor_)) ::unlink(path_.c_str());
  abandon();
}

std::string read_lock_content(const std::filesystem::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (descriptor < 0) return {};
  std::string content = read_descriptor(descriptor);
  ::close(descriptor);
  return content;
}

}  // namespace dlm
