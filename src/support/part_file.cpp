#include "support/part_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "support/file_step.h"

namespace dlm {

PartFile::PartFile(const fs::path& path)
    : path_(path), descriptor_(step(FileStep::kCreate, "write the file", path, [&] {
        return ::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
      })) {
  struct stat status {};
  if (::fstat(descriptor_, &status) != 0) {
    const int code = errno;
    ::close(descriptor_);
    throw_io("read the file", path_, code);
  }
  size_ = flushed_ = static_cast<uint64_t>(status.st_size);
}

PartFile::~PartFile() {
  ::close(descriptor_);
}

void PartFile::write(std::span<const std::byte> bytes) {
  write_all(descriptor_, path_, bytes);
  size_ += bytes.size();
}

void PartFile::read_at(uint64_t offset, std::span<std::byte> bytes) const {
  while (!bytes.empty()) {
    const ssize_t count =
        ::pread(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) throw_io("read the file", path_, count < 0 ? errno : EIO);
    bytes = bytes.subspan(static_cast<size_t>(count));
    offset += static_cast<uint64_t>(count);
  }
}

void PartFile::cut(uint64_t size) {
  step(FileStep::kWrite, "write the file", path_,
       [&] { return ::ftruncate(descriptor_, static_cast<off_t>(size)); });
  size_ = size;
  flushed_ = std::min(flushed_, size);
}

void PartFile::start_writeback() {
  // A hint: where the file system has no such call, sync() does all of it.
  static_cast<void>(::sync_file_range(descriptor_, static_cast<off_t>(flushed_),
                                      static_cast<off_t>(size_ - flushed_), SYNC_FILE_RANGE_WRITE));
  flushed_ = size_;
}

void PartFile::sync() {
  step(FileStep::kSync, "write the file", path_, [&] { return ::fsync(descriptor_); });
}

void make_link(const fs::path& text, const fs::path& link) {
  fs::path temporary = link;
  temporary += std::string(kTemporaryMark) + std::to_string(::getpid()) + "." + random_suffix();
  step(FileStep::kCreate, "make the link", link,
       [&] { return ::symlink(text.c_str(), temporary.c_str()); });
  try {
    move_path(temporary, link);
  } catch (...) {
    ::unlink(temporary.c_str());
    throw;
  }
}

}  // namespace dlm
