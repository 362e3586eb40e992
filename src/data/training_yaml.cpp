#include "data/training_yaml.h"

#include <cmath>
#include <set>

#include "doc/mapping_reader.h"
#include "doc/python_text.h"
#include "doc/yaml.h"

namespace dlm {

namespace {

constexpr int64_t kVersion = 1;

bool is_word(const YamlNode& node) {
  return node.is_string() || node.kind() == YamlKind::kBool || node.kind() == YamlKind::kInt ||
         node.kind() == YamlKind::kFloat;
}

// The mapping below a key; none, with a finding, when it is none.
const YamlNode* mapping_of(const YamlNode* node, const std::string& location, Findings& findings) {
  if (node == nullptr || node->is_mapping()) return node;
  findings.add(location, std::string("must be a mapping, got ") + kind_words(node->kind()), node,
               "write 'name: value' lines, indented below the key");
  return nullptr;
}

std::optional<std::string> word_of(const YamlNode& node, const std::string& location,
                                   Findings& findings) {
  if (is_word(node)) return node.text;
  findings.add(location, std::string("must be text, got ") + kind_words(node.kind()), &node);
  return std::nullopt;
}

std::optional<double> factor_of(const YamlNode& node, const std::string& location,
                                Findings& findings) {
  std::optional<double> factor;
  if (node.kind() == YamlKind::kInt) factor = static_cast<double>(node.scalar.integer);
  if (node.kind() == YamlKind::kFloat) factor = node.scalar.number;
  if (node.kind() == YamlKind::kBool) factor = node.scalar.boolean ? 1 : 0;
  if (node.is_string()) factor = parse_python_float(node.text);
  if (!factor) {
    findings.add(location, std::string("must be a number, got ") + kind_words(node.kind()), &node);
  } else if (!std::isfinite(*factor)) {
    findings.add(location, "must be a finite number, got " + node.text, &node);
  } else if (*factor < 0) {
    findings.add(location, "must be at least 0, got " + node.text, &node,
                 "0 leaves out what has the tag");
  } else {
    return factor;
  }
  return std::nullopt;
}

std::map<std::string, std::string> read_metadata(const YamlNode* node, Findings& findings) {
  std::map<std::string, std::string> metadata;
  const YamlNode* mapping = mapping_of(node, "metadata", findings);
  if (mapping == nullptr) return metadata;
  for (const auto& [key, value] : mapping->entries) {
    const auto tag = word_of(*key, "metadata", findings);
    if (!tag) continue;
    if (auto text = word_of(*value, "metadata." + *tag, findings)) metadata[*tag] = *text;
  }
  return metadata;
}

TagWeights read_weights(const YamlNode* node, Findings& findings) {
  TagWeights weights;
  const YamlNode* mapping = mapping_of(node, "weights", findings);
  if (mapping == nullptr) return weights;
  for (const auto& [key, value] : mapping->entries) {
    const auto tag = word_of(*key, "weights", findings);
    if (!tag) continue;
    const std::string location = "weights." + *tag;
    const YamlNode* values = mapping_of(value, location, findings);
    if (values == nullptr) continue;
    for (const auto& [word, number] : values->entries) {
      const auto text = word_of(*word, location, findings);
      if (!text) continue;
      if (const auto factor = factor_of(*number, location + "." + *text, findings)) {
        weights.factors[*tag][*text] = *factor;
      }
    }
  }
  return weights;
}

}  // namespace

TreeConfig parse_training_yaml(std::string_view text, WarningSink& warnings) {
  const YamlTree tree = parse_yaml(text, 1, warnings);
  std::set<std::string, std::less<>> written;
  Findings findings(warnings, written);
  MappingReader in(&tree.root(), "", findings);
  TreeConfig config;
  in.integer("dlm_training_version", kVersion, {kVersion, kVersion});
  config.include = in.text_list("include", {});
  config.exclude = in.text_list("exclude", {});
  const bool exclude_defaults = in.boolean("exclude_defaults", true);
  if (written.contains("exclude_defaults")) config.exclude_defaults = exclude_defaults;
  config.metadata = read_metadata(in.take("metadata"), findings);
  config.weights = read_weights(in.take("weights"), findings);
  in.finish();
  findings.raise();
  return config;
}

}  // namespace dlm
