// Methods of strings, dicts, lists and loops.
#include <utf8proc.h>

#include <algorithm>
#include <array>

#include "support/text.h"
#include "text/jinja/runtime.h"

namespace dlm::jinja {

namespace {

using Kind = Value::Kind;

constexpr std::array<std::string_view, 36> kStringMethods = {
    "capitalize",   "casefold",     "center",  "count",   "endswith",   "find",
    "index",        "isalnum",      "isalpha", "isdigit", "islower",    "isspace",
    "isupper",      "join",         "ljust",   "lower",   "lstrip",     "partition",
    "removeprefix", "removesuffix", "replace", "rfind",   "rindex",     "rjust",
    "rpartition",   "rsplit",       "rstrip",  "split",   "splitlines", "startswith",
    "strip",        "swapcase",     "title",   "upper",   "zfill",      "format"};
constexpr std::array<std::string_view, 5> kDictMethods = {"copy", "get", "items", "keys", "values"};
constexpr std::array<std::string_view, 2> kListMethods = {"count", "index"};

template <class Names>
bool holds(const Names& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

template <class Map>
std::string map_characters(std::string_view text, const Map& map) {
  std::string out;
  out.reserve(text.size());
  for (const uint32_t c : decode_utf8(text)) map(c, out);
  return out;
}

void append_upper(uint32_t c, std::string& out) {
  if (c == 0xDF) {  // the sharp s has no simple upper case; Python writes two letters
    out += "SS";
  } else {
    append_utf8(out, static_cast<uint32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(c))));
  }
}

void append_lower(uint32_t c, std::string& out) {
  if (c == 0x130) {  // the capital I with dot becomes i and a combining dot
    out += "i\u0307";
    return;
  }
  append_utf8(out, static_cast<uint32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))));
}

Value call_dict_method(Meter& meter, const Value& self, const std::string& name,
                       const Arguments& arguments) {
  if (name == "get") {
    const List bound = bind_arguments(meter, "get", arguments, {"key", "default"}, 1);
    for (const auto& [key, member] : self.as_dict()) {
      if (equals(key, bound[0], meter)) return member;
    }
    return arguments.positional.size() + arguments.named.size() > 1 ? bound[1] : Value::none();
  }
  bind_arguments(meter, name, arguments, {});
  if (name == "copy") return self;
  List items;
  for (const auto& [key, member] : self.as_dict()) {
    if (name == "keys") items.push_back(key);
    if (name == "values") items.push_back(member);
    if (name == "items") items.push_back(make_list(meter, {key, member}, true));
  }
  return make_list(meter, std::move(items));
}

Value call_list_method(Meter& meter, const Value& self, const std::string& name,
                       const Arguments& arguments) {
  const Value wanted = bind_arguments(meter, name, arguments, {"value"}, 1)[0];
  int64_t count = 0, index = 0;
  for (const Value& item : self.as_list()) {
    if (equals(item, wanted, meter)) {
      if (name == "index") return Value::integer(index);
      ++count;
    }
    ++index;
  }
  if (name == "index") meter.fail("the list does not hold the value");
  return Value::integer(count);
}

Value call_loop_method(Meter& meter, const Value& self, const std::string& name,
                       const Arguments& arguments) {
  Loop& loop = self.as_loop();
  if (name == "cycle") {
    if (arguments.positional.empty()) meter.fail("loop.cycle needs values");
    return arguments.positional[loop.index % arguments.positional.size()];
  }
  const bool is_same =
      loop.has_last_seen && loop.last_seen.size() == arguments.positional.size() &&
      std::equal(loop.last_seen.begin(), loop.last_seen.end(), arguments.positional.begin(),
                 [&](const Value& a, const Value& b) { return equals(a, b, meter); });
  loop.last_seen = arguments.positional;
  loop.has_last_seen = true;
  return Value::boolean(!is_same);
}

}  // namespace

bool has_method(const Value& value, std::string_view name) {
  if (value.is_string()) return holds(kStringMethods, name);
  if (value.is(Kind::kDict)) return holds(kDictMethods, name);
  if (value.is(Kind::kList)) return holds(kListMethods, name);
  return false;
}

Value call_method(Meter& meter, const Method& method, const Arguments& arguments) {
  meter.step();
  if (method.self.is_string()) {
    return call_string_method(meter, method.self.as_string(), method.name, arguments);
  }
  if (method.self.is(Kind::kDict)) {
    return call_dict_method(meter, method.self, method.name, arguments);
  }
  if (method.self.is(Kind::kLoop)) {
    return call_loop_method(meter, method.self, method.name, arguments);
  }
  return call_list_method(meter, method.self, method.name, arguments);
}

std::string to_lower(std::string_view text) {
  return map_characters(text, append_lower);
}
std::string to_upper(std::string_view text) {
  return map_characters(text, append_upper);
}

std::string capitalize(std::string_view text) {
  bool is_first = true;
  return map_characters(text, [&](uint32_t c, std::string& out) {
    is_first ? append_upper(c, out) : append_lower(c, out);
    is_first = false;
  });
}

std::vector<std::string> characters_of(std::string_view text) {
  std::vector<std::string> characters;
  for (size_t i = 0; i < text.size();) {
    const auto length = std::min(
        static_cast<size_t>(utf8_length(static_cast<unsigned char>(text[i]))), text.size() - i);
    characters.emplace_back(text.substr(i, length));
    i += length;
  }
  return characters;
}

}  // namespace dlm::jinja
