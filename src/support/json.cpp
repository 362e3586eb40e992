// Reading JSON: nlohmann's SAX parser, which does not recurse, drives a builder that counts values
// and depth. This is the one file that includes the library's heavy header; writing is in
// json_write.cpp.
#include "support/json.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include <nlohmann/json.hpp>

#include "support/error.h"
#include "support/text.h"

namespace dlm {
namespace {

const char* type_name(Json::Type type) {
  switch (type) {
    case Json::Type::kNull:
      return "null";
    case Json::Type::kBool:
      return "a boolean";
    case Json::Type::kInt:
      return "an integer";
    case Json::Type::kDouble:
      return "a number";
    case Json::Type::kString:
      return "a string";
    case Json::Type::kArray:
      return "an array";
    case Json::Type::kObject:
      return "an object";
  }
  return "unknown";
}

[[noreturn]] void throw_type(const char* wanted, Json::Type found) {
  throw Error(ErrorKind::kFormat,
              std::string("expected ") + wanted + " in JSON, found " + type_name(found));
}

}  // namespace

Json::Json(uint64_t value) {
  if (value <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
    type_ = Type::kInt;
    int_ = static_cast<int64_t>(value);
  } else {
    type_ = Type::kDouble;
    double_ = static_cast<double>(value);
  }
}

Json Json::array(std::vector<Json> items) {
  Json json;
  json.type_ = Type::kArray;
  json.items_ = std::move(items);
  return json;
}

Json Json::object(std::vector<Member> members) {
  Json json;
  json.type_ = Type::kObject;
  json.members_ = std::move(members);
  return json;
}

bool Json::as_bool() const {
  if (type_ != Type::kBool) throw_type("a boolean", type_);
  return int_ != 0;
}

int64_t Json::as_int() const {
  if (type_ != Type::kInt) throw_type("an integer", type_);
  return int_;
}

double Json::as_double() const {
  if (type_ == Type::kInt) return static_cast<double>(int_);
  if (type_ != Type::kDouble) throw_type("a number", type_);
  return double_;
}

const std::string& Json::as_string() const {
  if (type_ != Type::kString) throw_type("a string", type_);
  return string_;
}

const std::vector<Json>& Json::items() const {
  if (type_ != Type::kArray) throw_type("an array", type_);
  return items_;
}

const std::vector<Json::Member>& Json::members() const {
  if (type_ != Type::kObject) throw_type("an object", type_);
  return members_;
}

const Json* Json::find(std::string_view key) const {
  for (const Member& member : members_) {
    if (member.first == key) return &member.second;
  }
  return nullptr;
}

const Json& Json::at(std::string_view key) const {
  if (type_ != Type::kObject) throw_type("an object", type_);
  if (const Json* value = find(key)) return *value;
  throw Error(ErrorKind::kFormat, "the JSON object has no key \"" + std::string(key) + "\"");
}

Json& Json::set(std::string key, Json value) {
  if (type_ == Type::kNull) type_ = Type::kObject;
  if (type_ != Type::kObject) throw_type("an object", type_);
  for (Member& member : members_) {
    if (member.first == key) return member.second = std::move(value);
  }
  return members_.emplace_back(std::move(key), std::move(value)).second;
}

void Json::push_back(Json value) {
  if (type_ == Type::kNull) type_ = Type::kArray;
  if (type_ != Type::kArray) throw_type("an array", type_);
  items_.push_back(std::move(value));
}

size_t Json::size() const {
  if (type_ == Type::kArray) return items_.size();
  if (type_ == Type::kObject) return members_.size();
  throw_type("an array or an object", type_);
}

bool operator==(const Json& a, const Json& b) {
  if (a.type_ != b.type_) return false;
  switch (a.type_) {
    case Json::Type::kNull:
      return true;
    case Json::Type::kBool:
    case Json::Type::kInt:
      return a.int_ == b.int_;
    case Json::Type::kDouble:
      return a.double_ == b.double_;
    case Json::Type::kString:
      return a.string_ == b.string_;
    case Json::Type::kArray:
      return a.items_ == b.items_;
    case Json::Type::kObject:
      return a.members_ == b.members_;
  }
  return false;
}

namespace {

// Builds the tree from SAX events without recursion. The open containers lie in stack_; an array's
// or object's children are appended to the innermost one, and it moves into its parent when it
// closes.
class TreeBuilder : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit TreeBuilder(const JsonLimits& limits) : limits_(limits) {}

  bool null() override { return add(Json()); }
  bool boolean(bool value) override { return add(Json(value)); }
  bool number_integer(int64_t value) override { return add(Json(value)); }
  bool number_unsigned(uint64_t value) override { return add(Json(value)); }
  bool number_float(double value, const std::string&) override { return add(Json(value)); }
  bool string(std::string& value) override { return add(Json(std::move(value))); }
  bool binary(nlohmann::json::binary_t&) override { return false; }

  bool start_object(size_t) override { return open(Json::object()); }
  bool start_array(size_t) override { return open(Json::array()); }
  bool key(std::string& value) override {
    stack_.back().key = std::move(value);
    return true;
  }
  bool end_object() override {
    drop_duplicate_keys(stack_.back().members);
    return close(Json::object(std::move(stack_.back().members)));
  }
  bool end_array() override { return close(Json::array(std::move(stack_.back().items))); }

  bool parse_error(size_t position, const std::string&,
                   const nlohmann::json::exception& error) override {
    position_ = position;
    message_ = error.what();
    return false;
  }

  Json root;
  size_t position_ = 0;
  std::string message_;
  const char* exceeded_ = nullptr;

 private:
  struct Container {
    bool is_object;
    std::string key;
    std::vector<Json> items;
    std::vector<Json::Member> members;
  };

  bool add(Json value) {
    if (++num_values_ > limits_.max_values) {
      exceeded_ = "too many values";
      return false;
    }
    place(std::move(value));
    return true;
  }

  bool open(const Json& empty) {
    if (++num_values_ > limits_.max_values) {
      exceeded_ = "too many values";
      return false;
    }
    if (stack_.size() >= static_cast<size_t>(limits_.max_depth)) {
      exceeded_ = "nested too deeply";
      return false;
    }
    stack_.push_back({empty.is_object(), {}, {}, {}});
    return true;
  }

  bool close(Json value) {
    stack_.pop_back();
    place(std::move(value));
    return true;
  }

  void place(Json value) {
    if (stack_.empty()) {
      root = std::move(value);
    } else if (stack_.back().is_object) {
      stack_.back().members.emplace_back(std::move(stack_.back().key), std::move(value));
    } else {
      stack_.back().items.push_back(std::move(value));
    }
  }

  // The last value wins, at the place of the first, as in Python.
  static void drop_duplicate_keys(std::vector<Json::Member>& members) {
    std::vector<size_t> order(members.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
      const int compared = members[a].first.compare(members[b].first);
      return compared != 0 ? compared < 0 : a < b;
    });
    std::vector<bool> dropped(members.size());
    bool any = false;
    for (size_t first = 0; first < order.size();) {
      size_t last = first;
      while (last + 1 < order.size() &&
             members[order[last + 1]].first == members[order[first]].first) {
        dropped[order[++last]] = true;
        any = true;
      }
      if (last != first) members[order[first]].second = std::move(members[order[last]].second);
      first = last + 1;
    }
    if (!any) return;
    size_t kept = 0;
    for (size_t i = 0; i < members.size(); ++i) {
      if (dropped[i]) continue;
      if (kept != i) members[kept] = std::move(members[i]);
      ++kept;
    }
    members.erase(members.begin() + static_cast<std::ptrdiff_t>(kept), members.end());
  }

  JsonLimits limits_;
  size_t num_values_ = 0;
  std::vector<Container> stack_;
};

// Text with Python's words for non-finite numbers replaced by null, and where a byte was added, so
// that places in messages can be counted in the original.
struct Replaced {
  std::string text;
  std::vector<size_t> grown_at;
};

Replaced replace_nan_words(std::string_view text) {
  Replaced result;
  result.text.reserve(text.size());
  bool in_string = false;
  for (size_t i = 0; i < text.size();) {
    if (in_string && text[i] == '\\' && i + 1 < text.size()) {
      result.text.append(text, i, 2);
      i += 2;
      continue;
    }
    if (text[i] == '"') in_string = !in_string;
    size_t length = 0;
    for (std::string_view word : {"NaN", "Infinity", "-Infinity"}) {
      if (!in_string && text.substr(i, word.size()) == word) length = word.size();
    }
    if (length == 0) {
      result.text.push_back(text[i++]);
      continue;
    }
    result.text += "null";
    if (length < 4) result.grown_at.push_back(result.text.size());
    if (length > 4) result.text.append(length - 4, ' ');
    i += length;
  }
  return result;
}

Place place_of(std::string_view text, size_t offset, std::string_view path) {
  Place place{std::string(path), 1, 1};
  for (size_t i = 0; i < offset && i < text.size(); ++i) {
    if (text[i] == '\n') {
      ++place.line;
      place.column = 1;
    } else if ((static_cast<unsigned char>(text[i]) & 0xC0) != 0x80) {
      ++place.column;
    }
  }
  return place;
}

// nlohmann's message without its prefix up to the position and without the text that it read last,
// which can be long and is easier to see at the place itself.
std::string short_reason(const std::string& message) {
  const size_t column = message.find(", column ");
  const size_t colon = message.find(column == std::string::npos ? "] " : ": ",
                                    column == std::string::npos ? 0 : column);
  std::string reason = colon == std::string::npos ? message : message.substr(colon + 2);
  const size_t read = reason.find("; last read: '");
  if (read != std::string::npos) {
    const size_t expected = reason.rfind("'; expected ");
    const std::string rest = expected == std::string::npos ? "" : reason.substr(expected + 1);
    reason = reason.substr(0, read) + rest;
  }
  return reason;
}

}  // namespace

Json parse_json(std::string_view text, std::string_view path, const JsonLimits& limits) {
  const Place file{std::string(path)};
  if (text.size() > limits.max_bytes) {
    throw Error(ErrorKind::kFormat,
                "JSON text has " + std::to_string(text.size()) + " bytes; at most " +
                    std::to_string(limits.max_bytes) + " are read",
                {}, file);
  }
  Replaced replaced;
  std::string_view input = text;
  if (limits.allow_nan_words && (text.find("NaN") != text.npos || text.find("Inf") != text.npos)) {
    replaced = replace_nan_words(text);
    input = replaced.text;
  }
  TreeBuilder builder(limits);
  if (nlohmann::json::sax_parse(input.begin(), input.end(), &builder))
    return std::move(builder.root);
  if (builder.exceeded_ != nullptr) {
    throw Error(ErrorKind::kFormat, std::string("JSON refused: ") + builder.exceeded_, {}, file);
  }
  size_t offset = builder.position_ == 0 ? 0 : builder.position_ - 1;
  offset -=
      static_cast<size_t>(std::count_if(replaced.grown_at.begin(), replaced.grown_at.end(),
                                        [&](size_t grown) { return grown <= builder.position_; }));
  throw Error(ErrorKind::kFormat, "invalid JSON: " + short_reason(builder.message_), {},
              place_of(text, offset, path));
}

}  // namespace dlm
