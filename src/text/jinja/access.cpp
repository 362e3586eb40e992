// Arguments, attributes, subscripts, slices and what a loop sees, with the rules of Python and
// Jinja.
#include <algorithm>
#include <cstdlib>

#include "support/text.h"
#include "text/jinja/runtime.h"

namespace dlm::jinja {

namespace {

using Kind = Value::Kind;

Value checked(Meter& meter, Value value) {
  if (value.depth() > kMaxValueDepth) meter.fail("the template nests values too deeply");
  return value;
}

Value loop_attribute(Meter& meter, const Value& value, const std::string& name) {
  const Loop& loop = value.as_loop();
  const auto index = static_cast<int64_t>(loop.index);
  const auto length = static_cast<int64_t>(loop.items->size());
  if (name == "index") return Value::integer(index + 1);
  if (name == "index0") return Value::integer(index);
  if (name == "revindex") return Value::integer(length - index);
  if (name == "revindex0") return Value::integer(length - index - 1);
  if (name == "first") return Value::boolean(index == 0);
  if (name == "last") return Value::boolean(index + 1 == length);
  if (name == "length") return Value::integer(length);
  if (name == "depth") return Value::integer(loop.depth);
  if (name == "depth0") return Value::integer(loop.depth - 1);
  if (name == "previtem") {
    return index == 0 ? Value::undefined("loop.previtem") : (*loop.items)[loop.index - 1];
  }
  if (name == "nextitem") {
    return index + 1 == length ? Value::undefined("loop.nextitem") : (*loop.items)[loop.index + 1];
  }
  if (name == "cycle" || name == "changed") {
    return make_method(meter, value, name);
  }
  meter.step();
  return Value::undefined("loop." + name);
}

// An index from the end when negative; none when outside.
bool resolve_index(int64_t index, size_t size, size_t& resolved) {
  const auto length = static_cast<int64_t>(size);
  if (index < 0) index += length;
  if (index < 0 || index >= length) return false;
  resolved = static_cast<size_t>(index);
  return true;
}

}  // namespace

void fail_undefined(Meter& meter, const Value& value) {
  meter.fail("'" + (value.as_string().empty() ? "value" : value.as_string()) + "' is undefined");
}

List bind_arguments(Meter& meter, std::string_view what, const Arguments& arguments,
                    std::initializer_list<std::string_view> names, size_t num_required) {
  List bound(names.size());
  if (arguments.positional.size() > names.size()) {
    meter.fail(std::string(what) + " takes at most " + std::to_string(names.size()) + " arguments");
  }
  std::copy(arguments.positional.begin(), arguments.positional.end(), bound.begin());
  for (const auto& [name, value] : arguments.named) {
    const auto found = std::find(names.begin(), names.end(), name);
    if (found == names.end()) {
      meter.fail(std::string(what) + " takes no argument named '" + name + "'");
    }
    bound[static_cast<size_t>(found - names.begin())] = value;
  }
  for (size_t i = arguments.positional.size(); i < num_required; ++i) {
    if (bound[i].is_undefined()) {
      meter.fail(std::string(what) + " lacks the argument '" +
                 std::string(*(names.begin() + static_cast<ptrdiff_t>(i))) + "'");
    }
  }
  return bound;
}

std::string string_argument(Meter& meter, std::string_view what, const Value& value,
                            std::string_view fallback) {
  if (value.is_undefined()) return std::string(fallback);
  if (!value.is_string()) {
    meter.fail(std::string(what) + " needs a str, not " + value.type_name());
  }
  return value.as_string();
}

int64_t int_argument(Meter& meter, std::string_view what, const Value& value, int64_t fallback) {
  if (value.is_undefined()) return fallback;
  if (!value.is_integral()) {
    meter.fail(std::string(what) + " needs an int, not " + value.type_name());
  }
  return value.as_int();
}

Value make_string(Meter& meter, std::string text) {
  meter.bytes(text.size() + sizeof(std::string));
  meter.output(text.size());
  return Value::string(std::move(text));
}

Value make_list(Meter& meter, List items, bool is_tuple) {
  meter.bytes(items.size() * sizeof(Value) + sizeof(List));
  return checked(meter, Value::list(std::move(items), is_tuple));
}

Value make_dict(Meter& meter, Dict members) {
  meter.bytes(members.size() * 2 * sizeof(Value) + sizeof(Dict));
  return checked(meter, Value::dict(std::move(members)));
}

Value make_method(Meter& meter, const Value& self, std::string name) {
  meter.bytes(sizeof(Method));
  return checked(meter, Value::of(std::make_shared<const Method>(Method{self, std::move(name)})));
}

List iterate(Meter& meter, const Value& value) {
  meter.step(1 + length_of(meter, value));
  List items;
  switch (value.kind()) {
    case Kind::kList:
      meter.bytes(value.as_list().size() * sizeof(Value));
      return value.as_list();
    case Kind::kDict:
      meter.bytes(value.as_dict().size() * sizeof(Value));
      for (const auto& member : value.as_dict()) items.push_back(member.first);
      return items;
    case Kind::kString:
      meter.bytes(value.as_string().size() * 2 * sizeof(Value));
      for (std::string& character : characters_of(value.as_string())) {
        items.push_back(Value::string(std::move(character)));
      }
      return items;
    default:
      return items;
  }
}

size_t length_of(Meter& meter, const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
      return 0;
    case Kind::kString:
      meter.step(value.as_string().size() / 64);
      return static_cast<size_t>(
          std::count_if(value.as_string().begin(), value.as_string().end(),
                        [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
    case Kind::kList:
      return value.as_list().size();
    case Kind::kDict:
      return value.as_dict().size();
    default:
      meter.fail(std::string("a value of type ") + value.type_name() + " holds no items");
  }
}

Value get_attribute(Meter& meter, const Value& value, const std::string& name) {
  meter.step();
  if (value.is_undefined()) fail_undefined(meter, value);
  if (value.is(Kind::kNamespace)) {
    for (const auto& [key, member] : value.as_namespace().members) {
      if (key == name) return member;
    }
    return Value::undefined(name);
  }
  if (value.is(Kind::kLoop)) return loop_attribute(meter, value, name);
  if (has_method(value, name)) {
    return make_method(meter, value, name);
  }
  if (value.is(Kind::kDict)) meter.step(value.as_dict().size() / 8);
  const Value* member = value.find(name);
  return member == nullptr ? Value::undefined(name) : *member;
}

Value get_item(Meter& meter, const Value& value, const Value& key) {
  meter.step();
  if (value.is_undefined()) fail_undefined(meter, value);
  size_t index = 0;
  if (value.is(Kind::kDict)) {
    for (const auto& [name, member] : value.as_dict()) {
      if (equals(name, key, meter)) return member;
    }
  } else if (value.is(Kind::kList) && key.is_integral()) {
    if (resolve_index(key.as_int(), value.as_list().size(), index)) return value.as_list()[index];
  } else if (value.is_string() && key.is_integral()) {
    meter.step(value.as_string().size());
    const std::vector<std::string> characters = characters_of(value.as_string());
    if (resolve_index(key.as_int(), characters.size(), index)) {
      return make_string(meter, characters[index]);
    }
  }
  if (!key.is_string()) return Value::undefined("item");
  return value.is(Kind::kDict) && !has_method(value, key.as_string())
             ? Value::undefined(key.as_string())
             : get_attribute(meter, value, key.as_string());
}

Value get_path(Meter& meter, const Value& value, const Value& path) {
  if (!path.is_string()) return get_item(meter, value, path);
  Value result = value;
  for (const std::string_view part : split(path.as_string(), '.')) {
    const bool is_number = !part.empty() && part.size() < 10 &&
                           part.find_first_not_of("0123456789") == std::string_view::npos;
    result = get_item(meter, result,
                      is_number ? Value::integer(std::atoi(std::string(part).c_str()))
                                : Value::string(std::string(part)));
  }
  return result;
}

Value get_slice(Meter& meter, const Value& value, const Value& begin, const Value& end,
                const Value& step) {
  if (value.is_undefined()) fail_undefined(meter, value);
  if (!value.is_string() && !value.is(Kind::kList)) {
    meter.fail(std::string("a value of type ") + value.type_name() + " cannot be sliced");
  }
  const auto number = [&](const Value& part, int64_t fallback) {
    return part.is(Kind::kNone) ? fallback : int_argument(meter, "a slice", part, fallback);
  };
  const List items = iterate(meter, value);
  const auto length = static_cast<int64_t>(items.size());
  const int64_t stride = number(step, 1);
  if (stride == 0) meter.fail("a slice's step is zero");
  const auto clamp = [&](int64_t index) {
    if (index < 0) index += length;
    return std::clamp<int64_t>(index, stride < 0 ? -1 : 0, stride < 0 ? length - 1 : length);
  };
  const bool has_begin = !begin.is_undefined() && !begin.is(Kind::kNone);
  const bool has_end = !end.is_undefined() && !end.is(Kind::kNone);
  const int64_t first = has_begin ? clamp(number(begin, 0)) : (stride < 0 ? length - 1 : 0);
  const int64_t last = has_end ? clamp(number(end, 0)) : (stride < 0 ? -1 : length);
  List picked;
  for (int64_t i = first; stride > 0 ? i < last : i > last;) {
    picked.push_back(items[static_cast<size_t>(i)]);
    if (__builtin_add_overflow(i, stride, &i)) break;
  }
  if (!value.is_string()) return make_list(meter, std::move(picked), value.is_tuple());
  std::string text;
  for (const Value& character : picked) text += character.as_string();
  return make_string(meter, std::move(text));
}

}  // namespace dlm::jinja
