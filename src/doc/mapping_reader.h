// Typed access to one mapping of the frontmatter: each read checks type and bounds, coerces what
// old documents may hold ("3e-4", 8.0, true), and notes that the key is known. Findings are
// collected, not thrown, so that one run names every mistake.
#pragma once

#include <limits>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "doc/warning.h"
#include "doc/yaml.h"

namespace dlm {

// All that is wrong with the frontmatter, in the order of the schema.
class Findings {
 public:
  Findings(WarningSink& warnings, std::set<std::string, std::less<>>& written)
      : warnings_(warnings), written_(written) {}

  // `node` gives the place; null when nothing stands there.
  void add(const std::string& location, const std::string& message, const YamlNode* node,
           const std::string& hint = {});
  void warn(const std::string& message, const YamlNode& node) {
    warnings_.add(message, node.line, node.column);
  }
  void note_written(const std::string& location) { written_.insert(location); }
  // Where keys may stand, for hints about keys that stand elsewhere.
  void note_known(const std::string& location, const std::string& key) {
    known_.emplace(key, location);
  }
  // The first mapping that has been read and knows the key; null when none does.
  const std::string* location_of(const std::string& key) const {
    const auto found = known_.find(key);
    return found == known_.end() ? nullptr : &found->second;
  }
  bool empty() const { return num_ == 0; }
  size_t count() const { return num_; }
  // Throws the collected Error(kParse) when there is any.
  void raise() const;

 private:
  static constexpr size_t kMaxListed = 20;
  WarningSink& warnings_;
  std::set<std::string, std::less<>>& written_;
  std::map<std::string, std::string> known_;  // key → location
  std::string message_;
  std::string hint_;
  Place place_;
  size_t num_ = 0;
};

struct IntBounds {
  int64_t min;
  int64_t max = std::numeric_limits<int32_t>::max();
};

struct FloatBounds {
  double min;
  bool min_is_open = false;  // the value must be above min, not at it
  double max = std::numeric_limits<double>::infinity();
};

class MappingReader {
 public:
  // `location` is the dotted path of the mapping, "" for the root. A node that is no mapping is a
  // finding; the reader then reads as empty.
  MappingReader(const YamlNode* node, std::string location, Findings& findings);

  // The node of a key, now known and noted as written; null when absent.
  const YamlNode* take(const std::string& key);
  std::string path(const std::string& key) const {
    return location_.empty() ? key : location_ + "." + key;
  }

  // Each returns `value` (the default) when the key is absent or wrong.
  int64_t integer(const std::string& key, int64_t value, IntBounds bounds);
  double number(const std::string& key, double value, FloatBounds bounds);
  bool boolean(const std::string& key, bool value);
  std::string text(const std::string& key);  // required, at least one character
  std::vector<std::string> text_list(const std::string& key, std::vector<std::string> value);
  std::optional<int64_t> integer_or_null(const std::string& key, IntBounds bounds);
  std::optional<double> number_or_null(const std::string& key, FloatBounds bounds);

  template <typename Enum>
  Enum word(const std::string& key, Enum value, std::span<const char* const> words) {
    const YamlNode* node = take(key);
    if (!node) return value;
    return static_cast<Enum>(
        word_index(key, *node, static_cast<size_t>(value), {words.begin(), words.end()}));
  }

  // Reports every key that was not taken, with the nearest known one, the place where it belongs or
  // the known keys as a hint.
  void finish();

  // Value conversions, for callers that hold a node. None, with a finding, when the value is wrong.
  static std::optional<int64_t> to_integer(const YamlNode& node, const std::string& location,
                                           IntBounds bounds, Findings& findings);
  static std::optional<std::vector<std::string>> to_text_list(const YamlNode& node,
                                                              const std::string& location,
                                                              Findings& findings);

 private:
  std::string hint_for_unknown(const std::string& key) const;
  size_t word_index(const std::string& key, const YamlNode& node, size_t value,
                    const std::vector<std::string>& words);
  double to_number(const YamlNode& node, const std::string& location, double value,
                   FloatBounds bounds);

  const YamlNode* node_;  // null when it was no mapping
  std::string location_;
  Findings& findings_;
  std::vector<std::string> known_;
};

}  // namespace dlm
