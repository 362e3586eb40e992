// Reads the fields of one JSON object against what a format allows: types, ranges, no unknown keys.
// Every refusal names the path to the field, the wanted form and what was found.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "support/json.h"

namespace dlm {

// Called with the reason; throws the format's own error.
using Refuse = std::function<void(const std::string& reason)>;

// Package name → version; none means known and not in use.
using PinnedVersions = std::map<std::string, std::optional<std::string>>;

class JsonFields {
 public:
  // `where` is the path to the object, "" for the top level.
  JsonFields(const Json& object, std::string where, const Refuse& refuse);

  std::string text(const char* key);                             // at least one character
  std::string text(const char* key, const std::string& absent);  // any text
  std::optional<std::string> text_or_null(const char* key);
  int64_t integer(const char* key, int64_t least);
  int64_t integer(const char* key, int64_t least, int64_t absent);
  std::optional<double> number_or_null(const char* key);
  bool boolean(const char* key, bool absent);
  std::string time(const char* key);  // a text that parse_utc reads
  std::optional<std::string> time_or_null(const char* key);
  PinnedVersions versions(const char* key);                   // {} when absent
  std::map<std::string, int64_t> counts(const char* key);     // {} when absent
  std::map<std::string, std::string> texts(const char* key);  // {} when absent
  // The value itself; null when the key is absent.
  const Json* value(const char* key);

  // "training_runs[0].seed"
  std::string path(std::string_view key) const;
  [[noreturn]] void refuse(std::string_view key, const std::string& wanted) const;
  // Refuses keys that nothing above asked for.
  void finish() const;

 private:
  const Json& present(const char* key, const char* wanted);
  const Json* object(const char* key);

  const Json& json_;
  std::string where_;
  const Refuse& refuse_;
  std::set<std::string, std::less<>> known_;
};

// null for none.
Json json_or_null(const std::optional<std::string>& value);
Json json_or_null(const std::optional<double>& value);
Json json_of(const PinnedVersions& versions);
Json json_of(const std::map<std::string, int64_t>& counts);
Json json_of(const std::map<std::string, std::string>& texts);

}  // namespace dlm
