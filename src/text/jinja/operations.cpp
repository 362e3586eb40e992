// Operators and comparisons, with Python's rules.
#include <algorithm>
#include <cmath>
#include <limits>

#include "text/jinja/runtime.h"

namespace dlm::jinja {

namespace {

using Kind = Value::Kind;

Value repeat(Meter& meter, const Value& value, int64_t count) {
  const size_t size = value.is_string() ? value.as_string().size() : value.as_list().size();
  // Nothing stays nothing: its repetitions would cost time that no limit sees.
  const size_t times = count > 0 && size > 0 ? static_cast<size_t>(count) : 0;
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
