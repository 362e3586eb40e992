// Arguments, attributes, subscripts, operators and comparisons, with Python's rules.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>

#include "support/text.h"
#include "text/jinja/runtime.h"

namespace dlm::jinja {

namespace {

using Kind = Value::Kind;

[[noreturn]] void fail_undefined(Meter& meter, const Value& value) {
  meter.fail("'" + (value.as_string().empty() ? "value" : value.as_string()) + "' is undefined");
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
    return Value::of(std::make_shared<const Method>(Method{value, name}));
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

Value repeat(Meter& meter, const Value& value, int64_t count) {
  const size_t times = count > 0 ? static_cast<size_t>(count) : 0;
  const size_t size = value.is_string() ? value.as_string().size() : value.as_list().size();
  if (times > 0 && size > std::numeric_limits<uint32_t>::max() / times) {
    meter.fail("the template makes too much data");
  }
  meter.bytes(times * size);
  if (value.is_string()) {
    std::string text;
    text.reserve(times * size);
    for (size_t i = 0; i < times; ++i) text += value.as_string();
    return make_string(meter, std::move(text));
  }
  meter.bytes(times * size * sizeof(Value));
  List items;
  for (size_t i = 0; i < times; ++i) {
    items.insert(items.end(), value.as_list().begin(), value.as_list().end());
  }
  return make_list(meter, std::move(items), value.is_tuple());
}

Value integer_operator(Meter& meter, std::string_view op, int64_t a, int64_t b) {
  int64_t result = 0;
  bool overflows = false;
  if (op == "+") {
    overflows = __builtin_add_overflow(a, b, &result);
  } else if (op == "-") {
    overflows = __builtin_sub_overflow(a, b, &result);
  } else if (op == "*") {
    overflows = __builtin_mul_overflow(a, b, &result);
  } else if (op == "**") {
    if (b < 0) return Value::number(std::pow(static_cast<double>(a), static_cast<double>(b)));
    result = 1;
    const bool is_trivial = a == 0 || a == 1 || a == -1;
    if (is_trivial) {
      result = a == 0 ? (b == 0) : (a == 1 || b % 2 == 0) ? 1 : -1;
    } else {
      for (int64_t i = 0; i < b && !overflows; ++i) {
        overflows = __builtin_mul_overflow(result, a, &result);
      }
    }
  } else {
    if (b == 0) meter.fail("division by zero");
    if (op == "/") return Value::number(static_cast<double>(a) / static_cast<double>(b));
    if (b == -1) {  // the smallest integer has no negation
      overflows = op == "//" && __builtin_sub_overflow(int64_t{0}, a, &result);
    } else {
      const int64_t remainder = a % b;
      const bool borrows = remainder != 0 && (remainder < 0) != (b < 0);
      result = op == "//" ? a / b - (borrows ? 1 : 0) : remainder + (borrows ? b : 0);
    }
  }
  if (overflows) meter.fail("an integer does not fit in 64 bits");
  return Value::integer(result);
}

Value double_operator(Meter& meter, std::string_view op, double a, double b) {
  if (op == "+") return Value::number(a + b);
  if (op == "-") return Value::number(a - b);
  if (op == "*") return Value::number(a * b);
  if (op == "**") return Value::number(std::pow(a, b));
  if (b == 0) meter.fail("division by zero");
  if (op == "/") return Value::number(a / b);
  if (op == "//") return Value::number(std::floor(a / b));
  const double remainder = std::fmod(a, b);
  return Value::number(remainder != 0 && (remainder < 0) != (b < 0) ? remainder + b : remainder);
}

// "%s and %d" % (a, b): s, d and %%, without flags.
Value format_text(Meter& meter, const std::string& format, const Value& value) {
  const List single{value};
  const List& values = value.is(Kind::kList) && value.is_tuple() ? value.as_list() : single;
  std::string out;
  size_t next = 0;
  for (size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%' || i + 1 == format.size()) {
      out += format[i];
      continue;
    }
    const char letter = format[++i];
    if (letter == '%') {
      out += '%';
      continue;
    }
    if (letter != 's' && letter != 'd') {
      meter.fail(std::string("the format %") + letter + " is not supported");
    }
    if (next == values.size()) meter.fail("not enough arguments for the format string");
    const Value& item = values[next++];
    if (letter == 'd' && !item.is_number()) meter.fail("%d needs a number");
    const bool cuts = letter == 'd' && item.is(Kind::kDouble);
    out += cuts ? std::to_string(static_cast<int64_t>(item.as_double())) : to_text(item, meter);
    meter.output(out.size());
  }
  if (next != values.size()) meter.fail("not all arguments of the format string are used");
  return make_string(meter, std::move(out));
}

bool contains(Meter& meter, const Value& container, const Value& item) {
  switch (container.kind()) {
    case Kind::kUndefined:
      return false;
    case Kind::kString:
      if (!item.is_string()) {
        meter.fail(std::string("'in <str>' needs a str, not ") + item.type_name());
      }
      meter.step(container.as_string().size() / 64);
      return container.as_string().find(item.as_string()) != std::string::npos;
    case Kind::kList:
      return std::any_of(container.as_list().begin(), container.as_list().end(),
                         [&](const Value& member) { return equals(member, item, meter); });
    case Kind::kDict:
      return std::any_of(container.as_dict().begin(), container.as_dict().end(),
                         [&](const auto& member) { return equals(member.first, item, meter); });
    default:
      meter.fail(std::string("a value of type ") + container.type_name() + " holds no items");
  }
}

}  // namespace

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
  return Value::list(std::move(items), is_tuple);
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
    return Value::of(std::make_shared<const Method>(Method{value, name}));
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

Value apply_operator(Meter& meter, std::string_view op, const Value& a, const Value& b) {
  meter.step();
  if (a.is_undefined()) fail_undefined(meter, a);
  if (op == "%" && a.is_string()) return format_text(meter, a.as_string(), b);
  if (b.is_undefined()) fail_undefined(meter, b);
  if (a.is_integral() && b.is_integral()) {
    return integer_operator(meter, op, a.as_int(), b.as_int());
  }
  if (a.is_number() && b.is_number()) {
    return double_operator(meter, op, a.as_double(), b.as_double());
  }
  if (op == "+" && a.is_string() && b.is_string()) {
    meter.bytes(a.as_string().size() + b.as_string().size());
    return make_string(meter, a.as_string() + b.as_string());
  }
  if (op == "+" && a.is(Kind::kList) && b.is(Kind::kList) && a.is_tuple() == b.is_tuple()) {
    meter.step((a.as_list().size() + b.as_list().size()) / 8);
    meter.bytes((a.as_list().size() + b.as_list().size()) * sizeof(Value));
    List items = a.as_list();
    items.insert(items.end(), b.as_list().begin(), b.as_list().end());
    return make_list(meter, std::move(items), a.is_tuple());
  }
  if (op == "*" && (a.is_string() || a.is(Kind::kList)) && b.is_integral()) {
    return repeat(meter, a, b.as_int());
  }
  if (op == "*" && (b.is_string() || b.is(Kind::kList)) && a.is_integral()) {
    return repeat(meter, b, a.as_int());
  }
  meter.fail("'" + std::string(op) + "' does not work for " + a.type_name() + " and " +
             b.type_name());
}

Value apply_sign(Meter& meter, std::string_view op, const Value& value) {
  if (value.is_undefined()) fail_undefined(meter, value);
  if (value.is_integral()) {
    return op == "-" ? integer_operator(meter, "-", 0, value.as_int())
                     : Value::integer(value.as_int());
  }
  if (!value.is_number()) {
    meter.fail("'" + std::string(op) + "' does not work for " + value.type_name());
  }
  return op == "-" ? Value::number(-value.as_double()) : value;
}

bool apply_comparison(Meter& meter, std::string_view op, const Value& a, const Value& b) {
  if (op == "==") return equals(a, b, meter);
  if (op == "!=") return !equals(a, b, meter);
  if (op == "in") return contains(meter, b, a);
  if (op == "not in") return !contains(meter, b, a);
  if (op == "<") return is_less(meter, a, b);
  if (op == ">") return is_less(meter, b, a);
  // For numbers that do not compare (NaN) both of these are false, as in Python.
  if (op == "<=") return is_less(meter, a, b) || equals(a, b, meter);
  return is_less(meter, b, a) || equals(a, b, meter);
}

bool is_less(Meter& meter, const Value& a, const Value& b) {
  meter.step();
  if (a.is_undefined()) fail_undefined(meter, a);
  if (b.is_undefined()) fail_undefined(meter, b);
  if (a.is_integral() && b.is_integral()) return a.as_int() < b.as_int();
  if (a.is_number() && b.is_number()) return a.as_double() < b.as_double();
  // The order of UTF-8 bytes is the order of code points.
  if (a.is_string() && b.is_string()) return a.as_string() < b.as_string();
  if (a.is(Kind::kList) && b.is(Kind::kList)) {
    const size_t common = std::min(a.as_list().size(), b.as_list().size());
    for (size_t i = 0; i < common; ++i) {
      if (equals(a.as_list()[i], b.as_list()[i], meter)) continue;
      return is_less(meter, a.as_list()[i], b.as_list()[i]);
    }
    return a.as_list().size() < b.as_list().size();
  }
  meter.fail(std::string(a.type_name()) + " and " + b.type_name() + " have no order");
}

}  // namespace dlm::jinja
