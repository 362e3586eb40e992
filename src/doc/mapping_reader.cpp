// Typed reading of frontmatter values: coercions, bounds, unknown keys. See the header.
#include "doc/mapping_reader.h"

#include <algorithm>
#include <cmath>

#include "doc/python_text.h"
#include "support/text.h"

namespace dlm {
namespace {

// What stands at a node, for "got …".
std::string shown(const YamlNode& node) {
  switch (node.kind()) {
    case YamlKind::kNull:
    case YamlKind::kSequence:
    case YamlKind::kMapping:
      return kind_words(node.kind());
    case YamlKind::kString:
      return in_quotes(node.text);
    default:
      return node.text.size() > 60 ? node.text.substr(0, 60) + "…" : node.text;
  }
}

// A number as a person would write it: 8 and not 8.0.
std::string plain_number(double value) {
  std::string text = format_python_float(value);
  if (text.ends_with(".0")) text.resize(text.size() - 2);
  return text;
}

// What is allowed, for hints.
std::string range_hint(IntBounds bounds) {
  if (bounds.min == std::numeric_limits<int64_t>::min())
    return "write a positive integer or 'auto'";
  const std::string min = std::to_string(bounds.min);
  if (bounds.min == bounds.max) return "write " + min;
  const bool has_max = bounds.max < std::numeric_limits<int32_t>::max();
  return has_max ? "write an integer from " + min + " to " + std::to_string(bounds.max)
                 : "write an integer of at least " + min;
}
std::string range_hint(FloatBounds bounds) {
  const std::string min = plain_number(bounds.min);
  if (std::isinf(bounds.max))
    return bounds.min_is_open ? "write a number above " + min : "write a number of at least " + min;
  const std::string max = plain_number(bounds.max);
  return bounds.min_is_open ? "write a number above " + min + ", at most " + max
                            : "write a number from " + min + " to " + max;
}

}  // namespace

void Findings::add(const std::string& location, const std::string& message, const YamlNode* node,
                   const std::string& hint) {
  ++num_;
  if (num_ == 1) {
    // Line 2 is where frontmatter begins: the place of what is missing.
    place_ = {warnings_.path(), node && node->line ? node->line : 2,
              node && node->column ? node->column : 1};
  }
  if (hint_.empty()) hint_ = hint;
  if (num_ > kMaxListed) return;
  if (!message_.empty()) message_ += "; ";
  message_ += (location.empty() ? "<root>" : location) + ": " + message;
}

void Findings::raise() const {
  if (empty()) return;
  std::string message = message_;
  if (num_ > kMaxListed) message += "; and " + std::to_string(num_ - kMaxListed) + " more";
  throw Error(ErrorKind::kParse, message, hint_, place_);
}

MappingReader::MappingReader(const YamlNode* node, std::string location, Findings& findings)
    : node_(node), location_(std::move(location)), findings_(findings) {
  if (node_ && !node_->is_mapping()) {
    findings_.add(location_, std::string("must be a mapping, got ") + kind_words(node_->kind()),
                  node_,
                  node_->kind() == YamlKind::kNull
                      ? "remove the key, or indent its settings below it"
                      : "write the settings as 'key: value' lines, indented below the key");
    node_ = nullptr;
  }
}

const YamlNode* MappingReader::take(const std::string& key) {
  known_.push_back(key);
  findings_.note_known(location_, key);
  const YamlNode* value = node_ ? node_->find(key) : nullptr;
  if (value) findings_.note_written(path(key));
  return value;
}

std::optional<int64_t> MappingReader::to_integer(const YamlNode& node, const std::string& location,
                                                 IntBounds bounds, Findings& findings) {
  const auto wrong = [&](const std::string& what) -> std::optional<int64_t> {
    findings.add(location, what + ", got " + shown(node), &node, range_hint(bounds));
    return std::nullopt;
  };
  int64_t value = 0;
  switch (node.kind()) {
    case YamlKind::kInt:
      value = node.scalar.integer;
      if (!node.scalar.integer_fits) return wrong("must fit in 64 bits");
      break;
    case YamlKind::kFloat: {
      const double number = node.scalar.number;
      if (!std::isfinite(number)) return wrong("must be a finite number");
      if (number != std::trunc(number)) {
        return wrong("must be an integer, without a fractional part");
      }
      if (std::abs(number) > 9e15) return wrong("must be an integer");
      value = static_cast<int64_t>(number);
      findings.warn(
          location + " is an integer; " + node.text + " is read as " + std::to_string(value), node);
      break;
    }
    case YamlKind::kBool:
      value = node.scalar.boolean ? 1 : 0;
      findings.warn(
          location + " is an integer; " + node.text + " is read as " + std::to_string(value), node);
      break;
    case YamlKind::kString: {
      const auto parsed = parse_python_int(node.text);
      if (!parsed) return wrong("must be an integer");
      value = *parsed;
      break;
    }
    default:
      return wrong("must be an integer");
  }
  if (value < bounds.min) return wrong("must be at least " + std::to_string(bounds.min));
  if (value > bounds.max) return wrong("must be at most " + std::to_string(bounds.max));
  return value;
}

int64_t MappingReader::integer(const std::string& key, int64_t value, IntBounds bounds) {
  const YamlNode* node = take(key);
  if (!node) return value;
  return to_integer(*node, path(key), bounds, findings_).value_or(value);
}

double MappingReader::to_number(const YamlNode& node, const std::string& location, double value,
                                FloatBounds bounds) {
  const auto wrong = [&](const std::string& what) {
    findings_.add(location, what + ", got " + shown(node), &node, range_hint(bounds));
    return value;
  };
  double number = 0;
  switch (node.kind()) {
    case YamlKind::kInt:
      number = static_cast<double>(node.scalar.integer);
      break;
    case YamlKind::kFloat:
      number = node.scalar.number;
      break;
    case YamlKind::kBool:
      number = node.scalar.boolean ? 1 : 0;
      findings_.warn(
          location + " is a number; " + node.text + " is read as " + plain_number(number), node);
      break;
    case YamlKind::kString: {
      const auto parsed = parse_python_float(node.text);
      if (!parsed) return wrong("must be a number");
      number = *parsed;
      break;
    }
    default:
      return wrong("must be a number");
  }
  if (!std::isfinite(number)) return wrong("must be a finite number");
  if (bounds.min_is_open && number <= bounds.min) {
    return wrong("must be above " + plain_number(bounds.min));
  }
  if (number < bounds.min) return wrong("must be at least " + plain_number(bounds.min));
  if (number > bounds.max) return wrong("must be at most " + plain_number(bounds.max));
  return number;
}

double MappingReader::number(const std::string& key, double value, FloatBounds bounds) {
  const YamlNode* node = take(key);
  return node ? to_number(*node, path(key), value, bounds) : value;
}

bool MappingReader::boolean(const std::string& key, bool value) {
  const YamlNode* node = take(key);
  if (!node) return value;
  std::optional<bool> found;
  switch (node->kind()) {
    case YamlKind::kBool:
      return node->scalar.boolean;
    case YamlKind::kInt:
      if (node->scalar.integer == 0 || node->scalar.integer == 1) found = node->scalar.integer == 1;
      break;
    case YamlKind::kFloat:
      if (node->scalar.number == 0 || node->scalar.number == 1) found = node->scalar.number == 1;
      break;
    case YamlKind::kString:
      found = parse_bool_word(node->text);
      break;
    default:
      break;
  }
  if (!found) {
    findings_.add(path(key), "must be true or false, got " + shown(*node), node);
    return value;
  }
  findings_.warn(path(key) + " is true or false; " + shown(*node) + " is read as " +
                     (*found ? "true" : "false"),
                 *node);
  return *found;
}

std::string MappingReader::text(const std::string& key) {
  const YamlNode* node = take(key);
  if (!node) {
    // With a mapping that is itself wrong, this would only repeat that finding.
    if (!node_) return {};
    std::string hint = "add the line '" + key + ": …'";
    for (const YamlNode::Entry& entry : node_->entries) {
      if (entry.key->text.size() < 64 && nearest_word(entry.key->text, {key})) {
        hint = "did you mean '" + key + "' where " + in_quotes(entry.key->text) + " stands?";
      }
    }
    findings_.add(path(key), "required, but missing", node_, hint);
    return {};
  }
  if (!node->is_string()) {
    findings_.add(path(key), "must be text, got " + shown(*node), node,
                  node->kind() == YamlKind::kNull ? "write a value behind the colon"
                                                  : "put the value in quotes to make it text");
    return {};
  }
  if (node->text.empty()) findings_.add(path(key), "must have at least one character", node);
  return node->text;
}

std::optional<std::vector<std::string>> MappingReader::to_text_list(const YamlNode& node,
                                                                    const std::string& location,
                                                                    Findings& findings) {
  if (node.kind() != YamlKind::kSequence) {
    findings.add(location, "must be a list, got " + shown(node), &node,
                 "write a list as [first, second]");
    return std::nullopt;
  }
  std::vector<std::string> items;
  bool all_text = true;
  for (size_t i = 0; i < node.items.size(); ++i) {
    if (node.items[i]->is_string()) {
      items.push_back(node.items[i]->text);
      continue;
    }
    findings.add(location + "." + std::to_string(i), "must be text, got " + shown(*node.items[i]),
                 node.items[i], "put the value in quotes to make it text");
    all_text = false;
  }
  if (!all_text) return std::nullopt;
  return items;
}

std::vector<std::string> MappingReader::text_list(const std::string& key,
                                                  std::vector<std::string> value) {
  const YamlNode* node = take(key);
  if (!node) return value;
  return to_text_list(*node, path(key), findings_).value_or(value);
}

std::optional<int64_t> MappingReader::integer_or_null(const std::string& key, IntBounds bounds) {
  const YamlNode* node = take(key);
  if (!node || node->kind() == YamlKind::kNull) return std::nullopt;
  return to_integer(*node, path(key), bounds, findings_);
}

std::optional<double> MappingReader::number_or_null(const std::string& key, FloatBounds bounds) {
  const YamlNode* node = take(key);
  if (!node || node->kind() == YamlKind::kNull) return std::nullopt;
  return to_number(*node, path(key), 0, bounds);
}

size_t MappingReader::word_index(const std::string& key, const YamlNode& node, size_t value,
                                 const std::vector<std::string>& words) {
  if (node.is_string()) {
    for (size_t i = 0; i < words.size(); ++i) {
      if (node.text == words[i]) return i;
    }
  }
  std::string list;
  for (size_t i = 0; i < words.size(); ++i) {
    if (i > 0) list += i + 1 == words.size() ? " or " : ", ";
    list += "'" + words[i] + "'";
  }
  std::string hint;
  for (const std::string& word : words) {
    if (lower_ascii(word) == lower_ascii(node.text)) hint = "did you mean '" + word + "'?";
  }
  if (hint.empty() && node.is_string() && node.text.size() < 64) {
    auto nearest = nearest_word(node.text, words);
    for (size_t i = 0; i < words.size() && !nearest && node.text.size() > 1; ++i) {
      if (lower_ascii(words[i]).starts_with(lower_ascii(node.text))) nearest = words[i];
    }
    if (nearest) hint = "did you mean '" + *nearest + "'?";
  }
  findings_.add(path(key), "must be " + list + ", got " + shown(node), &node, hint);
  return value;
}

void MappingReader::finish() {
  if (!node_) return;
  for (const YamlNode::Entry& entry : node_->entries) {
    const YamlNode& key = *entry.key;
    if (key.is_string() && std::find(known_.begin(), known_.end(), key.text) != known_.end())
      continue;
    const std::string name = key.text.size() > 100 ? key.text.substr(0, 100) + "…" : key.text;
    findings_.add(path(name), "not a known key", &key,
                  findings_.count() == 0 ? hint_for_unknown(key.text) : "");
  }
}

std::string MappingReader::hint_for_unknown(const std::string& key) const {
  if (key.size() < 64) {
    if (const auto nearest = nearest_word(key, known_)) return "did you mean '" + *nearest + "'?";
    if (const std::string* other = findings_.location_of(key); other && *other != location_) {
      return in_quotes(key) + (other->empty() ? " stands at the left margin, below no other key"
                                              : " belongs below '" + *other + "'");
    }
  }
  return "the keys here are " + join(known_, ", ");
}

}  // namespace dlm
