#include "data/open_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace dlm {

OpenFile OpenFile::at(int folder, const char* name, int flags) {
  int descriptor = -1;
  do {
    descriptor = ::openat(folder, name, flags | O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  } while (descriptor < 0 && errno == EINTR);
  return OpenFile(descriptor);
}

OpenFile::~OpenFile() {
  const int kept = errno;
  if (descriptor_ >= 0) ::close(descriptor_);
  errno = kept;
}

OpenFile::OpenFile(OpenFile&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}

bool OpenFile::read(std::string& bytes, size_t max_bytes) const {
  constexpr size_t kPiece = size_t{1} << 20;
  const size_t start = bytes.size();
  size_t end = start;
  errno = 0;
  while (true) {
    // Room that was reserved is used up first; one byte more tells the end of the file.
    if (end == bytes.size()) {
      bytes.resize(std::max(bytes.capacity(), end + std::min(kPiece, end - start + 4096)));
    }
    const ssize_t count = ::read(descriptor_, bytes.data() + end, bytes.size() - end);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0 || end + static_cast<size_t>(count) - start > max_bytes) {
      bytes.resize(count > 0 ? start : end);
      if (count > 0) errno = EFBIG;
      return count == 0;
    }
    end += static_cast<size_t>(count);
  }
}

}  // namespace dlm
