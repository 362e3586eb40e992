// Whole-file reads, atomic writes and durable folders over POSIX calls. Each step that changes the
// disk first asks file_faults, so that tests can fail or kill the program at any of them.
#include "support/file.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <system_error>
#include <utility>
#include <vector>

#include "support/clock.h"
#include "support/error.h"
#include "support/file_step.h"

namespace dlm {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int value) : value_(value) {}
  ~Descriptor() { ::close(value_); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return value_; }

 private:
  int value_;
};

int open_to_read(const fs::path& path) {
  while (true) {
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor >= 0) return descriptor;
    if (errno != EINTR) throw_io("read the file", path, errno);
  }
}

fs::path folder_of(const fs::path& path) {
  return path.parent_path().empty() ? fs::path(".") : path.parent_path();
}

}  // namespace

[[noreturn]] void throw_io(const std::string& action, const fs::path& path, int code) {
  std::string hint;
  if (code == ENOSPC || code == EDQUOT) {
    hint = "the disk is full: free some space and run the command again; nothing was changed";
  } else if (code == EACCES || code == EPERM || code == EROFS) {
    hint = "check the permissions of the file and its folder";
  } else if (code == ENOENT) {
    hint = "check the path";
  }
  throw Error(ErrorKind::kIo, "cannot " + action + ": " + std::generic_category().message(code),
              hint, {path.string()});
}

std::string random_suffix() {
  std::array<std::byte, kSuffixDigits / 2> bytes;
  os_random(bytes);
  std::string suffix;
  for (std::byte byte : bytes) {
    suffix += "0123456789abcdef"[std::to_integer<int>(byte) >> 4];
    suffix += "0123456789abcdef"[std::to_integer<int>(byte) & 15];
  }
  return suffix;
}

void write_all(int descriptor, const fs::path& path, std::span<const std::byte> bytes) {
  // Linux writes at most 2 GiB in one call; smaller pieces let a full disk show early.
  constexpr size_t kPiece = size_t{64} << 20;
  while (!bytes.empty()) {
    const auto written = step(FileStep::kWrite, "write the file", path, [&] {
      return ::write(descriptor, bytes.data(), std::min(bytes.size(), kPiece));
    });
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
}

bool path_exists(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

bool is_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

std::string read_file(const fs::path& path, size_t max_bytes) {
  const Descriptor file(open_to_read(path));
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) throw_io("read the file", path, errno);
  if (S_ISDIR(status.st_mode)) throw_io("read the file", path, EISDIR);
  const auto refuse = [&] {
    throw Error(ErrorKind::kIo, "the file is larger than " + std::to_string(max_bytes) + " bytes",
                {}, {path.string()});
  };
  std::string bytes;
  if (S_ISREG(status.st_mode)) {
    if (static_cast<uint64_t>(status.st_size) > max_bytes) refuse();
    bytes.reserve(static_cast<size_t>(status.st_size));
  }
  std::array<char, 1 << 16> buffer;
  while (true) {
    const ssize_t count = ::read(file.get(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw_io("read the file", path, errno);
    if (count == 0) return bytes;
    if (static_cast<size_t>(count) > max_bytes - bytes.size()) refuse();
    bytes.append(buffer.data(), static_cast<size_t>(count));
  }
}

AtomicFile::AtomicFile(const fs::path& path) : target_(path) {
  // A link stays a link: the file that it names is replaced.
  std::error_code error;
  if (fs::is_symlink(path, error)) target_ = fs::weakly_canonical(path, error);
  if (error && error != std::errc::no_such_file_or_directory) {
    throw_io("write the file", path, error.value());
  }
  temporary_ = target_;
  temporary_ += std::string(kTemporaryMark) + std::to_string(::getpid()) + "." + random_suffix();
  struct stat old {};
  const bool has_old = ::stat(target_.c_str(), &old) == 0;
  if (has_old && S_ISDIR(old.st_mode)) throw_io("write the file", target_, EISDIR);
  descriptor_ = step(FileStep::kCreate, "write the file", target_, [&] {
    return ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  });
  if (has_old) static_cast<void>(::fchmod(descriptor_, old.st_mode & 07777));
}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  ::unlink(temporary_.c_str());
}

void AtomicFile::write(std::string_view text) {
  write(std::as_bytes(std::span(text)));
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  check(descriptor_ >= 0, "an atomic file is written after its commit");
  write_all(descriptor_, target_, bytes);
}

void AtomicFile::commit() {
  check(descriptor_ >= 0, "an atomic file is committed twice");
  step(FileStep::kSync, "write the file", target_, [&] { return ::fsync(descriptor_); });
  step(FileStep::kRename, "write the file", target_,
       [&] { return ::rename(temporary_.c_str(), target_.c_str()); });
  ::close(descriptor_);
  descriptor_ = -1;
  sync_folder(folder_of(target_));
}

void write_file_atomic(const fs::path& path, std::string_view bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

AppendFile::AppendFile(const fs::path& path)
    : path_(path), descriptor_(step(FileStep::kCreate, "write the file", path, [&] {
        return ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
      })) {}

AppendFile::~AppendFile() {
  ::close(descriptor_);
}

void AppendFile::write(std::string_view text) {
  write_all(descriptor_, path_, std::as_bytes(std::span(text)));
}

void AppendFile::sync() {
  step(FileStep::kSync, "write the file", path_, [&] { return ::fsync(descriptor_); });
}

void append_durably(const fs::path& path, uint64_t kept_bytes, std::string_view bytes) {
  const bool is_new = !path_exists(path);
  const Descriptor file(step(FileStep::kCreate, "write the file", path, [&] {
    return ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  }));
  step(FileStep::kWrite, "write the file", path,
       [&] { return ::ftruncate(file.get(), static_cast<off_t>(kept_bytes)); });
  write_all(file.get(), path, std::as_bytes(std::span(bytes)));
  step(FileStep::kSync, "write the file", path, [&] { return ::fsync(file.get()); });
  if (is_new) sync_folder(folder_of(path));
}

ReadFile::ReadFile(const fs::path& path) : path_(path), descriptor_(open_to_read(path)) {}

ReadFile::~ReadFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

ReadFile::ReadFile(ReadFile&& other) noexcept
    : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)) {}

uint64_t ReadFile::size() const {
  struct stat status {};
  if (::fstat(descriptor_, &status) != 0) throw_io("read the file", path_, errno);
  return static_cast<uint64_t>(status.st_size);
}

std::string ReadFile::read_at(uint64_t offset, size_t size) const {
  const uint64_t whole = this->size();
  if (offset > whole || size > whole - offset) {
    throw Error(ErrorKind::kIo, "the file ends before what is read from it", {}, {path_.string()});
  }
  std::string bytes(size, '\0');
  for (size_t done = 0; done < size;) {
    const ssize_t count =
        ::pread(descriptor_, bytes.data() + done, size - done, static_cast<off_t>(offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw_io("read the file", path_, errno);
    if (count == 0) {
      throw Error(ErrorKind::kIo, "the file became shorter while it was read", {},
                  {path_.string()});
    }
    done += static_cast<size_t>(count);
  }
  return bytes;
}

size_t remove_stale_temporaries(const fs::path& folder) {
  std::vector<fs::path> stale;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    const size_t mark = name.rfind(kTemporaryMark);
    if (mark == std::string::npos || !entry.is_regular_file(error)) continue;
    const char* first = name.data() + mark + kTemporaryMark.size();
    const char* last = name.data() + name.size();
    pid_t pid = 0;
    const auto parsed = std::from_chars(first, last, pid);
    if (parsed.ec != std::errc() || pid <= 0 || last - parsed.ptr != 1 + kSuffixDigits) continue;
    if (*parsed.ptr != '.') continue;
    const std::string_view suffix(parsed.ptr + 1, kSuffixDigits);
    if (suffix.find_first_not_of("0123456789abcdef") != suffix.npos) continue;
    const bool is_alive = ::kill(pid, 0) == 0 || errno == EPERM;
    if (!is_alive) stale.push_back(entry.path());
  }
  for (const fs::path& path : stale) remove_path(path);
  return stale.size();
}

void sync_file(const fs::path& path) {
  const Descriptor file(open_to_read(path));
  step(FileStep::kSync, "write the file", path, [&] { return ::fsync(file.get()); });
}

void sync_folder(const fs::path& path) {
  const Descriptor folder(open_to_read(path));
  step(FileStep::kSyncFolder, "write the folder", path, [&] {
    const int result = ::fsync(folder.get());
    // Some network file systems have nothing to sync for a folder and say so.
    return result != 0 && (errno == EINVAL || errno == ENOTSUP) ? 0 : result;
  });
}

void make_folders(const fs::path& path) {
  if (path.empty() || is_folder(path)) return;
  const fs::path parent = folder_of(path);
  if (parent != path) make_folders(parent);
  step(FileStep::kMakeFolder, "create the folder", path, [&] {
    const int result = ::mkdir(path.c_str(), 0755);
    // Another process may have made it in between.
    return result != 0 && errno == EEXIST && is_folder(path) ? 0 : result;
  });
  sync_folder(parent);
}

void move_path(const fs::path& from, const fs::path& to) {
  step(FileStep::kRename, "move to " + to.string(), from,
       [&] { return ::rename(from.c_str(), to.c_str()); });
  sync_folder(folder_of(to));
  if (folder_of(from) != folder_of(to)) sync_folder(folder_of(from));
}

void remove_path(const fs::path& path) {
  if (const int fault = ask_file_fault(FileStep::kRemove, path)) throw_io("remove", path, fault);
  std::error_code error;
  fs::remove_all(path, error);
  if (error) throw_io("remove", path, error.value());
}

uint64_t free_disk_bytes(const fs::path& path) {
  std::error_code error;
  fs::path place = fs::absolute(path, error);
  while (!path_exists(place) && place.has_relative_path()) place = place.parent_path();
  struct statvfs status {};
  if (::statvfs(place.c_str(), &status) != 0) throw_io("measure the free disk space", place, errno);
  return static_cast<uint64_t>(status.f_bavail) * status.f_frsize;
}

std::shared_ptr<const MappedFile> MappedFile::open(const fs::path& path) {
  const Descriptor file(open_to_read(path));
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) throw_io("read the file", path, errno);
  if (S_ISDIR(status.st_mode)) throw_io("read the file", path, EISDIR);
  const auto size = static_cast<size_t>(status.st_size);
  if (size == 0) return std::shared_ptr<const MappedFile>(new MappedFile(nullptr, 0));
  void* data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (data == MAP_FAILED) throw_io("map the file", path, errno);
  return std::shared_ptr<const MappedFile>(
      new MappedFile(static_cast<const std::byte*>(data), size));
}

void MappedFile::release(std::span<const std::byte> part) const {
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto address = reinterpret_cast<uintptr_t>(part.data());
  const uintptr_t begin = (address + page - 1) / page * page;
  const uintptr_t end = (address + part.size()) / page * page;
  // A hint: a kernel that refuses it keeps the pages, and nothing else changes.
  if (begin < end) ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

}  // namespace dlm
