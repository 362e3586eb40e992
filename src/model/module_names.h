// How an adapter names the modules of its base, with PEFT's rules: targets by the last components
// of a name, patterns by a regular expression at its end.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/regex.h"

namespace dlm {

inline constexpr const char* kAllLinear = "all-linear";

// "q_proj" of "model.layers.0.self_attn.q_proj".
std::string last_name(const std::string& module);

// Whether `name` is the module's full name or its last components.
bool names_module(const std::string& name, const std::string& module);

// Whether a list of names targets the module; an empty list and "all-linear" target every one.
bool is_target(const std::vector<std::string>& names, const std::string& module);

// The keys of rank_pattern or alpha_pattern: regular expressions for the end of a module's name,
// from the start of one of its components.
class ModulePatterns {
 public:
  // Throws Error(kFormat) that names a key which is no regular expression.
  explicit ModulePatterns(const std::vector<std::string>& keys);
  // Index of the first key that matches.
  std::optional<size_t> first_match(std::string_view module) const;

 private:
  std::vector<Regex> regexes_;
};

}  // namespace dlm
