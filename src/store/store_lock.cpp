// Who holds a store. Our own processes hold a kernel lock; the Python program holds only the
// existence of the file, so a file that it left is judged by the process that it names.
#include "store/store_lock.h"

#include <signal.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <optional>

#include <fmt/format.h>

#include "support/error.h"
#include "support/text.h"

namespace dlm {
namespace {

constexpr int64_t kUsPerSecond = 1'000'000;
// We write nanoseconds, which Python's shortest form of such a number never needs: nine decimals
// mark a file whose holder also held the kernel lock, and is dead when that lock is free.
constexpr size_t kOwnDecimals = 9;

struct Holder {
  int64_t pid = 0;
  std::string host;
  int64_t since_us = 0;
  bool is_ours = false;
};

// None for a file that is cut off or no lock file.
std::optional<Holder> parse_holder(const std::string& content) {
  const std::vector<std::string_view> lines = split(content, '\n');
  if (lines.size() < 3) return std::nullopt;
  Holder holder;
  const std::string_view pid = trim(lines[0]), since = trim(lines[2]);
  const auto parsed = std::from_chars(pid.data(), pid.data() + pid.size(), holder.pid);
  if (parsed.ec != std::errc() || parsed.ptr != pid.data() + pid.size()) return std::nullopt;
  holder.host = trim(lines[1]);
  double seconds = 0;
  const auto time = std::from_chars(since.data(), since.data() + since.size(), seconds);
  if (time.ec != std::errc() || time.ptr != since.data() + since.size()) return std::nullopt;
  if (!std::isfinite(seconds) || std::abs(seconds) > 1e11) return std::nullopt;
  holder.since_us = static_cast<int64_t>(seconds * kUsPerSecond);
  const size_t point = since.find('.');
  holder.is_ours = point != since.npos && since.size() - point - 1 == kOwnDecimals;
  return holder;
}

std::string host_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) return "unknown";
  return name.data();
}

// When the process started, or none when the system does not tell (proc(5): field 22 of stat counts
// clock ticks from boot, btime is the boot in seconds of Unix time).
std::optional<int64_t> start_of_process_us(int64_t pid) {
  try {
    const std::string stat = read_file(fmt::format("/proc/{}/stat", pid), 1 << 16);
    const size_t name_end = stat.rfind(')');  // the name in field 2 may hold blanks
    if (name_end == std::string::npos) return std::nullopt;
    const auto fields = split(std::string_view(stat).substr(name_end + 1), ' ');
    if (fields.size() < 21) return std::nullopt;
    const int64_t ticks = std::strtoll(std::string(fields[20]).c_str(), nullptr, 10);
    const std::string boot = read_file("/proc/stat", 1 << 24);
    const size_t at = boot.find("\nbtime ");
    if (at == std::string::npos) return std::nullopt;
    const int64_t boot_seconds = std::strtoll(boot.c_str() + at + 7, nullptr, 10);
    return boot_seconds * kUsPerSecond + ticks * kUsPerSecond / ::sysconf(_SC_CLK_TCK);
  } catch (const Error&) {
    return std::nullopt;  // no proc file system: the caller takes the process for the holder
  }
}

// Whether the process that the file names is alive and is not a later one with the same number.
bool is_still_running(const Holder& holder) {
  if (holder.pid <= 0 || holder.pid == ::getpid()) return false;
  if (::kill(static_cast<pid_t>(holder.pid), 0) != 0 && errno != EPERM) return false;
  constexpr int64_t kClockSlackUs = 5 * kUsPerSecond;
  const auto start = start_of_process_us(holder.pid);
  return !start || *start <= holder.since_us + kClockSlackUs;
}

[[noreturn]] void throw_locked(const StoreLayout& store, const std::optional<Holder>& holder,
                               const std::string& hint) {
  std::string who = "another process";
  if (holder) {
    who = fmt::format("process {} on {}, since {}Z", holder->pid, holder->host,
                      format_utc(holder->since_us / kUsPerSecond));
  }
  throw Error(ErrorKind::kLocked, "the store is in use by " + who, hint,
              {store.exclusive_lock().string()});
}

}  // namespace

StoreLock StoreLock::acquire(const StoreLayout& store, const Clock& clock) {
  make_folders(store.root());
  const fs::path path = store.exclusive_lock();
  std::optional<FileLock> lock = FileLock::try_acquire(path);
  if (!lock) {
    throw_locked(store, parse_holder(read_lock_content(path)),
                 "wait until it is done, or stop it, and run the command again");
  }
  const std::optional<Holder> left = parse_holder(lock->found_content());
  if (left && !left->is_ours) {
    const bool is_foreign = left->host != host_name();
    if (is_foreign || is_still_running(*left)) {
      lock->abandon();
      throw_locked(store, left,
                   is_foreign ? "if nothing runs there any more, delete the lock file"
                              : "wait until it is done, or stop it, and run the command again");
    }
  }
  const int64_t now = clock.unix_us();
  lock->write(fmt::format("{}\n{}\n{}.{:06}000\n", ::getpid(), host_name(), now / kUsPerSecond,
                          now % kUsPerSecond));
  return StoreLock(std::move(*lock), store.root());
}

}  // namespace dlm
