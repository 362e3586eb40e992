// Time and randomness of the machine behind narrow types, so that tests can put their own in place.
// Nothing here knows time zones: wall time is UTC.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace dlm {

class Clock {
 public:
  virtual ~Clock() = default;
  // Microseconds since 1970-01-01T00:00:00Z.
  virtual int64_t unix_us() const = 0;
  // Nanoseconds since some fixed instant; never goes back.
  virtual int64_t monotonic_ns() const = 0;

  int64_t unix_seconds() const;
};

const Clock& system_clock();

// Years 0001 to 9999; outside of them Error(kInternal).
std::string format_utc(int64_t unix_seconds);          // 2026-04-18T10:00:00
std::string format_utc_compact(int64_t unix_seconds);  // 20260418T100000
std::string format_utc_us(int64_t unix_us);            // 2026-04-18T10:00:00.000001Z

// Microseconds since 1970 of `YYYY-MM-DD(T| )hh:mm[:ss[.fraction]][Z|±hh[:]mm]`; no offset means
// UTC. None when the text has another form or names no real time. Digits below a microsecond are
// cut.
std::optional<int64_t> parse_utc(std::string_view text);

// Fills the span with random bytes.
using RandomSource = std::function<void(std::span<std::byte>)>;
// Of the operating system. Throws Error(kIo) when it has none.
void os_random(std::span<std::byte> bytes);

}  // namespace dlm
