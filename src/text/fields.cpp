// Member access with errors that name the member.
#include "text/fields.h"

#include "support/error.h"

namespace dlm {

namespace {

std::string name_of(std::string_view key, std::string_view where) {
  return where.empty() ? std::string(key) : std::string(where) + "." + std::string(key);
}

const Json* present(const Json& object, std::string_view key, std::string_view where) {
  if (!object.is_object()) {
    bad_tokenizer((where.empty() ? "the tokenizer" : std::string(where)) + " must be an object");
  }
  const Json* found = object.find(key);
  return found == nullptr || found->is_null() ? nullptr : found;
}

}  // namespace

void bad_tokenizer(std::string message) {
  throw Error(ErrorKind::kFormat, std::move(message),
              "the tokenizer.json is damaged or of a kind that is not supported; fetch it again");
}

const Json& required_field(const Json& object, std::string_view key, std::string_view where) {
  const Json* found = present(object, key, where);
  if (found == nullptr) bad_tokenizer(name_of(key, where) + " is missing");
  return *found;
}

std::string string_field(const Json& object, std::string_view key, std::string_view where) {
  const Json& value = required_field(object, key, where);
  if (!value.is_string()) bad_tokenizer(name_of(key, where) + " must be a string");
  return value.as_string();
}

std::string string_field_or(const Json& object, std::string_view key, std::string_view where,
                            std::string_view fallback) {
  if (present(object, key, where) == nullptr) return std::string(fallback);
  return string_field(object, key, where);
}

bool bool_field_or(const Json& object, std::string_view key, std::string_view where,
                   bool fallback) {
  const Json* value = present(object, key, where);
  if (value == nullptr) return fallback;
  if (!value->is_bool()) bad_tokenizer(name_of(key, where) + " must be true or false");
  return value->as_bool();
}

int64_t int_field(const Json& object, std::string_view key, std::string_view where) {
  const Json& value = required_field(object, key, where);
  if (!value.is_int()) bad_tokenizer(name_of(key, where) + " must be an integer");
  return value.as_int();
}

const std::vector<Json>& array_field(const Json& object, std::string_view key,
                                     std::string_view where) {
  const Json& value = required_field(object, key, where);
  if (!value.is_array()) bad_tokenizer(name_of(key, where) + " must be an array");
  return value.items();
}

std::string type_field(const Json& object, std::string_view where) {
  return string_field(object, "type", where);
}

PatternField pattern_field(const Json& object, std::string_view where) {
  const Json& pattern = required_field(object, "pattern", where);
  const std::string name = name_of("pattern", where);
  if (pattern.is_object() && pattern.find("String") != nullptr) {
    return {false, string_field(pattern, "String", name)};
  }
  if (pattern.is_object() && pattern.find("Regex") != nullptr) {
    return {true, string_field(pattern, "Regex", name)};
  }
  bad_tokenizer(name + " must be {\"String\": ...} or {\"Regex\": ...}");
}

}  // namespace dlm
