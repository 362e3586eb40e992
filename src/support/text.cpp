// UTF-8 decoding, line ends, white space and word distance. Tables are written out here, so that no
// locale and no library version can change what a document means.
#include "support/text.h"

#include <algorithm>
#include <cstring>

namespace dlm {
namespace {

struct Decoded {
  uint32_t code_point = 0xFFFD;
  int length = 1;               // bytes consumed
  const char* fault = nullptr;  // why the sequence is invalid
};

// One code point at the start of non-empty `text`. Ranges after Unicode table 3-7 (well-formed
// UTF-8).
Decoded decode_one(std::string_view text) {
  const auto at = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = at(0);
  if (first < 0x80) return {first, 1, nullptr};
  if (first < 0xC0) return {0xFFFD, 1, "unexpected continuation byte"};
  if (first < 0xC2) return {0xFFFD, 1, "overlong sequence"};
  if (first > 0xF4) return {0xFFFD, 1, "invalid start byte"};
  const int length = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  uint32_t code_point = first & (0x7Fu >> length);
  for (int i = 1; i < length; ++i) {
    if (static_cast<size_t>(i) >= text.size()) return {0xFFFD, 1, "sequence is cut off"};
    if ((at(i) & 0xC0) != 0x80) return {0xFFFD, 1, "missing continuation byte"};
    code_point = code_point << 6 | (at(i) & 0x3Fu);
  }
  if ((length == 3 && code_point < 0x800) || (length == 4 && code_point < 0x10000)) {
    return {0xFFFD, 1, "overlong sequence"};
  }
  if (code_point >= 0xD800 && code_point < 0xE000) return {0xFFFD, 1, "surrogate code point"};
  if (code_point > 0x10FFFF) return {0xFFFD, 1, "code point above U+10FFFF"};
  return {code_point, length, nullptr};
}

// Whether the next eight bytes are ASCII, as nearly all bytes of most texts are.
bool is_ascii_8(const char* bytes) {
  uint64_t chunk;
  std::memcpy(&chunk, bytes, 8);
  return (chunk & 0x8080808080808080u) == 0;
}

// Optimal string alignment distance: insertions, deletions, substitutions, swaps of neighbours.
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> before(b.size() + 1), previous(b.size() + 1), current(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) previous[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    current[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t cost = a[i - 1] == b[j - 1] ? 0 : 1;
      current[j] = std::min({previous[j] + 1, current[j - 1] + 1, previous[j - 1] + cost});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        current[j] = std::min(current[j], before[j - 2] + 1);
      }
    }
    std::swap(before, previous);
    std::swap(previous, current);
  }
  return previous[b.size()];
}

}  // namespace

std::optional<Utf8Fault> find_utf8_fault(std::string_view bytes) {
  for (size_t i = 0; i < bytes.size();) {
    if (static_cast<unsigned char>(bytes[i]) < 0x80) {
      i += i + 8 <= bytes.size() && is_ascii_8(bytes.data() + i) ? 8 : 1;
      continue;
    }
    const Decoded decoded = decode_one(bytes.substr(i, 4));
    if (decoded.fault != nullptr) return Utf8Fault{i, decoded.fault};
    i += static_cast<size_t>(decoded.length);
  }
  return std::nullopt;
}

std::vector<uint32_t> decode_utf8(std::string_view text) {
  std::vector<uint32_t> points;
  points.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const Decoded decoded = decode_one(text.substr(i, 4));
    points.push_back(decoded.code_point);
    i += static_cast<size_t>(decoded.length);
  }
  return points;
}

void append_utf8(std::string& out, uint32_t code_point) {
  if (code_point > 0x10FFFF || (code_point >= 0xD800 && code_point < 0xE000)) code_point = 0xFFFD;
  const auto push = [&](uint32_t byte) { out += static_cast<char>(byte); };
  if (code_point < 0x80) {
    push(code_point);
  } else if (code_point < 0x800) {
    push(0xC0 | code_point >> 6);
    push(0x80 | (code_point & 0x3F));
  } else if (code_point < 0x10000) {
    push(0xE0 | code_point >> 12);
    push(0x80 | (code_point >> 6 & 0x3F));
    push(0x80 | (code_point & 0x3F));
  } else {
    push(0xF0 | code_point >> 18);
    push(0x80 | (code_point >> 12 & 0x3F));
    push(0x80 | (code_point >> 6 & 0x3F));
    push(0x80 | (code_point & 0x3F));
  }
}

int utf8_length(unsigned char first) {
  if (first < 0xC2 || first > 0xF4) return 1;
  return first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
}

bool is_normal_text(std::string_view text) {
  return !text.starts_with("\xEF\xBB\xBF") && text.find('\r') == std::string_view::npos;
}

std::string normalize_newlines(std::string_view text) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const size_t end = text.find('\r');
    out += text.substr(0, end);
    if (end == std::string_view::npos) break;
    out += '\n';
    text.remove_prefix(end + 1);
    if (text.starts_with('\n')) text.remove_prefix(1);
  }
  return out;
}

bool is_unicode_space(uint32_t c) {
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 ||
         c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
         c == 0x205F || c == 0x3000;
}

std::string_view trim(std::string_view text) {
  while (!text.empty()) {
    const Decoded decoded = decode_one(text.substr(0, 4));
    if (!is_unicode_space(decoded.code_point)) break;
    text.remove_prefix(static_cast<size_t>(decoded.length));
  }
  while (!text.empty()) {
    size_t start = text.size() - 1;
    while (start > 0 && text.size() - start < 4 &&
           (static_cast<unsigned char>(text[start]) & 0xC0) == 0x80) {
      --start;
    }
    const Decoded decoded = decode_one(text.substr(start));
    if (start + static_cast<size_t>(decoded.length) != text.size()) break;
    if (!is_unicode_space(decoded.code_point)) break;
    text.remove_suffix(text.size() - start);
  }
  return text;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    const size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

std::string join(const std::vector<std::string>& parts, std::string_view separator) {
  std::string out;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) out += separator;
    out += parts[i];
  }
  return out;
}

std::string lower_ascii(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

std::optional<std::string> nearest_word(std::string_view word,
                                        const std::vector<std::string>& candidates) {
  constexpr size_t kLongest = 256;  // the distance costs a product of lengths
  if (word.size() > kLongest) return std::nullopt;
  std::optional<std::string> nearest;
  size_t best = 3;
  for (const std::string& candidate : candidates) {
    if (candidate.size() > kLongest) continue;
    const size_t distance = edit_distance(word, candidate);
    if (distance < best && 2 * distance < word.size()) {
      best = distance;
      nearest = candidate;
    }
  }
  return nearest;
}

}  // namespace dlm
