// What a source directive takes of its tree: the patterns of the directive, the default excludes,
// and what the `.dlm` folders on the way to a file say. Knows paths only, reads nothing.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/default_excludes.h"
#include "data/glob.h"
#include "data/ignore_rules.h"
#include "data/training_yaml.h"

namespace dlm {

enum class SourceChoice {
  kTaken,
  kNotIncluded,
  kExcluded,  // by the directive, a training.yaml or an ignore file
  kDefaultSecret,
  kDefaultOther,
};

struct SourceDecision {
  SourceChoice choice = SourceChoice::kTaken;
  // A `!` line of an ignore file names this very file, so it is taken even with a secret in it.
  bool allows_secrets = false;
};

class SourceRules {
 public:
  SourceRules(const std::vector<std::string>& include, const std::vector<std::string>& exclude);

  // Enters a folder with a `.dlm` folder in it; `folder` is relative to the source's root, "" for
  // the root itself. Folders are left in the opposite order.
  void enter(std::string folder, std::optional<TreeConfig> config, std::vector<IgnoreRule> ignore);
  void leave();

  // For a file at or below the last folder entered. `path` is relative to the source's root.
  SourceDecision decide(std::string_view path) const;
  // Whether everything below the folder is left out as far as the folders entered say, but for
  // negated rules.
  bool excludes_all_below(std::string_view folder) const;
  // Whether a negated rule could take back something below the folder.
  bool may_take_below(std::string_view folder) const;

  // Merged from the root down, deeper folders winning.
  const std::map<std::string, std::string>& tags() const { return scopes_.back().tags; }
  // What the tags weigh here.
  double weight() const { return scopes_.back().weight; }

 private:
  struct Scope {
    size_t prefix = 0;  // bytes of a path that lead to the folder, with its '/'
    std::vector<Glob> include;
    std::vector<Glob> exclude;
    std::vector<IgnoreRule> ignore;
    bool has_default_excludes = true;
    std::map<std::string, std::string> tags;  // merged, as the following
    TagWeights weights;
    double weight = 1;
  };

  bool is_included(std::string_view path) const;

  std::vector<Scope> scopes_;  // the first is the directive's own
};

}  // namespace dlm
