// What a plain YAML 1.1 scalar means: the resolver of PyYAML's safe loader, written by hand (no
// regular expressions: they recurse on long input). It refuses nothing; text of no other kind is a
// string.
#pragma once

#include <cstdint>
#include <string_view>

namespace dlm {

enum class YamlKind { kNull, kBool, kInt, kFloat, kString, kTimestamp, kSequence, kMapping };

struct YamlScalar {
  YamlKind kind = YamlKind::kString;
  bool boolean = false;
  int64_t integer = 0;       // saturated when it does not fit
  bool integer_fits = true;  // false: the integer has more than 64 bits
  double number = 0;
};

// YAML 1.1: yes/no/on/off are booleans, 017 is octal, 1:30 is base 60, and a float needs a dot (1e3
// is a string).
YamlScalar resolve_plain(std::string_view text);

// "null", "a boolean", "an integer", "a number", "text", "a date", "a list", "a mapping".
const char* kind_words(YamlKind kind);

}  // namespace dlm
