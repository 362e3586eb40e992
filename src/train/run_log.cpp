#include "train/run_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "support/error.h"

namespace dlm {

namespace {
[[noreturn]] void fail(const fs::path& path) {
  throw Error(ErrorKind::kIo, std::string("cannot write the log: ") + std::strerror(errno),
              errno == ENOSPC ? "free some disk space and train again" : "check the store's folder",
              {path.string(), 0, 0});
}
}  // namespace

RunLog::RunLog(const fs::path& path, const Clock& clock)
    : path_(path),
      clock_(clock),
      descriptor_(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644)) {
  if (descriptor_ < 0) fail(path_);
}

RunLog::~RunLog() {
  ::close(descriptor_);
}

void RunLog::write(const char* type, Json event) {
  event.set("type", type);
  event.set("timestamp", format_utc(clock_.unix_seconds()));
  const std::string line = event.dump_sorted(-1) + "\n";
  for (size_t done = 0; done < line.size();) {
    const ssize_t n = ::write(descriptor_, line.data() + done, line.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) fail(path_);
    done += static_cast<size_t>(n);
  }
}

void RunLog::sync() {
  if (::fsync(descriptor_) != 0) fail(path_);
}

}  // namespace dlm
