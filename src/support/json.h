// JSON values as an ordered tree. Parsing is nlohmann's SAX parser behind a depth and size limit
// (its own DOM recurses without bound); objects keep the order of the file, so that what we write
// has the order that each format asks for. Integers stay exact in 64 bits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace dlm {

class Json {
 public:
  enum class Type { kNull, kBool, kInt, kDouble, kString, kArray, kObject };
  using Member = std::pair<std::string, Json>;

  Json() = default;
  Json(std::nullptr_t) {}
  Json(bool value) : type_(Type::kBool), int_(value) {}
  Json(int value) : type_(Type::kInt), int_(value) {}
  Json(int64_t value) : type_(Type::kInt), int_(value) {}
  Json(uint64_t value);  // values above INT64_MAX become doubles
  Json(double value) : type_(Type::kDouble), double_(value) {}
  Json(const char* value) : type_(Type::kString), string_(value) {}
  Json(std::string value) : type_(Type::kString), string_(std::move(value)) {}
  Json(std::string_view value) : type_(Type::kString), string_(value) {}
  static Json array(std::vector<Json> items = {});
  static Json object(std::vector<Member> members = {});

  Type type() const { return type_; }
  bool is_null() const { return type_ == Type::kNull; }
  bool is_bool() const { return type_ == Type::kBool; }
  bool is_int() const { return type_ == Type::kInt; }
  bool is_number() const { return type_ == Type::kInt || type_ == Type::kDouble; }
  bool is_string() const { return type_ == Type::kString; }
  bool is_array() const { return type_ == Type::kArray; }
  bool is_object() const { return type_ == Type::kObject; }

  // Each throws Error(kFormat) naming the wanted and the found type.
  bool as_bool() const;
  int64_t as_int() const;
  double as_double() const;  // takes integers too
  const std::string& as_string() const;
  const std::vector<Json>& items() const;
  const std::vector<Member>& members() const;

  // Object access. find() returns null when the key is absent or this is not an object; at() throws
  // Error(kFormat) naming the key. With duplicate keys in a file the last one wins.
  const Json* find(std::string_view key) const;
  const Json& at(std::string_view key) const;
  // Adds the member, or replaces its value in place.
  Json& set(std::string key, Json value);
  void push_back(Json value);
  size_t size() const;  // items or members

  // indent < 0: one line without blanks. Doubles are written in the shortest form that reads back
  // equal, never finite-less words: NaN and infinities become null. ASCII-only output escapes every
  // character above U+007F as \uXXXX.
  std::string dump(int indent = -1, bool ascii_only = false) const;
  // The same with every object's keys sorted by code point.
  std::string dump_sorted(int indent, bool ascii_only = false) const;

  friend bool operator==(const Json& a, const Json& b);

 private:
  Type type_ = Type::kNull;
  int64_t int_ = 0;
  double double_ = 0;
  std::string string_;
  std::vector<Json> items_;
  std::vector<Member> members_;
};

struct JsonLimits {
  size_t max_bytes = size_t{256} << 20;
  int max_depth = 128;
  size_t max_values = size_t{8} << 20;  // a value takes about 100 bytes of memory
  bool allow_nan_words = false;         // Python's NaN, Infinity and -Infinity, read as null
};

// Throws Error(kFormat) with line and column, and `path` as the place.
Json parse_json(std::string_view text, std::string_view path = {}, const JsonLimits& limits = {});

}  // namespace dlm
