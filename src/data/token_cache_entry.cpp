#include "data/token_cache_entry.h"

#include <bit>
#include <charconv>
#include <cstring>
#include <limits>

#include "support/hash.h"

namespace dlm {

static_assert(std::endian::native == std::endian::little, "numbers are written as they lie");

namespace {

constexpr uint32_t kEntryMagic = 0x4b4f5445;  // "ETOK"

struct RowHead {
  uint32_t num_tokens;
  uint32_t loss_begin;
  int32_t next;
  uint32_t reserved;
  uint64_t text_begin;
  uint64_t text_end;
};
static_assert(sizeof(RowHead) == 32);

template <typename T>
void put(std::string& out, const T& value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

template <typename T>
T get(std::span<const std::byte> bytes, size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

uint64_t checksum_of(const TokenCacheKey& key, std::span<const std::byte> payload) {
  Sha256 hash;
  hash.update(key);
  hash.update(payload);
  uint64_t checksum = 0;
  const std::string hex = hash.hex();
  std::from_chars(hex.data(), hex.data() + 16, checksum, 16);
  return checksum;
}

}  // namespace

std::string token_cache_file_header() {
  std::string header("dlm tokens");
  header.resize(kTokenCacheFileHeader, '\0');
  header.back() = 1;
  return header;
}

size_t entry_bytes(size_t payload_bytes) {
  return kTokenEntryHeader + (payload_bytes + 7) / 8 * 8;
}

std::optional<TokenEntryHeader> read_entry_header(std::span<const std::byte> bytes) {
  if (bytes.size() < kTokenEntryHeader || get<uint32_t>(bytes, 0) != kEntryMagic) {
    return std::nullopt;
  }
  TokenEntryHeader header;
  std::memcpy(header.key.data(), bytes.data() + 8, header.key.size());
  header.payload_bytes = get<uint64_t>(bytes, 40);
  header.written_at = get<int64_t>(bytes, 48);
  header.checksum = get<uint64_t>(bytes, 56);
  return header;
}

std::string write_entry(const TokenCacheKey& key, std::span<const TokenRow> rows,
                        int64_t written_at) {
  std::string payload;
  put(payload, static_cast<uint64_t>(rows.size()));
  for (const TokenRow& row : rows) {
    put(payload, RowHead{static_cast<uint32_t>(row.tokens.size()),
                         static_cast<uint32_t>(row.loss_begin.value_or(row.tokens.size())),
                         row.next, 0, row.text_begin, row.text_end});
    const std::vector<int32_t> ids = row.tokens.ids();
    payload.append(reinterpret_cast<const char*>(ids.data()), ids.size() * sizeof(int32_t));
  }
  std::string entry;
  entry.reserve(entry_bytes(payload.size()));
  put(entry, kEntryMagic);
  put(entry, uint32_t{0});
  put(entry, key);
  put(entry, static_cast<uint64_t>(payload.size()));
  put(entry, written_at);
  put(entry, checksum_of(key, std::as_bytes(std::span(payload))));
  entry += payload;
  entry.resize(entry_bytes(payload.size()), '\0');
  return entry;
}

std::optional<std::vector<TokenRow>> read_entry(const TokenEntryHeader& header,
                                                std::span<const std::byte> payload) {
  if (checksum_of(header.key, payload) != header.checksum || payload.size() < 8) {
    return std::nullopt;
  }
  const auto num_rows = get<uint64_t>(payload, 0);
  std::vector<TokenRow> rows;
  size_t at = 8;
  for (uint64_t r = 0; r < num_rows; ++r) {
    if (payload.size() - at < sizeof(RowHead)) return std::nullopt;
    const auto head = get<RowHead>(payload, at);
    at += sizeof head;
    if (head.num_tokens > (payload.size() - at) / sizeof(int32_t)) return std::nullopt;
    if (head.loss_begin > head.num_tokens || head.text_begin > head.text_end) return std::nullopt;
    if (head.text_end > std::numeric_limits<uint32_t>::max()) return std::nullopt;
    TokenRow row;
    std::vector<int32_t> ids(head.num_tokens);
    std::memcpy(ids.data(), payload.data() + at, ids.size() * sizeof(int32_t));
    row.tokens = ids;
    at += head.num_tokens * sizeof(int32_t);
    row.loss_begin = head.loss_begin;
    row.next = head.next;
    row.text_begin = static_cast<uint32_t>(head.text_begin);
    row.text_end = static_cast<uint32_t>(head.text_end);
    rows.push_back(std::move(row));
  }
  if (at != payload.size()) return std::nullopt;
  return rows;
}

}  // namespace dlm
