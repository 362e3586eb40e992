// YAML 1.1 as a tree with places, composed from libyaml's events. Limits: 1 MiB of text, 64 levels,
// 1,000 aliases, 16 MiB if aliases were written out (they never are: nodes are shared). It refuses
// a second document, application tags, and anchors that contain themselves.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "doc/warning.h"
#include "doc/yaml_scalar.h"

namespace dlm {

struct YamlNode {
  struct Entry {
    const YamlNode* key;
    const YamlNode* value;
  };

  YamlScalar scalar;  // scalar.kind is the kind of the node
  std::string text;   // a scalar's text as written (after unquoting)
  bool is_plain = false;
  std::vector<const YamlNode*> items;  // kSequence
  std::vector<Entry> entries;          // kMapping: keys are scalars, unique, in order of first use
  int line = 0;                        // in the file, from 1
  int column = 0;
  uint64_t weight = 1;  // bytes it would take with every alias written out; saturates

  YamlKind kind() const { return scalar.kind; }
  bool is_mapping() const { return kind() == YamlKind::kMapping; }
  bool is_string() const { return kind() == YamlKind::kString; }
  // The value of a string key, or null.
  const YamlNode* find(std::string_view key) const;
};

// Owns the nodes, which keep their addresses.
class YamlTree {
 public:
  YamlNode& add() { return nodes_.emplace_back(); }
  const YamlNode& root() const { return *root_; }
  void set_root(const YamlNode& node) { root_ = &node; }

 private:
  std::deque<YamlNode> nodes_;
  const YamlNode* root_ = nullptr;
};

// `first_line` is the file line of the first line of `text`. Text of nothing but white space is an
// empty mapping, as frontmatter. Duplicate keys: the last value wins, with a warning that names
// both lines. Throws Error(kParse) "invalid YAML: …" with the place in the file.
YamlTree parse_yaml(std::string_view text, int first_line, WarningSink& warnings);

}  // namespace dlm
