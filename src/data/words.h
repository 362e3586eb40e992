// Text as its words alone, so that case, punctuation and blanks do not tell two texts apart.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace dlm {

// A 64-bit hash of each word in order. A word is a run of letters and digits in small letters
// (Latin, Greek and Cyrillic ones); each character of scripts without blanks is a word. Invalid
// UTF-8 counts as U+FFFD.
std::vector<uint64_t> word_hashes(std::string_view text);

// Spreads a number over all bits.
uint64_t mix64(uint64_t value);

// One number for a sequence, and for bytes.
uint64_t sequence_hash(const std::vector<uint64_t>& words);
uint64_t bytes_hash(std::string_view bytes);

}  // namespace dlm
