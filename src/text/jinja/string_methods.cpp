// Python's methods of str.
#include <utf8proc.h>

#include <algorithm>

#include "support/text.h"
#include "text/jinja/runtime.h"

namespace dlm::jinja {

namespace {

using Kind = Value::Kind;

bool is_cased(uint32_t c) {
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  return category == UTF8PROC_CATEGORY_LU || category == UTF8PROC_CATEGORY_LL ||
         category == UTF8PROC_CATEGORY_LT;
}
bool is_alpha(uint32_t c) {
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
}
bool is_digit(uint32_t c) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(c)) == UTF8PROC_CATEGORY_ND;
}

std::string title(std::string_view text) {
  std::string out;
  bool in_word = false;
  for (const std::string& character : characters_of(text)) {
    out += in_word ? to_lower(character) : to_upper(character);
    in_word = is_cased(decode_utf8(character)[0]);
  }
  return out;
}

std::string swap_case(std::string_view text) {
  std::string out;
  for (const std::string& character : characters_of(text)) {
    const std::string lower = to_lower(character);
    out += lower == character ? to_upper(character) : lower;
  }
  return out;
}

// strip, lstrip, rstrip: of white space, or of any of the characters given.
std::string strip(const std::string& text, const std::string* characters, bool left, bool right) {
  const std::vector<uint32_t> set = characters ? decode_utf8(*characters) : std::vector<uint32_t>{};
  const auto goes = [&](std::string_view character) {
    const uint32_t c = decode_utf8(character)[0];
    return characters ? std::find(set.begin(), set.end(), c) != set.end() : is_unicode_space(c);
  };
  size_t begin = 0, end = text.size();
  while (left && begin < end) {
    const auto length = std::min(
        static_cast<size_t>(utf8_length(static_cast<unsigned char>(text[begin]))), end - begin);
    if (!goes(std::string_view(text).substr(begin, length))) break;
    begin += length;
  }
  while (right && end > begin) {
    size_t last = end - 1;
    while (last > begin && (static_cast<unsigned char>(text[last]) & 0xC0) == 0x80) --last;
    if (!goes(std::string_view(text).substr(last, end - last))) break;
    end = last;
  }
  return text.substr(begin, end - begin);
}

List to_values(Meter& meter, const std::vector<std::string>& parts) {
  meter.bytes(parts.size() * (sizeof(Value) + sizeof(std::string)));
  List items;
  for (const std::string& part : parts) items.push_back(make_string(meter, part));
  return items;
}

// At most `limit` cuts (below 0: all), from the left or from the right.
std::vector<std::string> split_at(const std::string& text, const std::string& separator,
                                  int64_t limit, bool from_right) {
  std::vector<std::string> parts;
  if (!from_right) {
    size_t from = 0;
    for (size_t at = text.find(separator); at != std::string::npos && limit != 0; --limit) {
      parts.push_back(text.substr(from, at - from));
      from = at + separator.size();
      at = text.find(separator, from);
    }
    parts.push_back(text.substr(from));
    return parts;
  }
  size_t end = text.size();
  while (limit != 0 && end >= separator.size()) {
    const size_t at = text.rfind(separator, end - separator.size());
    if (at == std::string::npos) break;
    parts.push_back(text.substr(at + separator.size(), end - at - separator.size()));
    end = at;
    --limit;
  }
  parts.push_back(text.substr(0, end));
  std::reverse(parts.begin(), parts.end());
  return parts;
}

// At runs of white space; what lies beyond `limit` words stays whole.
std::vector<std::string> split_words(const std::string& text, int64_t limit, bool from_right) {
  std::vector<std::pair<size_t, size_t>> words;
  bool in_word = false;
  for (size_t i = 0, length = 0; i < text.size(); i += length) {
    length = std::min(static_cast<size_t>(utf8_length(static_cast<unsigned char>(text[i]))),
                      text.size() - i);
    if (is_unicode_space(decode_utf8(std::string_view(text).substr(i, length))[0])) {
      in_word = false;
    } else if (in_word) {
      words.back().second = i + length;
    } else {
      words.emplace_back(i, i + length);
      in_word = true;
    }
  }
  const size_t num_cuts = limit < 0 ? words.size() : static_cast<size_t>(limit);
  if (num_cuts < words.size()) {
    if (from_right) {
      const size_t num_joined = words.size() - num_cuts;
      words[num_joined - 1].first = 0;
      words.erase(words.begin(), words.begin() + static_cast<ptrdiff_t>(num_joined - 1));
    } else {
      words[num_cuts].second = text.size();
      words.resize(num_cuts + 1);
    }
  }
  std::vector<std::string> parts;
  for (const auto& [begin, end] : words) parts.push_back(text.substr(begin, end - begin));
  return parts;
}

std::vector<std::string> split_lines(const std::string& text, bool keeps_ends) {
  std::vector<std::string> lines;
  for (size_t from = 0; from < text.size();) {
    size_t at = text.find_first_of("\n\r\v\f\x1C\x1D\x1E", from);
    if (at == std::string::npos) at = text.size();
    size_t end = at;
    if (at < text.size()) end += text.compare(at, 2, "\r\n") == 0 ? 2 : 1;
    lines.push_back(text.substr(from, (keeps_ends ? end : at) - from));
    from = end;
  }
  return lines;
}

bool starts_or_ends(Meter& meter, const std::string& text, const Value& wanted, bool at_end) {
  if (wanted.is(Kind::kList) && wanted.is_tuple()) {
    return std::any_of(wanted.as_list().begin(), wanted.as_list().end(),
                       [&](const Value& one) { return starts_or_ends(meter, text, one, at_end); });
  }
  const std::string part = string_argument(meter, at_end ? "endswith" : "startswith", wanted, "");
  return at_end ? text.ends_with(part) : text.starts_with(part);
}

std::string replace_some(Meter& meter, const std::string& text, const std::string& from,
                         const std::string& to, int64_t limit) {
  if (from.empty()) meter.fail("replace needs something to look for");
  std::string out;
  size_t done = 0;
  for (size_t at = text.find(from); at != std::string::npos && limit != 0; --limit) {
    out.append(text, done, at - done).append(to);
    meter.output(out.size());
    done = at + from.size();
    at = text.find(from, done);
  }
  return out.append(text, done);
}

std::string pad(Meter& meter, const std::string& text, int64_t width, const std::string& fill,
                double share_left) {
  const size_t length = characters_of(text).size();
  if (width <= static_cast<int64_t>(length)) return text;
  const size_t missing = static_cast<size_t>(width) - length;
  meter.output(missing);
  const auto left = static_cast<size_t>(static_cast<double>(missing) * share_left);
  std::string out;
  for (size_t i = 0; i < left; ++i) out += fill;
  out += text;
  for (size_t i = left; i < missing; ++i) out += fill;
  return out;
}

bool is_all(const std::string& text, bool (*matches)(uint32_t)) {
  const std::vector<uint32_t> points = decode_utf8(text);
  return !points.empty() && std::all_of(points.begin(), points.end(), matches);
}

bool is_case(const std::string& text, bool upper) {
  bool has_cased = false;
  for (const std::string& character : characters_of(text)) {
    if (!is_cased(decode_utf8(character)[0])) continue;
    has_cased = true;
    if ((upper ? to_upper(character) : to_lower(character)) != character) return false;
  }
  return has_cased;
}

Value find_in(Meter& meter, const std::string& text, const std::string& name,
              const Arguments& arguments) {
  const std::string wanted =
      string_argument(meter, name, bind_arguments(meter, name, arguments, {"sub"}, 1)[0], "");
  const bool from_right = name[0] == 'r';
  const size_t at = from_right ? text.rfind(wanted) : text.find(wanted);
  if (at != std::string::npos) {
    return Value::integer(static_cast<int64_t>(characters_of(text.substr(0, at)).size()));
  }
  if (name == "index" || name == "rindex") meter.fail("the text does not hold \"" + wanted + "\"");
  return Value::integer(-1);
}

Value partition(Meter& meter, const std::string& text, const std::string& name,
                const Arguments& arguments) {
  const std::string separator =
      string_argument(meter, name, bind_arguments(meter, name, arguments, {"sep"}, 1)[0], "");
  if (separator.empty()) meter.fail("the separator is empty");
  const bool from_right = name == "rpartition";
  const size_t at = from_right ? text.rfind(separator) : text.find(separator);
  std::vector<std::string> parts;
  if (at == std::string::npos) {
    parts = from_right ? std::vector<std::string>{"", "", text}
                       : std::vector<std::string>{text, "", ""};
  } else {
    parts = {text.substr(0, at), separator, text.substr(at + separator.size())};
  }
  return make_list(meter, to_values(meter, parts), true);
}

Value split_method(Meter& meter, const std::string& text, const std::string& name,
                   const Arguments& arguments) {
  const List bound = bind_arguments(meter, name, arguments, {"sep", "maxsplit"});
  const int64_t limit = int_argument(meter, name, bound[1], -1);
  const bool from_right = name == "rsplit";
  if (bound[0].is_undefined() || bound[0].is(Kind::kNone)) {
    return make_list(meter, to_values(meter, split_words(text, limit, from_right)));
  }
  const std::string separator = string_argument(meter, name, bound[0], "");
  if (separator.empty()) meter.fail("the separator is empty");
  return make_list(meter, to_values(meter, split_at(text, separator, limit, from_right)));
}

Value test_or_search(Meter& meter, const std::string& text, const std::string& name,
                     const Arguments& arguments) {
  if (name == "startswith" || name == "endswith") {
    const Value wanted = bind_arguments(meter, name, arguments, {"prefix"}, 1)[0];
    return Value::boolean(starts_or_ends(meter, text, wanted, name == "endswith"));
  }
  if (name == "count") {
    const std::string wanted =
        string_argument(meter, name, bind_arguments(meter, name, arguments, {"sub"}, 1)[0], "");
    if (wanted.empty()) meter.fail("count needs something to look for");
    return Value::integer(static_cast<int64_t>(split_at(text, wanted, -1, false).size()) - 1);
  }
  if (name == "find" || name == "rfind" || name == "index" || name == "rindex") {
    return find_in(meter, text, name, arguments);
  }
  bind_arguments(meter, name, arguments, {});
  if (name == "isupper") return Value::boolean(is_case(text, true));
  if (name == "islower") return Value::boolean(is_case(text, false));
  if (name == "isdigit") return Value::boolean(is_all(text, is_digit));
  if (name == "isalpha") return Value::boolean(is_all(text, is_alpha));
  if (name == "isspace") return Value::boolean(is_all(text, is_unicode_space));
  return Value::boolean(is_all(text, [](uint32_t c) { return is_alpha(c) || is_digit(c); }));
}

Value padded(Meter& meter, const std::string& text, const std::string& name,
             const Arguments& arguments) {
  const List bound = bind_arguments(meter, name, arguments, {"width", "fillchar"}, 1);
  const int64_t width = int_argument(meter, name, bound[0], 0);
  const std::string fill = string_argument(meter, name, bound[1], name == "zfill" ? "0" : " ");
  if (characters_of(fill).size() != 1) meter.fail("the fill must be one character");
  if (name == "zfill" && !text.empty() && (text[0] == '-' || text[0] == '+')) {
    return make_string(meter, text[0] + pad(meter, text.substr(1), width - 1, fill, 1));
  }
  const double share_left = name == "ljust" ? 0 : name == "center" ? 0.5 : 1;
  return make_string(meter, pad(meter, text, width, fill, share_left));
}

}  // namespace

Value call_string_method(Meter& meter, const std::string& text, const std::string& name,
                         const Arguments& arguments) {
  meter.step(1 + text.size() / 16);
  if (name == "strip" || name == "lstrip" || name == "rstrip") {
    const Value set = bind_arguments(meter, name, arguments, {"chars"})[0];
    const bool is_default = set.is_undefined() || set.is(Kind::kNone);
    const std::string characters = is_default ? "" : string_argument(meter, name, set, "");
    return make_string(
        meter, strip(text, is_default ? nullptr : &characters, name != "rstrip", name != "lstrip"));
  }
  if (name == "split" || name == "rsplit") return split_method(meter, text, name, arguments);
  if (name == "replace") {
    const List bound = bind_arguments(meter, name, arguments, {"old", "new", "count"}, 2);
    return make_string(meter, replace_some(meter, text, string_argument(meter, name, bound[0], ""),
                                           string_argument(meter, name, bound[1], ""),
                                           int_argument(meter, name, bound[2], -1)));
  }
  if (name == "splitlines") {
    const Value keeps_ends = bind_arguments(meter, name, arguments, {"keepends"})[0];
    return make_list(meter, to_values(meter, split_lines(text, keeps_ends.truth())));
  }
  if (name == "join") {
    const Value parts = bind_arguments(meter, name, arguments, {"iterable"}, 1)[0];
    std::string out;
    bool is_first = true;
    for (const Value& part : iterate(meter, parts)) {
      if (!is_first) out += text;
      is_first = false;
      out += string_argument(meter, "join", part, "");
      meter.output(out.size());
    }
    return make_string(meter, std::move(out));
  }
  if (name == "partition" || name == "rpartition") return partition(meter, text, name, arguments);
  if (name == "removeprefix" || name == "removesuffix") {
    const std::string part =
        string_argument(meter, name, bind_arguments(meter, name, arguments, {"part"}, 1)[0], "");
    if (name == "removeprefix") {
      return make_string(meter, text.starts_with(part) ? text.substr(part.size()) : text);
    }
    return make_string(meter,
                       text.ends_with(part) ? text.substr(0, text.size() - part.size()) : text);
  }
  if (name == "center" || name == "ljust" || name == "rjust" || name == "zfill") {
    return padded(meter, text, name, arguments);
  }
  if (name == "format") meter.fail("str.format is not supported; use ~ to join texts");
  if (name.starts_with("is") || name == "startswith" || name == "endswith" || name == "count" ||
      name.ends_with("find") || name.ends_with("index")) {
    return test_or_search(meter, text, name, arguments);
  }
  bind_arguments(meter, name, arguments, {});
  if (name == "lower" || name == "casefold") return make_string(meter, to_lower(text));
  if (name == "upper") return make_string(meter, to_upper(text));
  if (name == "title") return make_string(meter, title(text));
  if (name == "capitalize") return make_string(meter, capitalize(text));
  if (name == "swapcase") return make_string(meter, swap_case(text));
  meter.fail("str has no method '" + name + "'");
}

}  // namespace dlm::jinja
