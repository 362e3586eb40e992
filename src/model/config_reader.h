// Checked access to the keys of config.json. Every refusal names the key and carries the file's
// path. A value of null counts as absent, as transformers writes it.
#pragma once

#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "support/error.h"
#include "support/json.h"

namespace dlm {

class ConfigReader {
 public:
  ConfigReader(const Json& json, const std::string& path) : json_(json), path_(path) {
    if (!json.is_object()) fail("the file is not a JSON object");
  }

  [[noreturn]] void fail(const std::string& what, const std::string& hint = {}) const {
    throw Error(ErrorKind::kBase, what,
                hint.empty() ? "use the config.json that came with the weights" : hint,
                {path_, 0, 0});
  }
  [[noreturn]] void fail_key(const char* key, const char* what) const {
    fail('"' + std::string(key) + "\" " + what);
  }

  const std::string& path() const { return path_; }
  const Json& json() const { return json_; }

  const Json* find(const char* key) const {
    const Json* value = json_.find(key);
    return value == nullptr || value->is_null() ? nullptr : value;
  }
  // The object under a key.
  std::optional<ConfigReader> object(const char* key) const {
    const Json* value = find(key);
    if (value == nullptr) return std::nullopt;
    if (!value->is_object()) fail_key(key, "is not an object");
    return ConfigReader(*value, path_);
  }

  // A size: an integer in [1, 2^31).
  int64_t size(const char* key) const {
    const Json* value = find(key);
    if (value == nullptr) fail_key(key, "is missing");
    return checked_size(key, *value);
  }
  int64_t size_or(const char* key, int64_t otherwise) const {
    const Json* value = find(key);
    return value == nullptr ? otherwise : checked_size(key, *value);
  }
  double number_or(const char* key, double otherwise) const {
    const Json* value = find(key);
    return value == nullptr ? otherwise : checked_number(key, *value);
  }
  std::vector<double> numbers(const char* key) const {
    std::vector<double> all;
    for (const Json& value : list(key)) all.push_back(checked_number(key, value));
    return all;
  }
  bool flag_or(const char* key, bool otherwise) const {
    const Json* value = find(key);
    if (value == nullptr) return otherwise;
    if (!value->is_bool()) fail_key(key, "is not true or false");
    return value->as_bool();
  }
  std::string text_or(const char* key, const std::string& otherwise) const {
    const Json* value = find(key);
    if (value == nullptr) return otherwise;
    if (!value->is_string()) fail_key(key, "is not a string");
    return value->as_string();
  }
  std::optional<int64_t> token_or_none(const char* key) const {
    const Json* value = find(key);
    if (value == nullptr || !value->is_int()) return std::nullopt;
    return value->as_int();
  }
  // The items of an array; empty when the key is absent.
  std::vector<Json> list(const char* key) const {
    const Json* value = find(key);
    if (value == nullptr) return {};
    if (!value->is_array()) fail_key(key, "is not a list");
    return {value->items().begin(), value->items().end()};
  }

 private:
  int64_t checked_size(const char* key, const Json& value) const {
    if (!value.is_int() || value.as_int() < 1 || value.as_int() >= (int64_t{1} << 31)) {
      fail_key(key, "is not a size from 1 to 2147483647");
    }
    return value.as_int();
  }
  double checked_number(const char* key, const Json& value) const {
    if (!value.is_number() || !std::isfinite(value.as_double())) fail_key(key, "is not a number");
    return value.as_double();
  }

  const Json& json_;
  const std::string& path_;
};

}  // namespace dlm
