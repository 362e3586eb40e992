// Keeps a template in bounds: counts steps, bytes made and depth, knows the line being run, and
// makes the errors that name it.
#pragma once

#include <cstddef>
#include <string>

#include "support/error.h"

namespace dlm::jinja {

struct Limits {
  size_t max_steps = 50'000'000;               // about two seconds
  size_t max_bytes = size_t{512} << 20;        // of all strings, lists and dicts ever made
  size_t max_output_bytes = size_t{64} << 20;  // of one rendered text
  int max_depth = 400;                         // nested expressions, blocks and macro calls
};

// The place that template errors name; a template has no path of its own.
inline constexpr const char* kTemplatePlace = "chat template";

[[noreturn]] inline void fail_at(int line, std::string message, std::string hint = {}) {
  if (hint.empty()) hint = "correct the chat template of the base's tokenizer";
  throw Error(ErrorKind::kFormat, std::move(message), std::move(hint), {kTemplatePlace, line});
}

class Meter {
 public:
  explicit Meter(const Limits& limits) : limits_(limits) {}

  void step(size_t count = 1) {
    steps_ += count;
    if (steps_ > limits_.max_steps) fail("the template takes too many steps");
  }
  void bytes(size_t count) {
    bytes_ += count;
    if (count > limits_.max_bytes || bytes_ > limits_.max_bytes) {
      fail("the template makes too much data");
    }
  }
  void output(size_t size) const {
    if (size > limits_.max_output_bytes) fail("the template writes too much text");
  }
  [[noreturn]] void fail(std::string message) const { fail_at(line, std::move(message)); }

  // Counts one level as long as it lives.
  class Level {
   public:
    explicit Level(Meter& meter) : meter_(meter) {
      if (++meter_.depth_ > meter_.limits_.max_depth) {
        --meter_.depth_;
        meter_.fail("the template nests too deeply");
      }
    }
    ~Level() { --meter_.depth_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

   private:
    Meter& meter_;
  };

  int line = 1;

 private:
  Limits limits_;
  size_t steps_ = 0;
  size_t bytes_ = 0;
  int depth_ = 0;
};

}  // namespace dlm::jinja
