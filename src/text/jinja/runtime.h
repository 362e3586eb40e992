// The functions of templates as functions of values: operators, attributes, filters, tests and
// methods. They fail through the meter, which knows the line; they neither print nor remember.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/jinja/meter.h"
#include "text/jinja/value.h"

namespace dlm::jinja {

struct Arguments {
  List positional;
  std::vector<std::pair<std::string, Value>> named;
};

// The arguments in the order of `names`; missing ones are undefined. Fails for unknown names and
// for too many; the first `num_required` must be there. `what` names the function in messages.
List bind_arguments(Meter& meter, std::string_view what, const Arguments& arguments,
                    std::initializer_list<std::string_view> names, size_t num_required = 0);
// Typed reading of one bound argument; undefined gives the fallback, other types fail.
std::string string_argument(Meter& meter, std::string_view what, const Value& value,
                            std::string_view fallback);
int64_t int_argument(Meter& meter, std::string_view what, const Value& value, int64_t fallback);

// Fails: the value's name is undefined.
[[noreturn]] void fail_undefined(Meter& meter, const Value& value);

// Values made here are counted by the meter, and fail when they nest too deeply.
Value make_string(Meter& meter, std::string text);
Value make_list(Meter& meter, List items, bool is_tuple = false);
Value make_dict(Meter& meter, Dict members);
Value make_method(Meter& meter, const Value& self, std::string name);

// What a for loop would see: items, keys, characters; nothing for undefined. Fails for other types.
List iterate(Meter& meter, const Value& value);
// Python's len(); fails for values without one.
size_t length_of(Meter& meter, const Value& value);

// value.name and value[key] as Jinja reads them; what is not there is undefined. Fails on
// undefined.
Value get_attribute(Meter& meter, const Value& value, const std::string& name);
Value get_item(Meter& meter, const Value& value, const Value& key);
// A dotted path of names and numbers, as in map(attribute="a.0.b").
Value get_path(Meter& meter, const Value& value, const Value& path);
Value get_slice(Meter& meter, const Value& value, const Value& begin, const Value& end,
                const Value& step);

Value apply_operator(Meter& meter, std::string_view op, const Value& a, const Value& b);
Value apply_sign(Meter& meter, std::string_view op, const Value& value);
bool apply_comparison(Meter& meter, std::string_view op, const Value& a, const Value& b);
// Python's <; fails for types without an order.
bool is_less(Meter& meter, const Value& a, const Value& b);

// Fail for unknown names.
Value apply_filter(Meter& meter, const std::string& name, const Value& input,
                   const Arguments& arguments);
bool apply_test(Meter& meter, const std::string& name, const Value& input,
                const Arguments& arguments);
using Filter = Value (*)(Meter&, const Value&, const Arguments&);
// Null for unknown names. Filters on text and numbers, and filters on lists and dicts.
Filter find_text_filter(std::string_view name);
Filter find_list_filter(std::string_view name);
bool is_filter(std::string_view name);
bool is_test(std::string_view name);

// Methods of str, dict and list. Those that would change a value do not exist.
bool has_method(const Value& value, std::string_view name);
Value call_method(Meter& meter, const Method& method, const Arguments& arguments);
Value call_string_method(Meter& meter, const std::string& text, const std::string& name,
                         const Arguments& arguments);

// Unicode text, by simple case mappings.
std::string to_lower(std::string_view text);
std::string to_upper(std::string_view text);
// First character upper, the rest lower.
std::string capitalize(std::string_view text);
std::vector<std::string> characters_of(std::string_view text);

}  // namespace dlm::jinja
