#include "support/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <system_error>

#include "support/clock.h"
#include "support/error.h"
#include "support/interrupt.h"
#include "support/text.h"

extern char** environ;

namespace dlm {

namespace {

constexpr size_t kMaxOutput = size_t{1} << 20;  // of each stream; the rest is thrown away

[[noreturn]] void fail(const std::string& program, int code) {
  throw Error(ErrorKind::kIo,
              "cannot run " + program + ": " + std::generic_category().message(code));
}

pid_t spawn(const std::vector<std::string>& words, const fs::path& folder, int out, int err) {
  std::vector<std::string> copy = words;
  std::vector<char*> argv;
  for (std::string& word : copy) argv.push_back(word.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, out, 1);
  ::posix_spawn_file_actions_adddup2(&actions, err, 2);
  ::posix_spawn_file_actions_addchdir_np(&actions, folder.c_str());
  pid_t child = -1;
  const int code = ::posix_spawnp(&child, argv[0], &actions, nullptr, argv.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (code != 0) fail(words[0], code);
  return child;
}

struct Pipe {
  Pipe() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) fail("a program", errno);
    read = ends[0];
    write = ends[1];
  }
  ~Pipe() {
    ::close(read);
    close_write();
  }
  void close_write() {
    if (write >= 0) ::close(write);
    write = -1;
  }
  int read = -1;
  int write = -1;
};

int exit_code_of(int status) {
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace

std::optional<fs::path> find_program(std::string_view name) {
  const char* path = std::getenv("PATH");
  if (path == nullptr) return std::nullopt;
  for (const std::string_view folder : split(path, ':')) {
    if (folder.empty()) continue;
    const fs::path file = fs::path(folder) / name;
    std::error_code ignored;
    if (fs::is_regular_file(file, ignored) && ::access(file.c_str(), X_OK) == 0) return file;
  }
  return std::nullopt;
}

ProcessResult run_process(const std::vector<std::string>& words, const fs::path& folder,
                          int timeout_seconds, OnInterrupt on_interrupt) {
  Pipe out, err;
  const pid_t child = spawn(words, folder, out.write, err.write);
  out.close_write();
  err.close_write();
  ProcessResult result;
  const int64_t end = system_clock().monotonic_ns() + int64_t{timeout_seconds} * 1'000'000'000;
  std::array<pollfd, 2> both = {pollfd{out.read, POLLIN, 0}, pollfd{err.read, POLLIN, 0}};
  int status = 0;
  bool has_ended = false;
  // When the child has ended, what is left in the pipes is read once more; a grandchild that holds
  // them open is not awaited.
  while (true) {
    ::poll(both.data(), both.size(), has_ended ? 0 : 50);
    bool has_read = false;
    for (size_t i = 0; i < both.size(); ++i) {
      if (both[i].fd < 0 || both[i].revents == 0) continue;
      std::array<char, 4096> buffer;
      const ssize_t n = ::read(both[i].fd, buffer.data(), buffer.size());
      std::string& text = i == 0 ? result.out : result.err;
      if (n > 0 && text.size() < kMaxOutput) text.append(buffer.data(), static_cast<size_t>(n));
      if (n == 0) both[i].fd = -1;
      has_read = has_read || n > 0;
    }
    if (has_ended && !has_read) break;
    if (has_ended) continue;
    has_ended = ::waitpid(child, &status, WNOHANG) == child;
    if (has_ended) continue;
    result.timed_out = system_clock().monotonic_ns() > end;
    const bool stops = on_interrupt == OnInterrupt::kStop && is_interrupted();
    if (!result.timed_out && !stops) continue;
    ::kill(child, SIGKILL);
    ::waitpid(child, &status, 0);
    if (stops) check_interrupted();
    break;
  }
  result.exit_code = exit_code_of(status);
  return result;
}

ServerProcess::ServerProcess(const std::vector<std::string>& words, const fs::path& folder,
                             const fs::path& log) {
  const int file = ::open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (file < 0) fail(words[0], errno);
  try {
    child_ = spawn(words, folder, file, file);
  } catch (...) {
    ::close(file);
    throw;
  }
  ::close(file);
}

bool ServerProcess::is_running() {
  if (child_ < 0) return false;
  int status = 0;
  if (::waitpid(child_, &status, WNOHANG) == 0) return true;
  child_ = -1;
  return false;
}

ServerProcess::~ServerProcess() {
  if (child_ < 0) return;
  ::kill(child_, SIGTERM);
  for (int i = 0; i < 50; ++i) {
    if (!is_running()) return;
    ::usleep(100'000);
  }
  ::kill(child_, SIGKILL);
  ::waitpid(child_, nullptr, 0);
}

}  // namespace dlm
