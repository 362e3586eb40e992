// A clock that stands still until the test moves it.
#pragma once

#include "support/clock.h"

namespace dlm {

class FixedClock : public Clock {
 public:
  explicit FixedClock(int64_t unix_us) : unix_us_(unix_us) {}
  int64_t unix_us() const override { return unix_us_; }
  int64_t monotonic_ns() const override { return monotonic_ns_; }
  void advance_ms(int64_t ms) {
    unix_us_ += ms * 1000;
    monotonic_ns_ += ms * 1'000'000;
  }

 private:
  int64_t unix_us_;
  int64_t monotonic_ns_ = 0;
};

}  // namespace dlm
