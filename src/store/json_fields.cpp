// Field access with a memory of which keys were asked for, so that unknown ones can be refused.
#include "store/json_fields.h"

#include "support/clock.h"
#include "support/error.h"

namespace dlm {

JsonFields::JsonFields(const Json& object, std::string where, const Refuse& refuse)
    : json_(object), where_(std::move(where)), refuse_(refuse) {
  if (!json_.is_object()) {
    refuse_((where_.empty() ? "the top level" : where_) + ": expected an object");
  }
}

std::string JsonFields::path(std::string_view key) const {
  return where_.empty() ? std::string(key) : where_ + "." + std::string(key);
}

void JsonFields::refuse(std::string_view key, const std::string& wanted) const {
  const Json* found = json_.find(key);
  constexpr size_t kLongest = 40;
  std::string shown = found == nullptr ? "nothing" : found->dump(-1, true);
  if (shown.size() > kLongest) shown = shown.substr(0, kLongest) + "...";
  refuse_(path(key) + ": expected " + wanted + ", found " + shown);
  throw Error(ErrorKind::kInternal, "a refused field was accepted");
}

const Json* JsonFields::value(const char* key) {
  known_.insert(key);
  return json_.find(key);
}

const Json& JsonFields::present(const char* key, const char* wanted) {
  const Json* found = value(key);
  if (found == nullptr) refuse(key, wanted);
  return *found;
}

std::string JsonFields::text(const char* key) {
  const Json& found = present(key, "a text");
  if (!found.is_string() || found.as_string().empty()) refuse(key, "a text");
  return found.as_string();
}

std::string JsonFields::text(const char* key, const std::string& absent) {
  const Json* found = value(key);
  if (found == nullptr) return absent;
  if (!found->is_string()) refuse(key, "a text");
  return found->as_string();
}

std::optional<std::string> JsonFields::text_or_null(const char* key) {
  const Json* found = value(key);
  if (found == nullptr || found->is_null()) return std::nullopt;
  if (!found->is_string()) refuse(key, "a text or null");
  return found->as_string();
}

int64_t JsonFields::integer(const char* key, int64_t least) {
  const std::string wanted =
      least == INT64_MIN ? "an integer" : "an integer from " + std::to_string(least) + " on";
  const Json& found = present(key, wanted.c_str());
  if (!found.is_int() || found.as_int() < least) refuse(key, wanted);
  return found.as_int();
}

int64_t JsonFields::integer(const char* key, int64_t least, int64_t absent) {
  return value(key) == nullptr ? absent : integer(key, least);
}

std::optional<double> JsonFields::number_or_null(const char* key) {
  const Json* found = value(key);
  if (found == nullptr || found->is_null()) return std::nullopt;
  if (!found->is_number()) refuse(key, "a number or null");
  return found->as_double();
}

bool JsonFields::boolean(const char* key, bool absent) {
  const Json* found = value(key);
  if (found == nullptr) return absent;
  if (!found->is_bool()) refuse(key, "true or false");
  return found->as_bool();
}

std::string JsonFields::time(const char* key) {
  const Json& found = present(key, "a date and time");
  if (!found.is_string() || !parse_utc(found.as_string())) refuse(key, "a date and time");
  return found.as_string();
}

std::optional<std::string> JsonFields::time_or_null(const char* key) {
  const Json* found = value(key);
  if (found == nullptr || found->is_null()) return std::nullopt;
  return time(key);
}

const Json* JsonFields::object(const char* key) {
  const Json* found = value(key);
  if (found != nullptr && !found->is_object()) refuse(key, "an object");
  return found;
}

PinnedVersions JsonFields::versions(const char* key) {
  PinnedVersions result;
  const Json* found = object(key);
  if (found == nullptr) return result;
  for (const auto& [name, version] : found->members()) {
    if (!version.is_string() && !version.is_null()) refuse(key, "an object of texts");
    result[name] = version.is_null() ? std::nullopt : std::optional(version.as_string());
  }
  return result;
}

std::map<std::string, int64_t> JsonFields::counts(const char* key) {
  std::map<std::string, int64_t> result;
  const Json* found = object(key);
  if (found == nullptr) return result;
  for (const auto& [name, count] : found->members()) {
    if (!count.is_int()) refuse(key, "an object of integers");
    result[name] = count.as_int();
  }
  return result;
}

std::map<std::string, std::string> JsonFields::texts(const char* key) {
  std::map<std::string, std::string> result;
  const Json* found = object(key);
  if (found == nullptr) return result;
  for (const auto& [name, text] : found->members()) {
    if (!text.is_string()) refuse(key, "an object of texts");
    result[name] = text.as_string();
  }
  return result;
}

void JsonFields::finish() const {
  for (const auto& [key, value] : json_.members()) {
    if (!known_.contains(key)) refuse_(path(key) + ": unknown key");
  }
}

Json json_or_null(const std::optional<std::string>& value) {
  return value ? Json(*value) : Json();
}

Json json_or_null(const std::optional<double>& value) {
  return value ? Json(*value) : Json();
}

Json json_of(const PinnedVersions& versions) {
  Json json = Json::object();
  for (const auto& [name, version] : versions) json.set(name, json_or_null(version));
  return json;
}

Json json_of(const std::map<std::string, int64_t>& counts) {
  Json json = Json::object();
  for (const auto& [name, count] : counts) json.set(name, count);
  return json;
}

Json json_of(const std::map<std::string, std::string>& texts) {
  Json json = Json::object();
  for (const auto& [name, text] : texts) json.set(name, text);
  return json;
}

}  // namespace dlm
