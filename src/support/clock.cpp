// The system clock, and UTC times as text by calendar arithmetic; the C library's time functions,
// which read the locale and the time zone, are not used.
#include "support/clock.h"

#include <sys/random.h>
#include <time.h>

#include <cerrno>
#include <chrono>
#include <system_error>

#include <fmt/format.h>

#include "support/error.h"

namespace dlm {
namespace {

constexpr int64_t kUsPerSecond = 1'000'000;

class SystemClock : public Clock {
 public:
  int64_t unix_us() const override {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * kUsPerSecond + now.tv_nsec / 1000;
  }
  int64_t monotonic_ns() const override {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * int64_t{1'000'000'000} + now.tv_nsec;
  }
};

int64_t floor_divide(int64_t value, int64_t by) {
  return value / by - (value % by < 0 ? 1 : 0);
}

struct Fields {
  int year;
  unsigned month, day;
  int64_t hour, minute, second;
};

Fields fields_of(int64_t unix_seconds) {
  const int64_t day_number = floor_divide(unix_seconds, 86400);
  const int64_t rest = unix_seconds - day_number * 86400;
  check(day_number > -719163 && day_number < 2932897, "a time lies outside of the years 1 to 9999");
  const std::chrono::year_month_day date{
      std::chrono::sys_days(std::chrono::days(static_cast<int>(day_number)))};
  return {static_cast<int>(date.year()),
          static_cast<unsigned>(date.month()),
          static_cast<unsigned>(date.day()),
          rest / 3600,
          rest / 60 % 60,
          rest % 60};
}

// Takes digits and signs off the front of a text; remembers the first failure.
struct Scanner {
  std::string_view rest;
  bool ok = true;

  int number(size_t digits) {
    int value = 0;
    for (size_t i = 0; i < digits; ++i) {
      if (i >= rest.size() || rest[i] < '0' || rest[i] > '9') {
        ok = false;
        return 0;
      }
      value = value * 10 + (rest[i] - '0');
    }
    rest.remove_prefix(digits);
    return value;
  }
  bool take(std::string_view any_of) {
    if (rest.empty() || any_of.find(rest[0]) == any_of.npos) return false;
    rest.remove_prefix(1);
    return true;
  }
  void expect(std::string_view any_of) { ok = take(any_of) && ok; }
};

// Seconds east of UTC of `Z`, `+hh:mm`, `-hhmm` or nothing.
int64_t scan_offset(Scanner& scan) {
  if (scan.take("Zz") || scan.rest.empty()) return 0;
  const bool negative = scan.rest[0] == '-';
  scan.expect("+-");
  const int hours = scan.number(2);
  scan.take(":");
  const int minutes = scan.number(2);
  scan.ok = scan.ok && hours < 24 && minutes < 60;
  const int64_t seconds = hours * 3600 + minutes * 60;
  return negative ? -seconds : seconds;
}

}  // namespace

int64_t Clock::unix_seconds() const {
  return floor_divide(unix_us(), kUsPerSecond);
}

const Clock& system_clock() {
  static const SystemClock clock;
  return clock;
}

std::string format_utc(int64_t unix_seconds) {
  const Fields f = fields_of(unix_seconds);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", f.year, f.month, f.day, f.hour,
                     f.minute, f.second);
}

std::string format_utc_compact(int64_t unix_seconds) {
  const Fields f = fields_of(unix_seconds);
  return fmt::format("{:04}{:02}{:02}T{:02}{:02}{:02}", f.year, f.month, f.day, f.hour, f.minute,
                     f.second);
}

std::string format_utc_us(int64_t unix_us) {
  const int64_t seconds = floor_divide(unix_us, kUsPerSecond);
  return fmt::format("{}.{:06}Z", format_utc(seconds), unix_us - seconds * kUsPerSecond);
}

std::optional<int64_t> parse_utc(std::string_view text) {
  Scanner scan{text};
  const int year = scan.number(4);
  scan.expect("-");
  const int month = scan.number(2);
  scan.expect("-");
  const int day = scan.number(2);
  scan.expect("Tt ");
  const int hour = scan.number(2);
  scan.expect(":");
  const int minute = scan.number(2);
  int second = 0;
  int64_t microseconds = 0;
  if (scan.ok && scan.take(":")) {
    second = scan.number(2);
    if (scan.ok && scan.take(".")) {
      int64_t unit = 100'000;
      scan.ok = !scan.rest.empty() && scan.rest[0] >= '0' && scan.rest[0] <= '9';
      for (; !scan.rest.empty() && scan.rest[0] >= '0' && scan.rest[0] <= '9'; unit /= 10) {
        microseconds += unit * scan.number(1);
      }
    }
  }
  if (!scan.ok) return std::nullopt;
  const int64_t offset = scan_offset(scan);
  const std::chrono::year_month_day date{std::chrono::year(year),
                                         std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  if (!scan.ok || !scan.rest.empty() || year < 1 || !date.ok()) return std::nullopt;
  if (hour > 23 || minute > 59 || second > 59) return std::nullopt;
  const int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
  return (days * 86400 + hour * 3600 + minute * 60 + second - offset) * kUsPerSecond + microseconds;
}

void os_random(std::span<std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::getrandom(bytes.data(), bytes.size(), 0);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      throw Error(ErrorKind::kIo, "the operating system gives no random bytes: " +
                                      std::generic_category().message(errno));
    }
    bytes = bytes.subspan(static_cast<size_t>(count));
  }
}

}  // namespace dlm
