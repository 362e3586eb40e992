// Filters on text and numbers, and those that turn a value into text.
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "support/text.h"
#include "text/jinja/runtime.h"
#include "text/normalizer.h"

namespace dlm::jinja {

namespace {

using Kind = Value::Kind;

std::string text_of(Meter& meter, const Value& value) {
  if (value.is_string()) meter.step(value.as_string().size() / 16);
  return to_text(value, meter);
}

Value filter_string(Meter& meter, const Value& value, const Arguments& arguments) {
  bind_arguments(meter, "string", arguments, {});
  return make_string(meter, text_of(meter, value));
}

Value filter_upper(Meter& meter, const Value& value, const Arguments& arguments) {
  bind_arguments(meter, "upper", arguments, {});
  return make_string(meter, to_upper(text_of(meter, value)));
}

Value filter_lower(Meter& meter, const Value& value, const Arguments& arguments) {
  bind_arguments(meter, "lower", arguments, {});
  return make_string(meter, to_lower(text_of(meter, value)));
}

Value filter_capitalize(Meter& meter, const Value& value, const Arguments& arguments) {
  bind_arguments(meter, "capitalize", arguments, {});
  return make_string(meter, capitalize(text_of(meter, value)));
}

// Words begin after white space, hyphens and opening brackets (unlike in str.title).
Value filter_title(Meter& meter, const Value& value, const Arguments& arguments) {
  bind_arguments(meter, "title", arguments, {});
  std::string out, word;
  for (const std::string& character : characters_of(text_of(meter, value))) {
    const bool parts = is_unicode_space(decode_utf8(character)[0]) ||
                       std::string_view("-({[<").find(character) != std::string_view::npos;
    if (!parts) {
      word += character;
      continue;
    }
    out += capitalize(word) + character;
    word.clear();
  }
  return make_string(meter, out + capitalize(word));
}

Value filter_trim(Meter& meter, const Value& value, const Arguments& arguments) {
  const List bound = bind_arguments(meter, "trim", arguments, {"chars"});
  Arguments characters;
  if (!bound[0].is_undefined()) characters.positional.push_back(bound[0]);
  return call_string_method(meter, text_of(meter, value), "strip", characters);
}

Value filter_replace(Meter& meter, const Value& value, const Arguments& arguments) {
  const List bound = bind_arguments(meter, "replace", arguments, {"old", "new", "count"}, 2);
  Arguments passed;
  passed.positional = {Value::string(text_of(meter, bound[0])),
                       Value::string(text_of(meter, bound[1]))};
  if (bound[2].is(Kind::kInt)) passed.positional.push_back(bound[2]);
  return call_string_method(meter, text_of(meter, value), "replace", passed);
}

Value filter_escape(Meter& meter, const Value& value, const Arguments& arguments) {
  bind_arguments(meter, "escape", arguments, {});
  std::string out;
  for (const char c : text_of(meter, value)) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '\'':
        out += "&#39;";
        break;
      case '"':
        out += "&#34;";
        break;
      default:
        out += c;
    }
  }
  return make_string(meter, std::move(out));
}

// Indents all lines but the first one and blank ones.
Value filter_indent(Meter& meter, const Value& value, const Arguments& arguments) {
  const List bound = bind_arguments(meter, "indent", arguments, {"width", "first", "blank"});
  std::string margin;
  if (bound[0].is_string()) {
    margin = bound[0].as_string();
  } else {
    const int64_t width = int_argument(meter, "indent", bound[0], 4);
    meter.output(static_cast<size_t>(std::max<int64_t>(0, width)));
    margin.assign(static_cast<size_t>(std::max<int64_t>(0, width)), ' ');
  }
  const std::string text = text_of(meter, value);
  std::string out;
  bool is_first = true;
  for (const std::string_view line : split(text, '\n')) {
    if (!is_first) out += '\n';
    const bool indents = is_first ? bound[1].truth() : bound[2].truth() || !line.empty();
    if (indents) out += margin;
    out += line;
    is_first = false;
    meter.output(out.size());
  }
  return make_string(meter, std::move(out));
}

Value filter_tojson(Meter& meter, const Value& value, const Arguments& arguments) {
  const List bound = bind_arguments(meter, "tojson", arguments,
                                    {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style;
  style.ascii_only = bound[0].truth();
  style.sort_keys = bound[3].truth();
  // Python's first positional argument is the indent in plain Jinja, ensure_ascii in chat
  // templates.
  if (!bound[1].is_undefined() && !bound[1].is(Kind::kNone)) {
    const int64_t indent = int_argument(meter, "tojson", bound[1], 0);
    if (indent > 64) meter.fail("tojson takes an indent of at most 64");
    style.indent = static_cast<int>(std::max<int64_t>(0, indent));
    style.item_separator = ",";
  }
  if (bound[2].is(Kind::kList) && bound[2].as_list().size() == 2) {
    style.item_separator = string_argument(meter, "tojson", bound[2].as_list()[0], ", ");
    style.key_separator = string_argument(meter, "tojson", bound[2].as_list()[1], ": ");
  }
  return make_string(meter, to_json_text(value, style, meter));
}

Value filter_int(Meter& meter, const Value& value, const Arguments& arguments) {
  const List bound = bind_arguments(meter, "int", arguments, {"default", "base"});
  const Value fallback = bound[0].is_undefined() ? Value::integer(0) : bound[0];
  if (value.is_integral()) return Value::integer(value.as_int());
  double number = 0;
  if (value.is(Kind::kDouble)) {
    number = value.as_double();
  } else if (value.is_string()) {
    const std::string_view text = trim(value.as_string());
    const char* const begin = text.data() + (text.starts_with('+') ? 1 : 0);
    const char* const end = text.data() + text.size();
    const auto base = static_cast<int>(int_argument(meter, "int", bound[1], 10));
    if (base < 2 || base > 36) meter.fail("int takes a base from 2 to 36");
    int64_t whole = 0;
    const auto parsed = std::from_chars(begin, end, whole, base);
    if (begin != end && parsed.ec == std::errc() && parsed.ptr == end) {
      return Value::integer(whole);
    }
    const auto as_double = std::from_chars(begin, end, number);
    if (begin == end || as_double.ec != std::errc() || as_double.ptr != end) return fallback;
  } else {
    return fallback;
  }
  // Doubles of this size and above, NaN and infinities have no int64.
  if (!(std::fabs(number) < 9.2e18)) return fallback;
  return Value::integer(static_cast<int64_t>(number));
}

Value filter_float(Meter& meter, const Value& value, const Arguments& arguments) {
  const List bound = bind_arguments(meter, "float", arguments, {"default"});
  if (value.is_number()) return Value::number(value.as_double());
  if (value.is_string()) {
    const std::string_view text = trim(value.as_string());
    double number = 0;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
    if (!text.empty() && parsed.ec == std::errc() && parsed.ptr == text.data() + text.size()) {
      return Value::number(number);
    }
  }
  return bound[0].is_undefined() ? Value::number(0) : bound[0];
}

Value filter_abs(Meter& meter, const Value& value, const Arguments& arguments) {
  bind_arguments(meter, "abs", arguments, {});
  if (!value.is_number()) meter.fail("abs needs a number");
  const bool is_negative = value.as_double() < 0;
  return is_negative ? apply_sign(meter, "-", value) : value;
}

// Rounds half to even on the exact decimal value, as Python does.
Value filter_round(Meter& meter, const Value& value, const Arguments& arguments) {
  const List bound = bind_arguments(meter, "round", arguments, {"precision", "method"});
  if (!value.is_number()) meter.fail("round needs a number");
  const int64_t precision = int_argument(meter, "round", bound[0], 0);
  if (precision < 0 || precision > 30) meter.fail("round takes a precision from 0 to 30");
  const std::string method = string_argument(meter, "round", bound[1], "common");
  const double number = value.as_double();
  if (method == "ceil" || method == "floor") {
    const double scale = std::pow(10.0, static_cast<double>(precision));
    const double scaled = number * scale;
    return Value::number((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / scale);
  }
  if (method != "common") meter.fail("round knows the methods common, ceil and floor");
  if (value.is_integral()) return Value::integer(value.as_int());
  std::array<char, 400> buffer{};
  const auto printed = std::to_chars(buffer.data(), buffer.data() + buffer.size(), number,
                                     std::chars_format::fixed, static_cast<int>(precision));
  double rounded = number;
  std::from_chars(buffer.data(), printed.ptr, rounded);
  return Value::number(rounded);
}

Value filter_wordcount(Meter& meter, const Value& value, const Arguments& arguments) {
  bind_arguments(meter, "wordcount", arguments, {});
  const Value words = call_string_method(meter, text_of(meter, value), "split", {});
  return Value::integer(static_cast<int64_t>(words.as_list().size()));
}

Value filter_format(Meter& meter, const Value& value, const Arguments& arguments) {
  if (!arguments.named.empty()) meter.fail("format takes no named arguments");
  return apply_operator(meter, "%", Value::string(text_of(meter, value)),
                        make_list(meter, arguments.positional, true));
}

struct Entry {
  std::string_view name;
  Filter filter;
};
constexpr Entry kFilters[] = {
    {"abs", filter_abs},       {"capitalize", filter_capitalize},
    {"e", filter_escape},      {"escape", filter_escape},
    {"float", filter_float},   {"format", filter_format},
    {"indent", filter_indent}, {"int", filter_int},
    {"lower", filter_lower},   {"replace", filter_replace},
    {"round", filter_round},   {"safe", filter_string},
    {"string", filter_string}, {"title", filter_title},
    {"tojson", filter_tojson}, {"trim", filter_trim},
    {"upper", filter_upper},   {"wordcount", filter_wordcount},
};

}  // namespace

Filter find_text_filter(std::string_view name) {
  for (const Entry& entry : kFilters) {
    if (entry.name == name) return entry.filter;
  }
  return nullptr;
}

}  // namespace dlm::jinja
