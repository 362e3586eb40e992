// Checked access to the fields of a GGUF file that describe a model. Every refusal names the key
// and carries the file's path.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "formats/gguf.h"
#include "support/error.h"

namespace dlm {

class GgufFields {
 public:
  // `prefix` stands before every key: "llama.", or "".
  GgufFields(const GgufFile& file, std::string prefix) : file_(file), prefix_(std::move(prefix)) {}

  const GgufFile& file() const { return file_; }
  std::string key(const std::string& name) const { return prefix_ + name; }
  bool has(const std::string& name) const { return file_.find(key(name)) != nullptr; }

  [[noreturn]] void fail(const std::string& what, const std::string& hint = {}) const {
    throw Error(ErrorKind::kFormat, what,
                hint.empty() ? "the file is damaged, or of a model that dlm does not run" : hint,
                {file_.path().string(), 0, 0});
  }
  [[noreturn]] void fail_key(const std::string& name, const std::string& what) const {
    fail("the key \"" + key(name) + "\" " + what);
  }

  // A size in [1, limit].
  int64_t size(const std::string& name, int64_t limit = kMaxSize) const {
    const int64_t value = file_.integer(key(name));
    if (value < 1 || value > limit) {
      fail_key(name,
               "is " + std::to_string(value) + ", not a size from 1 to " + std::to_string(limit));
    }
    return value;
  }
  int64_t size_or(const std::string& name, int64_t otherwise, int64_t limit = kMaxSize) const {
    return has(name) ? size(name, limit) : otherwise;
  }
  double number(const std::string& name) const {
    const double value = file_.number(key(name));
    if (!std::isfinite(value)) fail_key(name, "is not a finite number");
    return value;
  }
  double number_or(const std::string& name, double otherwise) const {
    return has(name) ? number(name) : otherwise;
  }
  // A number above 0.
  double positive_or(const std::string& name, double otherwise) const {
    const double value = number_or(name, otherwise);
    if (!(value > 0)) fail_key(name, "is not above 0");
    return value;
  }
  std::string text_or(const std::string& name, const std::string& otherwise) const {
    return file_.text(key(name), otherwise);
  }

  // The array under a key, or null when there is none.
  template <class T>
  const std::vector<T>* array(const std::string& name) const {
    const GgufValue* value = file_.find(key(name));
    if (value == nullptr) return nullptr;
    const auto* held = std::get_if<GgufArray>(value);
    const auto* list = held == nullptr ? nullptr : std::get_if<std::vector<T>>(held);
    if (list == nullptr) fail_key(name, "is no list of the type that is wanted");
    return list;
  }

  static constexpr int64_t kMaxSize = (int64_t{1} << 31) - 1;

 private:
  const GgufFile& file_;
  std::string prefix_;
};

}  // namespace dlm
