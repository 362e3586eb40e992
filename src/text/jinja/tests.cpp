// The tests behind "is".
#include <algorithm>
#include <array>

#include "text/jinja/runtime.h"

namespace dlm::jinja {

namespace {

using Kind = Value::Kind;

constexpr std::array<std::string_view, 38> kTests = {
    "defined",     "undefined", "none",        "string",  "number",   "integer",  "float",
    "boolean",     "true",      "false",       "mapping", "iterable", "sequence", "callable",
    "even",        "odd",       "divisibleby", "equalto", "eq",       "==",       "ne",
    "!=",          "lt",        "lessthan",    "<",       "le",       "<=",       "gt",
    "greaterthan", ">",         "ge",          ">=",      "in",       "lower",    "upper",
    "sameas",      "filter",    "test"};

std::string_view comparison_of(std::string_view name) {
  if (name == "equalto" || name == "eq" || name == "==") return "==";
  if (name == "ne" || name == "!=") return "!=";
  if (name == "lt" || name == "lessthan" || name == "<") return "<";
  if (name == "le" || name == "<=") return "<=";
  if (name == "gt" || name == "greaterthan" || name == ">") return ">";
  if (name == "ge" || name == ">=") return ">=";
  if (name == "in") return "in";
  return {};
}

bool is_same(const Value& a, const Value& b, Meter& meter) {
  switch (a.kind()) {
    case Kind::kNone:
      return b.is(Kind::kNone);
    case Kind::kBool:
    case Kind::kInt:
      return b.kind() == a.kind() && equals(a, b, meter);
    default:
      return b.kind() == a.kind() && a.same_object(b);
  }
}

bool is_iterable(const Value& value) {
  return value.is_undefined() || value.is_string() || value.is(Kind::kList) ||
         value.is(Kind::kDict) || value.is(Kind::kLoop);
}

bool has_case(Meter& meter, const Value& value, const char* method) {
  return call_string_method(meter, to_text(value, meter), method, {}).truth();
}

int64_t remainder(Meter& meter, const Value& value, int64_t divisor) {
  return apply_operator(meter, "%", value, Value::integer(divisor)).as_int();
}

bool is_name_of(const Value& value, bool (*exists)(std::string_view)) {
  return value.is_string() && exists(value.as_string());
}

}  // namespace

bool is_test(std::string_view name) {
  return std::find(kTests.begin(), kTests.end(), name) != kTests.end();
}

bool apply_test(Meter& meter, const std::string& name, const Value& value,
                const Arguments& arguments) {
  meter.step();
  if (!is_test(name)) meter.fail("there is no test named '" + name + "'");
  const std::string what = "the test '" + name + "'";
  if (const std::string_view op = comparison_of(name); !op.empty()) {
    return apply_comparison(meter, op, value, bind_arguments(meter, what, arguments, {"other"})[0]);
  }
  if (name == "sameas") {
    return is_same(value, bind_arguments(meter, what, arguments, {"other"}, 1)[0], meter);
  }
  if (name == "divisibleby") {
    const Value divisor = bind_arguments(meter, what, arguments, {"num"}, 1)[0];
    return remainder(meter, value, int_argument(meter, what, divisor, 1)) == 0;
  }
  bind_arguments(meter, what, arguments, {});
  if (name == "defined") return !value.is_undefined();
  if (name == "undefined") return value.is_undefined();
  if (name == "none") return value.is(Kind::kNone);
  if (name == "string") return value.is_string();
  if (name == "number") return value.is_number();
  if (name == "integer") return value.is(Kind::kInt);
  if (name == "float") return value.is(Kind::kDouble);
  if (name == "boolean") return value.is(Kind::kBool);
  if (name == "true") return value.is(Kind::kBool) && value.truth();
  if (name == "false") return value.is(Kind::kBool) && !value.truth();
  if (name == "mapping") return value.is(Kind::kDict);
  if (name == "iterable") return is_iterable(value);
  if (name == "sequence") return is_iterable(value) && !value.is(Kind::kLoop);
  if (name == "callable") {
    return value.is(Kind::kMacro) || value.is(Kind::kFunction) || value.is(Kind::kMethod);
  }
  if (name == "even") return remainder(meter, value, 2) == 0;
  if (name == "odd") return remainder(meter, value, 2) == 1;
  if (name == "lower") return has_case(meter, value, "islower");
  if (name == "upper") return has_case(meter, value, "isupper");
  return is_name_of(value, name == "filter" ? is_filter : is_test);
}

}  // namespace dlm::jinja
