// Making, reading and comparing values.
#include "text/jinja/value.h"

#include <algorithm>

#include "text/jinja/meter.h"

namespace dlm::jinja {

namespace {

int deeper(int depth, const Value& child) {
  return std::max(depth, child.depth() + 1);
}

bool equal_dicts(const Value& a, const Value& b, Meter& meter) {
  if (a.as_dict().size() != b.as_dict().size()) return false;
  const Dict& others = b.as_dict();
  for (const auto& member : a.as_dict()) {
    const auto found = std::find_if(others.begin(), others.end(), [&](const auto& other) {
      return equals(other.first, member.first, meter);
    });
    if (found == others.end() || !equals(found->second, member.second, meter)) return false;
  }
  return true;
}

}  // namespace

Value Value::undefined(std::string name) {
  Value value;
  value.object_ = std::make_shared<const std::string>(std::move(name));
  return value;
}

Value Value::none() {
  Value value;
  value.kind_ = Kind::kNone;
  return value;
}

Value Value::boolean(bool truth) {
  Value value;
  value.kind_ = Kind::kBool;
  value.int_ = truth;
  return value;
}

Value Value::integer(int64_t number) {
  Value value;
  value.kind_ = Kind::kInt;
  value.int_ = number;
  return value;
}

Value Value::number(double number) {
  Value value;
  value.kind_ = Kind::kDouble;
  value.double_ = number;
  return value;
}

Value Value::string(std::string text) {
  Value value;
  value.kind_ = Kind::kString;
  value.object_ = std::make_shared<const std::string>(std::move(text));
  return value;
}

Value Value::list(List items, bool is_tuple) {
  Value value;
  value.kind_ = Kind::kList;
  value.is_tuple_ = is_tuple;
  value.depth_ = 1;
  for (const Value& item : items) value.depth_ = deeper(value.depth_, item);
  value.object_ = std::make_shared<const List>(std::move(items));
  return value;
}

Value Value::dict(Dict members) {
  Value value;
  value.kind_ = Kind::kDict;
  value.depth_ = 1;
  for (const auto& [key, member] : members) {
    value.depth_ = std::max(deeper(value.depth_, key), deeper(value.depth_, member));
  }
  value.object_ = std::make_shared<const Dict>(std::move(members));
  return value;
}

Value Value::of(std::shared_ptr<Namespace> object) {
  Value value;
  value.kind_ = Kind::kNamespace;
  value.object_ = std::move(object);
  return value;
}

Value Value::of(std::shared_ptr<const Macro> object) {
  Value value;
  value.kind_ = Kind::kMacro;
  value.object_ = std::move(object);
  return value;
}

Value Value::of(std::shared_ptr<Loop> object) {
  Value value;
  value.kind_ = Kind::kLoop;
  value.object_ = std::move(object);
  return value;
}

Value Value::of(std::shared_ptr<const Method> object) {
  Value value;
  value.kind_ = Kind::kMethod;
  value.depth_ = object->self.depth() + 1;
  value.object_ = std::move(object);
  return value;
}

Value Value::function(std::string name) {
  Value value = string(std::move(name));
  value.kind_ = Kind::kFunction;
  return value;
}

Value Value::from_json(const Json& json) {
  switch (json.type()) {
    case Json::Type::kNull:
      return none();
    case Json::Type::kBool:
      return boolean(json.as_bool());
    case Json::Type::kInt:
      return integer(json.as_int());
    case Json::Type::kDouble:
      return number(json.as_double());
    case Json::Type::kString:
      return string(json.as_string());
    case Json::Type::kArray: {
      List items;
      items.reserve(json.size());
      for (const Json& item : json.items()) items.push_back(from_json(item));
      return list(std::move(items));
    }
    case Json::Type::kObject: {
      Dict members;
      members.reserve(json.size());
      for (const auto& [key, member] : json.members()) {
        members.emplace_back(string(key), from_json(member));
      }
      return dict(std::move(members));
    }
  }
  return none();
}

const std::string& Value::as_string() const {
  static const std::string empty;
  return object_ == nullptr ? empty : *static_cast<const std::string*>(object_.get());
}

const List& Value::as_list() const {
  return *static_cast<const List*>(object_.get());
}
const Dict& Value::as_dict() const {
  return *static_cast<const Dict*>(object_.get());
}

Namespace& Value::as_namespace() const {
  return *static_cast<Namespace*>(const_cast<void*>(object_.get()));
}

const Macro& Value::as_macro() const {
  return *static_cast<const Macro*>(object_.get());
}
Loop& Value::as_loop() const {
  return *static_cast<Loop*>(const_cast<void*>(object_.get()));
}
const Method& Value::as_method() const {
  return *static_cast<const Method*>(object_.get());
}

const Value* Value::find(std::string_view key) const {
  if (kind_ != Kind::kDict) return nullptr;
  for (const auto& [name, member] : as_dict()) {
    if (name.is_string() && name.as_string() == key) return &member;
  }
  return nullptr;
}

bool Value::truth() const {
  switch (kind_) {
    case Kind::kUndefined:
    case Kind::kNone:
      return false;
    case Kind::kBool:
    case Kind::kInt:
      return int_ != 0;
    case Kind::kDouble:
      return double_ != 0;
    case Kind::kString:
      return !as_string().empty();
    case Kind::kList:
      return !as_list().empty();
    case Kind::kDict:
      return !as_dict().empty();
    default:
      return true;
  }
}

const char* Value::type_name() const {
  switch (kind_) {
    case Kind::kUndefined:
      return "undefined";
    case Kind::kNone:
      return "None";
    case Kind::kBool:
      return "bool";
    case Kind::kInt:
      return "int";
    case Kind::kDouble:
      return "float";
    case Kind::kString:
      return "str";
    case Kind::kList:
      return is_tuple_ ? "tuple" : "list";
    case Kind::kDict:
      return "dict";
    case Kind::kNamespace:
      return "namespace";
    case Kind::kMacro:
      return "macro";
    case Kind::kLoop:
      return "loop";
    case Kind::kMethod:
      return "method";
    case Kind::kFunction:
      return "function";
  }
  return "value";
}

bool equals(const Value& a, const Value& b, Meter& meter) {
  meter.step();
  if (a.is_number() && b.is_number()) {
    if (a.is_integral() && b.is_integral()) return a.as_int() == b.as_int();
    return a.as_double() == b.as_double();
  }
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Value::Kind::kUndefined:
    case Value::Kind::kNone:
      return true;
    case Value::Kind::kString:
      meter.step(a.as_string().size() / 64);
      return a.as_string() == b.as_string();
    case Value::Kind::kList: {
      if (a.is_tuple() != b.is_tuple() || a.as_list().size() != b.as_list().size()) return false;
      for (size_t i = 0; i < a.as_list().size(); ++i) {
        if (!equals(a.as_list()[i], b.as_list()[i], meter)) return false;
      }
      return true;
    }
    case Value::Kind::kDict:
      return equal_dicts(a, b, meter);
    case Value::Kind::kFunction:
      return a.as_string() == b.as_string();
    default:
      return a.same_object(b);
  }
}

}  // namespace dlm::jinja
