// Filters on lists and dicts, and those that choose between values.
#include <algorithm>

#include "text/jinja/runtime.h"

namespace dlm::jinja {

namespace {

using Kind = Value::Kind;

Value filter_length(Meter& meter, const Value& value, const Arguments& arguments) {
  bind_arguments(meter, "length", arguments, {});
  return Value::integer(static_cast<int64_t>(length_of(meter, value)));
}

Value filter_list(Meter& meter, const Value& value, const Arguments& arguments) {
  bind_arguments(meter, "list", arguments, {});
  return make_list(meter, iterate(meter, value));
}

Value filter_first(Meter& meter, const Value& value, const Arguments& arguments) {
  bind_arguments(meter, "first", arguments, {});
  const List items = iterate(meter, value);
  return items.empty() ? Value::undefined("first") : items.front();
}

Value filter_last(Meter& meter, const Value& value, const Arguments& arguments) {
  bind_arguments(meter, "last", arguments, {});
  const List items = iterate(meter, value);
  return items.empty() ? Value::undefined("last") : items.back();
}

Value filter_default(Meter& meter, const Value& value, const Arguments& arguments) {
  const List bound = bind_arguments(meter, "default", arguments, {"default_value", "boolean"});
  const bool replaces = value.is_undefined() || (bound[1].truth() && !value.truth());
  if (!replaces) return value;
  const bool has_fallback = !arguments.positional.empty() || !bound[0].is_undefined();
  return has_fallback ? bound[0] : Value::string("");
}

Value filter_items(Meter& meter, const Value& value, const Arguments& arguments) {
  bind_arguments(meter, "items", arguments, {});
  if (value.is_undefined()) return make_list(meter, {});
  if (!value.is(Kind::kDict)) meter.fail("items needs a dict");
  return call_method(meter, Method{value, "items"}, {});
}

Value filter_join(Meter& meter, const Value& value, const Arguments& arguments) {
  const List bound = bind_arguments(meter, "join", arguments, {"d", "attribute"});
  const std::string separator = to_text(bound[0], meter);
  std::string out;
  bool is_first = true;
  for (const Value& item : iterate(meter, value)) {
    if (!is_first) out += separator;
    is_first = false;
    out += to_text(bound[1].is_undefined() ? item : get_path(meter, item, bound[1]), meter);
    meter.output(out.size());
  }
  return make_string(meter, std::move(out));
}

Value filter_reverse(Meter& meter, const Value& value, const Arguments& arguments) {
  bind_arguments(meter, "reverse", arguments, {});
  List items = iterate(meter, value);
  std::reverse(items.begin(), items.end());
  if (!value.is_string()) return make_list(meter, std::move(items));
  std::string text;
  for (const Value& character : items) text += character.as_string();
  return make_string(meter, std::move(text));
}

// What a sort compares: text without regard to case unless asked for.
Value sort_key(Meter& meter, const Value& item, const Value& attribute, bool case_sensitive) {
  const Value key = attribute.is_undefined() || attribute.is(Kind::kNone)
                        ? item
                        : get_path(meter, item, attribute);
  return key.is_string() && !case_sensitive ? make_string(meter, to_lower(key.as_string())) : key;
}

struct Keyed {
  Value key;
  Value item;
};

std::vector<Keyed> keyed_items(Meter& meter, const Value& value, const Value& attribute,
                               bool case_sensitive) {
  std::vector<Keyed> keyed;
  for (const Value& item : iterate(meter, value)) {
    keyed.push_back({sort_key(meter, item, attribute, case_sensitive), item});
  }
  return keyed;
}

void sort_keyed(Meter& meter, std::vector<Keyed>& keyed, bool reverse) {
  std::stable_sort(keyed.begin(), keyed.end(), [&](const Keyed& a, const Keyed& b) {
    return reverse ? is_less(meter, b.key, a.key) : is_less(meter, a.key, b.key);
  });
}

Value filter_sort(Meter& meter, const Value& value, const Arguments& arguments) {
  const List bound =
      bind_arguments(meter, "sort", arguments, {"reverse", "case_sensitive", "attribute"});
  std::vector<Keyed> keyed = keyed_items(meter, value, bound[2], bound[1].truth());
  sort_keyed(meter, keyed, bound[0].truth());
  List items;
  for (Keyed& entry : keyed) items.push_back(std::move(entry.item));
  return make_list(meter, std::move(items));
}

Value filter_dictsort(Meter& meter, const Value& value, const Arguments& arguments) {
  const List bound =
      bind_arguments(meter, "dictsort", arguments, {"case_sensitive", "by", "reverse"});
  const std::string by = string_argument(meter, "dictsort", bound[1], "key");
  if (!value.is(Kind::kDict)) meter.fail("dictsort needs a dict");
  if (by != "key" && by != "value") meter.fail("dictsort sorts by key or value");
  const Value rows = call_method(meter, Method{value, "items"}, {});
  std::vector<Keyed> keyed =
      keyed_items(meter, rows, Value::integer(by == "key" ? 0 : 1), bound[0].truth());
  sort_keyed(meter, keyed, bound[2].truth());
  List items;
  for (Keyed& entry : keyed) items.push_back(std::move(entry.item));
  return make_list(meter, std::move(items));
}

Value extreme(Meter& meter, const Value& value, const Arguments& arguments, bool is_max) {
  const List bound =
      bind_arguments(meter, is_max ? "max" : "min", arguments, {"case_sensitive", "attribute"});
  const std::vector<Keyed> keyed = keyed_items(meter, value, bound[1], bound[0].truth());
  if (keyed.empty()) return Value::undefined(is_max ? "max" : "min");
  const Keyed* best = &keyed[0];
  for (const Keyed& entry : keyed) {
    const bool is_better =
        is_max ? is_less(meter, best->key, entry.key) : is_less(meter, entry.key, best->key);
    if (is_better) best = &entry;
  }
  return best->item;
}

Value filter_min(Meter& meter, const Value& value, const Arguments& arguments) {
  return extreme(meter, value, arguments, false);
}

Value filter_max(Meter& meter, const Value& value, const Arguments& arguments) {
  return extreme(meter, value, arguments, true);
}

Value filter_sum(Meter& meter, const Value& value, const Arguments& arguments) {
  const List bound = bind_arguments(meter, "sum", arguments, {"attribute", "start"});
  Value sum = bound[1].is_undefined() ? Value::integer(0) : bound[1];
  for (const Value& item : iterate(meter, value)) {
    const bool has_attribute = !bound[0].is_undefined() && !bound[0].is(Kind::kNone);
    sum = apply_operator(meter, "+", sum, has_attribute ? get_path(meter, item, bound[0]) : item);
  }
  return sum;
}

Value filter_unique(Meter& meter, const Value& value, const Arguments& arguments) {
  const List bound = bind_arguments(meter, "unique", arguments, {"case_sensitive", "attribute"});
  List kept, keys;
  for (Keyed& entry : keyed_items(meter, value, bound[1], bound[0].truth())) {
    const bool is_seen = std::any_of(
        keys.begin(), keys.end(), [&](const Value& key) { return equals(key, entry.key, meter); });
    if (is_seen) continue;
    keys.push_back(std::move(entry.key));
    kept.push_back(std::move(entry.item));
  }
  return make_list(meter, std::move(kept));
}

// select and reject, by a test on the item or on one of its attributes; without a test by truth.
Value choose(Meter& meter, std::string_view what, const Value& value, Arguments arguments,
             bool by_attribute, bool wanted) {
  Value attribute;
  if (by_attribute) {
    if (arguments.positional.empty()) {
      meter.fail(std::string(what) + " needs the name of an attribute");
    }
    attribute = arguments.positional[0];
    arguments.positional.erase(arguments.positional.begin());
  }
  std::string test;
  if (!arguments.positional.empty()) {
    test = string_argument(meter, what, arguments.positional[0], "");
    arguments.positional.erase(arguments.positional.begin());
  }
  List kept;
  for (const Value& item : iterate(meter, value)) {
    const Value tested = by_attribute ? get_path(meter, item, attribute) : item;
    const bool holds = test.empty() ? tested.truth() : apply_test(meter, test, tested, arguments);
    if (holds == wanted) kept.push_back(item);
  }
  return make_list(meter, std::move(kept));
}

Value filter_select(Meter& meter, const Value& value, const Arguments& arguments) {
  return choose(meter, "select", value, arguments, false, true);
}
Value filter_reject(Meter& meter, const Value& value, const Arguments& arguments) {
  return choose(meter, "reject", value, arguments, false, false);
}
Value filter_selectattr(Meter& meter, const Value& value, const Arguments& arguments) {
  return choose(meter, "selectattr", value, arguments, true, true);
}
Value filter_rejectattr(Meter& meter, const Value& value, const Arguments& arguments) {
  return choose(meter, "rejectattr", value, arguments, true, false);
}

// map("filter", ...) or map(attribute="name", default=...).
Value filter_map(Meter& meter, const Value& value, const Arguments& arguments) {
  List mapped;
  if (arguments.positional.empty()) {
    const List bound = bind_arguments(meter, "map", arguments, {"attribute", "default"}, 1);
    for (const Value& item : iterate(meter, value)) {
      const Value found = get_path(meter, item, bound[0]);
      mapped.push_back(found.is_undefined() && !bound[1].is_undefined() ? bound[1] : found);
    }
    return make_list(meter, std::move(mapped));
  }
  Arguments passed = arguments;
  const std::string name = string_argument(meter, "map", passed.positional[0], "");
  passed.positional.erase(passed.positional.begin());
  for (const Value& item : iterate(meter, value)) {
    mapped.push_back(apply_filter(meter, name, item, passed));
  }
  return make_list(meter, std::move(mapped));
}

Value filter_attr(Meter& meter, const Value& value, const Arguments& arguments) {
  const Value name = bind_arguments(meter, "attr", arguments, {"name"}, 1)[0];
  if (value.is(Kind::kDict)) return Value::undefined("attr");
  return get_attribute(meter, value, string_argument(meter, "attr", name, ""));
}

Value filter_batch(Meter& meter, const Value& value, const Arguments& arguments) {
  const List bound = bind_arguments(meter, "batch", arguments, {"linecount", "fill_with"}, 1);
  const int64_t size = int_argument(meter, "batch", bound[0], 1);
  if (size < 1 || size > 1'000'000) meter.fail("batch takes a size from 1 to 1,000,000");
  List batches, batch;
  const auto flush = [&] {
    if (!batch.empty()) batches.push_back(make_list(meter, std::move(batch)));
    batch.clear();
  };
  for (const Value& item : iterate(meter, value)) {
    batch.push_back(item);
    if (batch.size() == static_cast<size_t>(size)) flush();
  }
  if (!batch.empty() && !bound[1].is_undefined()) {
    meter.bytes(static_cast<size_t>(size) * sizeof(Value));
    batch.resize(static_cast<size_t>(size), bound[1]);
  }
  flush();
  return make_list(meter, std::move(batches));
}

struct Entry {
  std::string_view name;
  Filter filter;
};
constexpr Entry kFilters[] = {
    {"attr", filter_attr},
    {"batch", filter_batch},
    {"count", filter_length},
    {"d", filter_default},
    {"default", filter_default},
    {"dictsort", filter_dictsort},
    {"first", filter_first},
    {"items", filter_items},
    {"join", filter_join},
    {"last", filter_last},
    {"length", filter_length},
    {"list", filter_list},
    {"map", filter_map},
    {"max", filter_max},
    {"min", filter_min},
    {"reject", filter_reject},
    {"rejectattr", filter_rejectattr},
    {"reverse", filter_reverse},
    {"select", filter_select},
    {"selectattr", filter_selectattr},
    {"sort", filter_sort},
    {"sum", filter_sum},
    {"unique", filter_unique},
};

}  // namespace

Filter find_list_filter(std::string_view name) {
  for (const Entry& entry : kFilters) {
    if (entry.name == name) return entry.filter;
  }
  return nullptr;
}

bool is_filter(std::string_view name) {
  return find_text_filter(name) != nullptr || find_list_filter(name) != nullptr;
}

Value apply_filter(Meter& meter, const std::string& name, const Value& input,
                   const Arguments& arguments) {
  const Meter::Level level(meter);  // map can apply itself
  meter.step();
  Filter filter = find_text_filter(name);
  if (filter == nullptr) filter = find_list_filter(name);
  if (filter == nullptr) meter.fail("there is no filter named '" + name + "'");
  return filter(meter, input, arguments);
}

}  // namespace dlm::jinja
