#include "data/ignore_rules.h"

#include "support/text.h"

namespace dlm {

namespace {

// Calls `test` with the path and, where a rule is not anchored, with what is left of it behind each
// '/', until it says yes.
template <typename Test>
bool any_tail(std::string_view path, bool is_anchored, Test test) {
  while (true) {
    if (test(path)) return true;
    const size_t slash = path.find('/');
    if (is_anchored || slash == std::string_view::npos) return false;
    path.remove_prefix(slash + 1);
  }
}

// Calls `test` with each folder above the path, the path itself left out, until it says yes.
template <typename Test>
bool any_folder_above(std::string_view path, Test test) {
  for (size_t slash = path.find('/'); slash != std::string_view::npos;
       slash = path.find('/', slash + 1)) {
    if (test(path.substr(0, slash))) return true;
  }
  return false;
}

}  // namespace

bool IgnoreRule::matches(std::string_view path) const {
  const auto tail_matches = [&](std::string_view candidate) {
    return any_tail(candidate, is_anchored,
                    [&](std::string_view tail) { return glob.matches(tail); });
  };
  return is_for_folders ? any_folder_above(path, tail_matches) : tail_matches(path);
}

bool IgnoreRule::matches_all_below(std::string_view folder) const {
  const std::string below = std::string(folder) + "/";
  if (is_for_folders && matches(below)) return true;
  return !is_for_folders && any_tail(folder, is_anchored, [&](std::string_view tail) {
    return glob.matches_all_below(tail);
  });
}

bool IgnoreRule::may_match_below(std::string_view folder) const {
  if (!is_anchored || glob.may_match_below(folder)) return true;
  return is_for_folders && matches(std::string(folder) + "/");
}

std::vector<IgnoreRule> parse_ignore_rules(std::string_view text, WarningSink& warnings) {
  std::vector<IgnoreRule> rules;
  int number = 0;
  for (std::string_view line : split(text, '\n')) {
    ++number;
    const std::string_view trimmed = trim(line);
    if (trimmed.empty() || trimmed.starts_with('#')) continue;
    line = line.substr(0, static_cast<size_t>(trimmed.data() + trimmed.size() - line.data()));
    const bool is_negated = line.starts_with('!');
    if (is_negated) line.remove_prefix(1);
    const bool is_anchored = line.starts_with('/');
    if (is_anchored) line.remove_prefix(1);
    const bool is_for_folders = line.ends_with('/');
    if (is_for_folders) line.remove_suffix(1);
    if (line.empty()) {
      warnings.add("the rule has no pattern and is left out", number, 1);
      continue;
    }
    try {
      rules.push_back({Glob(line), is_negated, is_anchored, is_for_folders});
    } catch (const Error& error) {
      warnings.add(error.message() + "; the rule is left out", number, 1);
    }
  }
  return rules;
}

}  // namespace dlm
