#include "data/words.h"

#include "support/text.h"

namespace dlm {

namespace {

// 64-bit FNV-1a.
constexpr uint64_t kFnvStart = 0xcbf29ce484222325, kFnvPrime = 0x100000001b3;

bool is_between(uint32_t c, uint32_t first, uint32_t last) {
  return c >= first && c <= last;
}

uint32_t small_letter(uint32_t c) {
  const bool is_capital = is_between(c, 'A', 'Z') || (is_between(c, 0xc0, 0xde) && c != 0xd7) ||
                          is_between(c, 0x391, 0x3a9) || is_between(c, 0x410, 0x42f);
  return is_capital ? c + 0x20 : c;
}

bool is_word_character(uint32_t c) {
  if (c < 0x80) {
    return is_between(c, '0', '9') || is_between(c, 'a', 'z') || is_between(c, 'A', 'Z');
  }
  // Latin-1 signs, general punctuation, East Asian and full-width punctuation.
  return c >= 0xc0 && c != 0xd7 && c != 0xf7 && !is_between(c, 0x2000, 0x206f) &&
         !is_between(c, 0x3000, 0x303f) && !is_between(c, 0xff00, 0xff0f) &&
         !is_between(c, 0xff1a, 0xff20) && !is_unicode_space(c);
}

// Kana, Han, Hangul: written without blanks between words.
bool is_word_alone(uint32_t c) {
  return is_between(c, 0x3040, 0x9fff) || is_between(c, 0xac00, 0xd7a3) ||
         is_between(c, 0xf900, 0xfaff) || is_between(c, 0x20000, 0x3ffff);
}

// The code point at `at`, which moves behind it.
uint32_t next_code_point(std::string_view text, size_t& at) {
  const auto first = static_cast<unsigned char>(text[at]);
  if (first < 0x80) return static_cast<uint32_t>(text[at++]);
  const auto length = static_cast<size_t>(utf8_length(first));
  const std::vector<uint32_t> points = decode_utf8(text.substr(at, length));
  at += points.size() == 1 ? length : 1;
  return points.size() == 1 ? points[0] : 0xfffd;
}

}  // namespace

uint64_t mix64(uint64_t value) {
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}

uint64_t sequence_hash(const std::vector<uint64_t>& words) {
  uint64_t hash = kFnvStart;
  for (const uint64_t word : words) hash = mix64(hash ^ word) + kFnvPrime;
  return hash;
}

uint64_t bytes_hash(std::string_view bytes) {
  uint64_t hash = kFnvStart;
  for (const char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * kFnvPrime;
  return mix64(hash);
}

std::vector<uint64_t> word_hashes(std::string_view text) {
  std::vector<uint64_t> words;
  uint64_t word = kFnvStart;
  bool is_open = false;
  const auto close = [&] {
    if (is_open) words.push_back(mix64(word));
    word = kFnvStart;
    is_open = false;
  };
  for (size_t at = 0; at < text.size();) {
    const uint32_t c = next_code_point(text, at);
    if (!is_word_character(c)) {
      close();
      continue;
    }
    if (is_word_alone(c)) close();
    word = (word ^ small_letter(c)) * kFnvPrime;
    is_open = true;
    if (is_word_alone(c)) close();
  }
  close();
  return words;
}

}  // namespace dlm
