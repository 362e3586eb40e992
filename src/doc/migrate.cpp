// The migration steps. Of the fourteen, only 1 → 2 changes anything: the block training.dpo became
// training.preference with a method; the others added optional keys or fences.
#include "doc/migrate.h"

#include <algorithm>
#include <iterator>
#include <string>

#include "doc/python_text.h"

namespace dlm {
namespace {

// In the order of the new block.
constexpr const char* kDpoKeys[] = {"enabled",    "beta",      "learning_rate",
                                    "num_epochs", "loss_type", "reference"};

YamlNode& new_like(YamlTree& tree, const YamlNode& place, YamlKind kind) {
  YamlNode& node = tree.add();
  node.scalar.kind = kind;
  node.line = place.line;
  node.column = place.column;
  return node;
}

const YamlNode& new_text(YamlTree& tree, const YamlNode& place, std::string text) {
  YamlNode& node = new_like(tree, place, YamlKind::kString);
  node.text = std::move(text);
  return node;
}

// A copy of `mapping` without the key `removed` (null: none), with `key` set to `value` (at its old
// position, else last).
const YamlNode& with_entry(YamlTree& tree, const YamlNode& mapping, const char* removed,
                           const YamlNode* key, const YamlNode* value) {
  YamlNode& copy = new_like(tree, mapping, YamlKind::kMapping);
  bool placed = key == nullptr;
  for (const YamlNode::Entry& entry : mapping.entries) {
    if (removed && entry.key->is_string() && entry.key->text == removed) continue;
    if (key && entry.key->is_string() && entry.key->text == key->text) {
      copy.entries.push_back({entry.key, value});
      placed = true;
    } else {
      copy.entries.push_back(entry);
    }
  }
  if (!placed) copy.entries.push_back({key, value});
  return copy;
}

// The preference block that says what `dpo` said.
const YamlNode& preference_from_dpo(YamlTree& tree, const YamlNode& dpo, WarningSink& warnings) {
  YamlNode& preference = new_like(tree, dpo, YamlKind::kMapping);
  YamlNode& hyperparams = new_like(tree, dpo, YamlKind::kMapping);
  preference.entries.push_back({&new_text(tree, dpo, "method"), &new_text(tree, dpo, "dpo")});
  const YamlNode& hyperparams_key = new_text(tree, dpo, "hyperparams");
  for (const char* name : kDpoKeys) {
    for (const YamlNode::Entry& entry : dpo.entries) {
      if (!entry.key->is_string() || entry.key->text != name) continue;
      const std::string& key = entry.key->text;
      YamlNode::Entry moved = entry;
      if (key == "reference" && entry.value->is_string() &&
          entry.value->text == "pre_dpo_adapter") {
        moved.value = &new_text(tree, *entry.value, "pre_adapter");
      }
      (is_dpo_hyperparameter(key) ? hyperparams : preference).entries.push_back(moved);
    }
  }
  if (!hyperparams.entries.empty()) preference.entries.push_back({&hyperparams_key, &hyperparams});
  for (const YamlNode::Entry& entry : dpo.entries) {
    if (!entry.key->is_string() || !is_dpo_key(entry.key->text)) {
      warnings.add("training.dpo." + entry.key->text + " is no known key and is left out",
                   entry.key->line, entry.key->column);
    }
  }
  return preference;
}

void migrate_1_to_2(YamlTree& tree, WarningSink& warnings) {
  const YamlNode& root = tree.root();
  const YamlNode* training = root.find("training");
  if (!training || !training->is_mapping()) return;
  const YamlNode* dpo = training->find("dpo");
  if (!dpo) return;

  const YamlNode* key = nullptr;
  const YamlNode* value = nullptr;
  if (dpo->kind() != YamlKind::kNull) {
    key = &new_text(tree, *dpo, "preference");
    value = dpo->is_mapping() ? &preference_from_dpo(tree, *dpo, warnings) : dpo;
  }
  const YamlNode& new_training = with_entry(tree, *training, "dpo", key, value);
  tree.set_root(
      with_entry(tree, root, nullptr, &new_text(tree, *training, "training"), &new_training));
}

}  // namespace

bool is_dpo_key(std::string_view key) {
  return std::find(std::begin(kDpoKeys), std::end(kDpoKeys), key) != std::end(kDpoKeys);
}

bool is_dpo_hyperparameter(std::string_view key) {
  return key == "beta" || key == "learning_rate" || key == "num_epochs";
}

int migrate_frontmatter(YamlTree& tree, WarningSink& warnings) {
  const YamlNode* node = tree.root().find("dlm_version");
  if (!node) {
    migrate_1_to_2(tree, warnings);
    return 1;
  }
  const Place place{warnings.path(), node->line, node->column};
  if (node->kind() != YamlKind::kInt) {
    throw Error(ErrorKind::kParse,
                std::string("dlm_version must be an integer, got ") + kind_words(node->kind()),
                "write the number alone, without quotes, for example dlm_version: 15", place);
  }
  const int64_t version = node->scalar.integer;
  if (version > kCurrentSchemaVersion) {
    throw Error(
        ErrorKind::kParse,
        "dlm_version " + node->text + " is newer than this parser, which knows versions up to 15",
        "a newer dlm wrote this document: update dlm, or check the number", place);
  }
  if (version < 1) {
    throw Error(ErrorKind::kParse,
                "dlm_version " + node->text + " does not exist; the first one is 1",
                "use dlm_version: 15 for a new document", place);
  }
  if (version < 2) migrate_1_to_2(tree, warnings);
  return static_cast<int>(version);
}

}  // namespace dlm
