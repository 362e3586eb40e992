// The bytes of one entry of the token cache (docs/token-cache.md): a header and a payload. All
// numbers are little-endian.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/token_cache.h"

namespace dlm {

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
// None when the checksum or the payload is wrong.
std::optional<std::vector<TokenRow>> read_entry(const TokenEntryHeader& header,
                                                std::span<const std::byte> payload);

}  // namespace dlm
