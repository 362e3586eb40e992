// The values that a template works on: Python's None, bool, int, float, str, list, tuple and dict,
// and the few objects of Jinja (undefined, namespace, macro, loop, method, function). Lists, dicts
// and strings never change once made. There is no way from a value to anything outside of the
// template.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/json.h"

namespace dlm::jinja {

class Value;
class Meter;
struct Node;
struct Scope;

using List = std::vector<Value>;
using Dict = std::vector<std::pair<Value, Value>>;  // in the order of insertion, keys unique

struct Namespace;
struct Macro;
struct Loop;
struct Method;

class Value {
 public:
  enum class Kind {
    kUndefined,
    kNone,
    kBool,
    kInt,
    kDouble,
    kString,
    kList,
    kDict,
    kNamespace,
    kMacro,
    kLoop,
    kMethod,
    kFunction,
  };

  Value() = default;  // undefined, without a name
  static Value undefined(std::string name);
  static Value none();
  static Value boolean(bool value);
  static Value integer(int64_t value);
  static Value number(double value);
  static Value string(std::string value);
  static Value list(List items, bool is_tuple = false);
  static Value dict(Dict members);
  static Value of(std::shared_ptr<Namespace> value);
  static Value of(std::shared_ptr<const Macro> value);
  static Value of(std::shared_ptr<Loop> value);
  static Value of(std::shared_ptr<const Method> value);
  static Value function(std::string name);
  static Value from_json(const Json& json);

  Kind kind() const { return kind_; }
  bool is(Kind kind) const { return kind_ == kind; }
  bool is_string() const { return kind_ == Kind::kString; }
  bool is_integral() const { return kind_ == Kind::kInt || kind_ == Kind::kBool; }
  bool is_number() const { return is_integral() || kind_ == Kind::kDouble; }
  bool is_undefined() const { return kind_ == Kind::kUndefined; }
  bool is_tuple() const { return is_tuple_; }

  // Each needs the kind that it reads.
  int64_t as_int() const { return int_; }  // bools too
  double as_double() const { return kind_ == Kind::kDouble ? double_ : static_cast<double>(int_); }
  const std::string& as_string() const;  // also an undefined's or a function's name
  const List& as_list() const;
  const Dict& as_dict() const;
  Namespace& as_namespace() const;
  const Macro& as_macro() const;
  Loop& as_loop() const;
  const Method& as_method() const;

  // The value under a string key of a dict, or null.
  const Value* find(std::string_view key) const;
  // Python's bool().
  bool truth() const;
  // Python's name of the type, for messages.
  const char* type_name() const;
  // How deep lists and dicts nest in it: 0 for scalars.
  int depth() const { return depth_; }
  bool same_object(const Value& other) const { return object_ == other.object_; }

 private:
  Kind kind_ = Kind::kUndefined;
  bool is_tuple_ = false;
  int depth_ = 0;
  int64_t int_ = 0;
  double double_ = 0;
  std::shared_ptr<const void> object_;
};

struct Namespace {
  std::vector<std::pair<std::string, Value>> members;
};

struct Macro {
  const Node* definition;  // a macro or call block; the template outlives every value
  mutable std::shared_ptr<Scope> scope;
  std::string name;
};

struct Loop {
  std::shared_ptr<const List> items;
  size_t index = 0;
  int depth = 1;
  bool has_last_seen = false;
  List last_seen;  // arguments of the last changed()
};

// A method that was read but not called yet: "abc".upper.
struct Method {
  Value self;
  std::string name;
};

// Deeper values are refused where templates make them: printing, comparing and freeing recurse.
inline constexpr int kMaxValueDepth = 160;

// Python's ==. Costs steps, since shared parts can make a small value look huge.
bool equals(const Value& a, const Value& b, Meter& meter);
// Python's str() and repr().
std::string to_text(const Value& value, Meter& meter);
std::string to_repr(const Value& value, Meter& meter);
// Python's repr() of a float: the shortest digits that read back equal.
std::string float_text(double value);

struct JsonStyle {
  int indent = -1;  // below 0: one line
  bool ascii_only = false;
  bool sort_keys = false;
  std::string item_separator = ", ";
  std::string key_separator = ": ";
};
// Python's json.dumps.
std::string to_json_text(const Value& value, const JsonStyle& style, Meter& meter);

}  // namespace dlm::jinja
