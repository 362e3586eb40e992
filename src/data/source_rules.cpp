#include "data/source_rules.h"

#include <algorithm>

namespace dlm {

namespace {

std::vector<Glob> globs_of(const std::vector<std::string>& patterns) {
  return {patterns.begin(), patterns.end()};
}

}  // namespace

SourceRules::SourceRules(const std::vector<std::string>& include,
                         const std::vector<std::string>& exclude) {
  Scope scope;
  scope.include = globs_of(include);
  scope.exclude = globs_of(exclude);
  scopes_.push_back(std::move(scope));
}

void SourceRules::enter(std::string folder, std::optional<TreeConfig> config,
                        std::vector<IgnoreRule> ignore) {
  const Scope& above = scopes_.back();
  Scope scope;
  scope.prefix = folder.empty() ? 0 : folder.size() + 1;
  scope.ignore = std::move(ignore);
  scope.has_default_excludes = above.has_default_excludes;
  scope.tags = above.tags;
  scope.weights = above.weights;
  if (config) {
    scope.include = globs_of(config->include);
    scope.exclude = globs_of(config->exclude);
    scope.has_default_excludes = config->exclude_defaults.value_or(above.has_default_excludes);
    for (const auto& [tag, value] : config->metadata) scope.tags[tag] = value;
    scope.weights.merge(config->weights);
  }
  scope.weight = scope.weights.weight_of(scope.tags);
  scopes_.push_back(std::move(scope));
}

void SourceRules::leave() {
  scopes_.pop_back();
}

// The nearest folder that has patterns decides. Patterns of a training.yaml may be written from the
// source's root or from their own folder.
bool SourceRules::is_included(std::string_view path) const {
  for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope) {
    if (scope->include.empty()) continue;
    return matches_any(scope->include, path) ||
           (scope->prefix > 0 && matches_any(scope->include, path.substr(scope->prefix)));
  }
  return false;
}

SourceDecision SourceRules::decide(std::string_view path) const {
  SourceDecision decision;
  if (!is_included(path)) return {SourceChoice::kNotIncluded, false};
  if (scopes_.back().has_default_excludes) {
    const DefaultExclude why = default_exclude(path);
    if (why == DefaultExclude::kSecret) decision.choice = SourceChoice::kDefaultSecret;
    if (why == DefaultExclude::kOther) decision.choice = SourceChoice::kDefaultOther;
  }
  for (const Scope& scope : scopes_) {
    if (matches_any(scope.exclude, path.substr(scope.prefix))) {
      decision.choice = SourceChoice::kExcluded;
    }
  }
  for (const Scope& scope : scopes_) {
    for (const IgnoreRule& rule : scope.ignore) {
      if (!rule.matches(path.substr(scope.prefix))) continue;
      decision.choice = rule.is_negated ? SourceChoice::kTaken : SourceChoice::kExcluded;
      decision.allows_secrets = rule.is_negated && rule.names_file();
    }
  }
  return decision;
}

bool SourceRules::excludes_all_below(std::string_view folder) const {
  if (scopes_.back().has_default_excludes && default_excludes_folder(folder)) return true;
  return std::any_of(scopes_.begin(), scopes_.end(), [&](const Scope& scope) {
    const std::string_view path = folder.substr(scope.prefix);
    const auto covers = [&](const Glob& glob) { return glob.matches_all_below(path); };
    return std::any_of(scope.exclude.begin(), scope.exclude.end(), covers) ||
           std::any_of(scope.ignore.begin(), scope.ignore.end(), [&](const IgnoreRule& rule) {
             return !rule.is_negated && rule.matches_all_below(path);
           });
  });
}

bool SourceRules::may_take_below(std::string_view folder) const {
  return std::any_of(scopes_.begin(), scopes_.end(), [&](const Scope& scope) {
    const std::string_view path = folder.substr(scope.prefix);
    return std::any_of(scope.ignore.begin(), scope.ignore.end(), [&](const IgnoreRule& rule) {
      return rule.is_negated && rule.may_match_below(path);
    });
  });
}

}  // namespace dlm
