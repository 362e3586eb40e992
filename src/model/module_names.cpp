#include "model/module_names.h"

#include <algorithm>

#include "support/error.h"

namespace dlm {

std::string last_name(const std::string& module) {
  return module.substr(module.rfind('.') + 1);
}

bool names_module(const std::string& name, const std::string& module) {
  return module == name || module.ends_with("." + name);
}

bool is_target(const std::vector<std::string>& names, const std::string& module) {
  if (names.empty()) return true;
  return std::any_of(names.begin(), names.end(), [&](const std::string& name) {
    return name == kAllLinear || names_module(name, module);
  });
}

ModulePatterns::ModulePatterns(const std::vector<std::string>& keys) {
  for (const std::string& key : keys) {
    try {
      regexes_.push_back(Regex::compile("^(.*\\.)?(" + key + ")$"));
    } catch (const Error& e) {
      throw Error(ErrorKind::kFormat,
                  "the module pattern \"" + key.substr(0, 200) +
                      "\" is no regular expression: " + e.message(),
                  "write the end of a module's name, for example q_proj or layers\\.0\\..*");
    }
  }
}

std::optional<size_t> ModulePatterns::first_match(std::string_view module) const {
  for (size_t i = 0; i < regexes_.size(); ++i) {
    if (Regex::Walk(regexes_[i], module).next()) return i;
  }
  return std::nullopt;
}

}  // namespace dlm
