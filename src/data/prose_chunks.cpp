#include "data/prose_chunks.h"

#include <algorithm>
#include <array>

#include "support/text.h"

namespace dlm {

namespace {

bool is_character_start(std::string_view text, size_t at) {
  return (static_cast<unsigned char>(text[at]) & 0xc0) != 0x80;
}

bool is_line_border(std::string_view text, size_t at) {
  return text[at - 1] == '\n' && text[at] != '\n';
}

bool is_paragraph_border(std::string_view text, size_t at) {
  return is_line_border(text, at) && at >= 2 && text[at - 2] == '\n';
}

// A word keeps the blank before it, as most tokenizers have it.
bool is_word_border(std::string_view text, size_t at) {
  return is_line_border(text, at) ||
         (text[at] == ' ' && text[at - 1] != ' ' && text[at - 1] != '\n');
}

bool ends_with_any(std::string_view text, std::span<const std::string_view> endings,
                   size_t* length) {
  for (const std::string_view ending : endings) {
    if (text.ends_with(ending)) {
      *length = ending.size();
      return true;
    }
  }
  return false;
}

constexpr std::array<std::string_view, 9> kClosers = {
    "\"", "'", ")", "]", "\u201d", "\u2019", "\u00bb", "\u300d", "\u300f"};
constexpr std::array<std::string_view, 4> kStops = {".", "!", "?", "\u2026"};
constexpr std::array<std::string_view, 3> kWideStops = {"\u3002", "\uff01", "\uff1f"};

// After ". ", "! ", "? " or a line end behind them, and after their East Asian forms, with quotes
// or brackets closed in between. Not before a small letter, as in "e.g. this", nor after "1.".
bool is_sentence_border(std::string_view text, size_t at) {
  size_t before = at;
  const bool is_line = is_line_border(text, at);
  while (before > 0 && is_line && text[before - 1] == '\n') --before;
  std::string_view head = text.substr(0, before);
  size_t length = 0;
  while (ends_with_any(head, kClosers, &length)) head.remove_suffix(length);
  if (ends_with_any(head, kWideStops, &length)) {
    // Closing quotes belong to the sentence before.
    std::string_view rest = text.substr(at, 4);
    return std::none_of(kClosers.begin(), kClosers.end(),
                        [&](std::string_view closer) { return rest.starts_with(closer); });
  }
  if (!is_line && !is_word_border(text, at)) return false;
  if (!ends_with_any(head, kStops, &length)) return false;
  head.remove_suffix(length);
  if (head.empty() || (head.back() >= '0' && head.back() <= '9' && !is_line)) return false;
  const size_t next = text.find_first_not_of(' ', at);
  return is_line || next == text.npos || text[next] < 'a' || text[next] > 'z';
}

}  // namespace

size_t chunk_border(std::string_view text, size_t begin, size_t end) {
  const size_t least = begin + std::max<size_t>(1, (end - begin) / 2);
  using Border = bool (*)(std::string_view, size_t);
  constexpr std::array<Border, 5> kKinds = {is_paragraph_border, is_sentence_border, is_line_border,
                                            is_word_border, is_character_start};
  for (const Border is_border : kKinds) {
    for (size_t at = end; at >= least; --at) {
      if (is_border(text, at)) return at;
    }
  }
  // The second half is within one character.
  for (size_t at = least; at > begin; --at) {
    if (is_character_start(text, at)) return at;
  }
  size_t at = begin + 1;
  while (at < text.size() && !is_character_start(text, at)) ++at;
  return at;
}

void cut_prose(std::string_view text, int64_t max_tokens,
               const std::function<std::vector<int32_t>(size_t, size_t)>& encode,
               const std::function<void(const ProseChunk&, std::span<const int32_t>)>& on_chunk) {
  // Guesses how many bytes fill a row from the rows before. A guess may miss by a little without
  // another try; one that is too short may be made longer twice.
  constexpr double kAim = 0.97, kFullEnough = 0.8, kLeastBytes = 0.5, kMostBytes = 64.0;
  constexpr int kMostGrowths = 2;
  const auto room = static_cast<double>(max_tokens);
  double bytes_per_token = 4.0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t rest = text.size() - begin;
    double wanted = kAim * room * bytes_per_token;
    int growths = 0;
    while (true) {
      const size_t window = wanted >= static_cast<double>(rest)
                                ? rest
                                : std::max<size_t>(1, static_cast<size_t>(wanted));
      const size_t end = window == rest ? text.size() : chunk_border(text, begin, begin + window);
      const std::vector<int32_t> ids = encode(begin, end);
      const auto bytes = static_cast<double>(end - begin);
      const auto count = static_cast<double>(ids.size());
      if (count > room &&
          end - begin > static_cast<size_t>(utf8_length(static_cast<unsigned char>(text[begin])))) {
        growths = kMostGrowths;
        wanted = std::min(kAim * bytes * room / count, bytes - 1);
        continue;
      }
      const double density = count > 0 ? bytes / count : kMostBytes;
      if (end < text.size() && growths < kMostGrowths &&
          static_cast<double>(window) / density < kFullEnough * room) {
        ++growths;
        wanted = kAim * room * density;
        continue;
      }
      bytes_per_token = std::clamp(density, kLeastBytes, kMostBytes);
      on_chunk({begin, end}, ids);
      begin = end;
      break;
    }
  }
}

}  // namespace dlm
