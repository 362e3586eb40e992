// Typed access to the members of a tokenizer file's objects, with messages that name the member
// ("pre_tokenizer.behavior must be a string"). It reads; it holds no defaults of any format.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "support/json.h"

namespace dlm {

// Throws Error(kFormat) with a hint that suits tokenizer files.
[[noreturn]] void bad_tokenizer(std::string message);

// `where` is the dotted path of `object` in the file, "" for the root.
const Json& required_field(const Json& object, std::string_view key, std::string_view where);
std::string string_field(const Json& object, std::string_view key, std::string_view where);
// An absent or null member gives the fallback.
std::string string_field_or(const Json& object, std::string_view key, std::string_view where,
                            std::string_view fallback);
bool bool_field_or(const Json& object, std::string_view key, std::string_view where, bool fallback);
int64_t int_field(const Json& object, std::string_view key, std::string_view where);
const std::vector<Json>& array_field(const Json& object, std::string_view key,
                                     std::string_view where);
// The string in the object's "type" member.
std::string type_field(const Json& object, std::string_view where);

// A pattern of the form {"String": "..."} or {"Regex": "..."}.
struct PatternField {
  bool is_regex;
  std::string text;
};
PatternField pattern_field(const Json& object, std::string_view where);

}  // namespace dlm
