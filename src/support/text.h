// UTF-8 and line ends. Nothing here depends on the locale.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dlm {

struct Utf8Fault {
  size_t byte_offset;  // of the first invalid byte, from 0
  const char* reason;
};

// The first place where `bytes` is not strict UTF-8 (no surrogates, no overlong forms), or none.
std::optional<Utf8Fault> find_utf8_fault(std::string_view bytes);

// Code points of valid UTF-8; each invalid byte becomes U+FFFD.
std::vector<uint32_t> decode_utf8(std::string_view text);
void append_utf8(std::string& out, uint32_t code_point);
// Length in bytes of the sequence that starts with this byte (1 for invalid ones).
int utf8_length(unsigned char first);

// Removes one leading U+FEFF, then CRLF and lone CR become LF.
std::string normalize_newlines(std::string_view text);
// Whether that would change nothing.
bool is_normal_text(std::string_view text);

// Trims Unicode white space (as Python's str.strip without arguments) from both ends.
std::string_view trim(std::string_view text);
// As Python's str.isspace for one code point.
bool is_unicode_space(uint32_t code_point);

std::vector<std::string_view> split(std::string_view text, char separator);
std::string join(const std::vector<std::string>& parts, std::string_view separator);
std::string lower_ascii(std::string_view text);

// The candidate nearest to `word` by edit distance (with transpositions), when it is near enough to be
// a likely misspelling: at most 2 edits and fewer than half of the word's length. Ties: the first.
std::optional<std::string> nearest_word(std::string_view word,
                                        const std::vector<std::string>& candidates);

}  // namespace dlm
