// The bytes of one entry of the token cache (docs/token-cache.md): a header and a payload. All
// numbers are little-endian.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/token_row.h"

namespace dlm {

using TokenCacheKey = std::array<std::byte, 32>;

inline constexpr size_t kTokenCacheFileHeader = 16;
inline constexpr size_t kTokenEntryHeader = 64;

// At the start of the file: name and version of the format.
std::string token_cache_file_header();

struct TokenEntryHeader {
  TokenCacheKey key{};
  size_t payload_bytes = 0;
  int64_t written_at = 0;
  uint64_t checksum = 0;  // over key and payload
};

// None when these are not the bytes of a header.
std::optional<TokenEntryHeader> read_entry_header(std::span<const std::byte> bytes);
// Header and payload, padded to a multiple of 8.
std::string write_entry(const TokenCacheKey& key, std::span<const TokenRow> rows,
                        int64_t written_at);
// How many bytes that is.
size_t entry_bytes(size_t payload_bytes);

// Gives so many bytes of an entry's payload from `offset` on; valid until the next call.
using PayloadAt = std::function<std::span<const std::byte>(size_t offset, size_t count)>;
// Calls `on_row` with each row of a payload, without ids and sources, until it returns false. False
// then, and when the payload or its checksum, which is known at its end only, is wrong.
bool read_entry(const TokenEntryHeader& header, const PayloadAt& payload_at,
                const std::function<bool(TokenRow)>& on_row);

}  // namespace dlm
