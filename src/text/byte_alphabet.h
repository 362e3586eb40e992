// The 256 printable characters that stand for the 256 byte values in byte-level vocabularies
// (GPT-2's alphabet): printable Latin-1 characters stand for themselves, the other bytes take
// U+0100 and up, in byte order. It converts texts, nothing else.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace dlm {

// Byte value -> code point of its character.
const std::array<uint32_t, 256>& byte_to_code_point();
// Byte value -> its character in UTF-8 (1 or 2 bytes).
const std::array<std::string, 256>& byte_to_character();
// Every byte of `bytes` written as its character.
std::string to_byte_characters(std::string_view bytes);
// Appends the bytes that the characters of `token` stand for; when one of them is not in the
// alphabet, the token's own UTF-8 bytes instead.
void append_bytes_of(std::string_view token, std::string& out);

// UTF-8 with every maximal ill-formed part replaced by one U+FFFD (Unicode 15, section 3.9).
std::string to_valid_utf8(std::string_view bytes);
// How many bytes at the end are the beginning of a character whose rest may still come (0 to 3).
size_t incomplete_utf8_tail(std::string_view bytes);

}  // namespace dlm
