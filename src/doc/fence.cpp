// Fence lines, read by hand: a backtracking matcher would recurse on long lines. See the header.
#include "doc/fence.h"

#include <algorithm>
#include <array>

#include "doc/frontmatter.h"
#include "doc/python_text.h"
#include "support/text.h"

namespace dlm {
namespace {

constexpr std::array kTypes{SectionType::kProse, SectionType::kInstruction,
                            SectionType::kPreference, SectionType::kImage, SectionType::kAudio};
constexpr const char* kEscapeHint =
    "to keep this line as text, put a backslash before it or place it in a code block";

std::optional<SectionType> type_of(std::string_view word) {
  for (const SectionType type : kTypes) {
    if (word == section_type_word(type)) return type;
  }
  return std::nullopt;
}

bool is_media(SectionType type) {
  return type == SectionType::kImage || type == SectionType::kAudio;
}

bool is_name_char(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '-' || c == '#';
}
bool is_key_start(char c) {
  return c >= 'a' && c <= 'z';
}
bool is_key_char(char c) {
  return is_key_start(c) || (c >= '0' && c <= '9') || c == '_';
}

// NAME of ::NAME::, or nothing.
std::string_view bare_name(std::string_view line) {
  if (line.size() < 5 || !line.starts_with("::") || !line.ends_with("::")) return {};
  const std::string_view name = line.substr(2, line.size() - 4);
  return std::all_of(name.begin(), name.end(), is_name_char) ? name : std::string_view();
}

size_t skip_blanks(std::string_view line, size_t pos) {
  while (pos < line.size()) {
    const auto length = std::min(
        line.size() - pos,
        static_cast<size_t>(std::max(1, utf8_length(static_cast<unsigned char>(line[pos])))));
    const auto points = decode_utf8(line.substr(pos, length));
    if (points.size() != 1 || !is_unicode_space(points[0])) break;
    pos += length;
  }
  return pos;
}

struct AttributeFence {
  std::string_view name;
  Attributes attributes;
};

std::optional<AttributeFence> split_attribute_fence(std::string_view line) {
  if (line.size() < 5 || !line.starts_with("::") || !is_key_start(line[2])) return std::nullopt;
  size_t pos = 2;
  while (pos < line.size() && is_key_char(line[pos])) ++pos;
  const std::string_view name = line.substr(2, pos - 2);
  auto attributes = read_attributes(line, pos);
  if (!attributes || line.substr(skip_blanks(line, pos)) != "::") return std::nullopt;
  return AttributeFence{name, std::move(*attributes)};
}

[[noreturn]] void fail(const std::string& message, const std::string& hint, const Place& place) {
  throw Error(ErrorKind::kParse, message, hint, place);
}

std::string type_list() {
  std::string list;
  for (const SectionType type : kTypes) {
    if (!list.empty()) list += ", ";
    list += section_type_word(type);
  }
  return list;
}

std::string suggestion(std::string_view name) {
  std::vector<std::string> words;
  for (const SectionType type : kTypes) words.push_back(section_type_word(type));
  if (name.size() < 64) {
    if (const auto nearest = nearest_word(lower_ascii(name), words)) {
      return "did you mean '" + *nearest + "'?";
    }
  }
  return kEscapeHint;
}

std::string media_example(std::string_view word, bool is_audio) {
  return "::" + std::string(word) + " path=\"…\"" + (is_audio ? " transcript=\"…\"" : "") + "::";
}

Section read_bare(std::string_view line, std::string_view name, const Place& place) {
  const size_t hash = name.find('#');
  const std::string shown = in_quotes(line);
  Section section;
  if (hash != std::string_view::npos) {
    const std::string_view suffix = name.substr(hash + 1);
    if (suffix.empty()) {
      fail("fence " + shown + " has an empty adapter suffix after '#'",
           "name an adapter of training.adapters, or remove the '#'", place);
    }
    if (!is_adapter_name(suffix)) {
      fail("fence " + shown + " has an invalid adapter name " + in_quotes(suffix),
           "a small letter, then up to 31 small letters, digits or underscores", place);
    }
    section.adapter = std::string(suffix);
  }
  const std::string_view word = name.substr(0, hash);
  const auto type = type_of(word);
  if (!type) {
    fail("unknown section fence " + shown + "; the types are " + type_list(), suggestion(word),
         place);
  }
  if (is_media(*type)) {
    fail("fence " + shown + " requires attributes",
         "for example " + media_example(word, *type == SectionType::kAudio), place);
  }
  section.type = *type;
  return section;
}

Section read_with_attributes(const AttributeFence& fence, const Place& place) {
  const std::string shown = "'::" + std::string(fence.name) + " …::'";
  const auto type = type_of(fence.name);
  if (!type) {
    fail("unknown attribute fence " + shown + "; only image and audio take attributes",
         suggestion(fence.name), place);
  }
  if (!is_media(*type)) {
    fail("fence " + shown + " does not take attributes",
         "write ::" + std::string(fence.name) + ":: alone on its line", place);
  }
  const bool is_audio = *type == SectionType::kAudio;
  const std::string second = is_audio ? "transcript" : "alt";
  Section section;
  section.type = *type;
  std::optional<std::string> path;
  std::optional<std::string>& words = is_audio ? section.media_transcript : section.media_alt;
  for (const auto& [key, value] : fence.attributes) {
    std::optional<std::string>* field = key == "path" ? &path : key == second ? &words : nullptr;
    if (!field) {
      fail("fence " + shown + " has unknown attribute " + in_quotes(key),
           "it takes path and " + second, place);
    }
    if (*field) {
      fail("fence " + shown + " repeats attribute " + in_quotes(key), "keep one of them", place);
    }
    // Paths stay in ASCII: they are hashed into ids and must mean the same file on every system.
    const bool is_ascii = std::all_of(value.begin(), value.end(),
                                      [](char c) { return static_cast<unsigned char>(c) < 0x80; });
    if (key == "path" && !is_ascii) {
      fail("fence " + shown + ": the attribute 'path' contains non-ASCII characters",
           "rename the file to plain letters, digits, '-' and '_'", place);
    }
    *field = value;
  }
  std::string missing;
  if (!path) missing = "path";
  if (is_audio && !words) missing += missing.empty() ? "transcript" : ", transcript";
  if (!missing.empty()) {
    fail("fence " + shown + " is missing required attribute(s) " + missing,
         "for example " + media_example(fence.name, is_audio), place);
  }
  section.media_path = *path;
  return section;
}

}  // namespace

bool looks_like_fence(std::string_view line) {
  return !bare_name(line).empty() || split_attribute_fence(line).has_value();
}

std::optional<Section> read_fence(std::string_view line, const Place& place) {
  if (!line.starts_with("::")) return std::nullopt;
  if (const auto fence = split_attribute_fence(line)) return read_with_attributes(*fence, place);
  if (const std::string_view name = bare_name(line); !name.empty()) {
    return read_bare(line, name, place);
  }
  return std::nullopt;
}

std::string near_fence_fault(std::string_view line) {
  const std::string_view body = trim(line);
  if (!body.starts_with(':')) return {};
  const size_t start = body.find_first_not_of(':');
  if (start == std::string_view::npos) return {};
  size_t end = start;
  while (end < body.size() && (is_key_char(static_cast<char>(body[end] | 0x20)))) ++end;
  const auto type = type_of(lower_ascii(body.substr(start, end - start)));
  if (!type) return {};
  if (body.size() != line.size() && looks_like_fence(body))
    return "it has blanks before or behind it";
  const std::string_view rest = body.substr(end);
  if (is_media(*type) && start == 2 && !rest.empty() && rest[0] != ':') {
    if (rest[0] == '#') return "media sections take no adapter";
    return "its attributes are not key=\"value\" pairs on one line, without quotes inside a value";
  }
  const size_t after = rest.starts_with('#') ? rest.find(':') : 0;
  const std::string_view colons = after == std::string_view::npos ? "" : rest.substr(after);
  const bool only_colons = colons.find_first_not_of(':') == std::string_view::npos;
  if (only_colons && (start != 2 || colons.size() != 2)) {
    return "a fence has two colons before and two behind its type";
  }
  if (only_colons && body.substr(start, end - start) != section_type_word(*type)) {
    return "types are written in small letters";
  }
  if (only_colons && after != 0) {
    return "an adapter name is a small letter, then up to 31 small letters, digits or underscores";
  }
  return {};
}

std::string escape_fence(std::string_view line) {
  const size_t slashes = std::min(line.find_first_not_of('\\'), line.size());
  const bool needs_escape = looks_like_fence(line.substr(slashes));
  return (needs_escape ? "\\" : "") + std::string(line);
}

std::string_view unescape_fence(std::string_view line) {
  if (!line.starts_with('\\')) return line;
  const size_t slashes = std::min(line.find_first_not_of('\\'), line.size());
  return looks_like_fence(line.substr(slashes)) ? line.substr(1) : line;
}

std::optional<Attributes> read_attributes(std::string_view line, size_t& pos) {
  Attributes attributes;
  for (;;) {
    const size_t key_start = skip_blanks(line, pos);
    size_t key_end = key_start;
    while (key_end < line.size() && is_key_char(line[key_end])) ++key_end;
    const bool is_pair = key_start > pos && key_end > key_start && is_key_start(line[key_start]) &&
                         line.substr(key_end).starts_with("=\"");
    const size_t close = is_pair ? line.find('"', key_end + 2) : std::string_view::npos;
    if (close == std::string_view::npos) break;
    attributes.emplace_back(line.substr(key_start, key_end - key_start),
                            line.substr(key_end + 2, close - key_end - 2));
    pos = close + 1;
  }
  if (attributes.empty()) return std::nullopt;
  return attributes;
}

}  // namespace dlm
