// ULIDs, the ids of documents: 48 bits of Unix milliseconds and 80 random bits as 26 characters of
// Crockford's base 32. Lower case and look-alikes (I, L, O, U) are refused, not corrected.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "support/clock.h"

namespace dlm {

std::string encode_ulid(std::span<const std::byte, 16> bytes);  // big-endian
// 26 characters of the alphabet, of which the first is at most 7: more would not fit into 128 bits.
bool is_ulid(std::string_view text);
std::string new_ulid(const Clock& clock, const RandomSource& random);

}  // namespace dlm
