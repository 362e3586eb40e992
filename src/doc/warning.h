// What a reader of documents says without failing. A warning never changes what the document means.
#pragma once

#include <string>
#include <vector>

#include "support/error.h"

namespace dlm {

struct Warning {
  std::string message;
  Place place;
};

// Collects the warnings of one document; `path` becomes the path of their places. Past the cap,
// further warnings are dropped, so that a hostile document cannot flood memory or a terminal.
class WarningSink {
 public:
  explicit WarningSink(std::string path) : path_(std::move(path)) {}

  void add(std::string message, int line, int column) {
    if (warnings_.size() < kMaxWarnings) {
      warnings_.push_back({std::move(message), Place{path_, line, column}});
    }
  }
  const std::string& path() const { return path_; }
  std::vector<Warning> take() { return std::move(warnings_); }

 private:
  static constexpr size_t kMaxWarnings = 100;
  std::string path_;
  std::vector<Warning> warnings_;
};

}  // namespace dlm
