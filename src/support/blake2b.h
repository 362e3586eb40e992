// BLAKE2b of RFC 7693 without a key, for any digest of 1 to 64 bytes: a shorter digest is another
// function, not a longer one cut off. Used where an existing format says so; all else is SHA-256.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace dlm {

// Lower-case hex of `digest_bytes` bytes.
std::string blake2b_hex(std::string_view message, size_t digest_bytes = 64);
// The digest of 8 bytes, read big-endian.
uint64_t blake2b_u64(std::string_view message);

}  // namespace dlm
