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

uint64_t checksum_in(const Sha256& hash) {
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
    payload.append(reinterpret_cast<const char*>(row.tokens.data()),
                   row.tokens.size() * sizeof(int32_t));
  }
  Sha256 hash;
  hash.update(key);
  hash.update(payload);
  std::string entry;
  entry.reserve(entry_bytes(payload.size()));
  put(entry, kEntryMagic);
  put(entry, uint32_t{0});
  put(entry, key);
  put(entry, static_cast<uint64_t>(payload.size()));
  put(entry, written_at);
  put(entry, checksum_in(hash));
  entry += payload;
  entry.resize(entry_bytes(payload.size()), '\0');
  return entry;
}

bool read_entry(const TokenEntryHeader& header, const PayloadAt& payload_at,
                const std::function<bool(TokenRow)>& on_row) {
  Sha256 hash;
  hash.update(header.key);
  size_t at = 0;
  // So many bytes more; empty when the payload has not so many.
  const auto take = [&](size_t count) -> std::span<const std::byte> {
    if (count > header.payload_bytes - at) return {};
    const std::span<const std::byte> bytes = payload_at(at, count);
    hash.update(bytes);
    at += count;
    return bytes;
  };
  const auto count = take(sizeof(uint64_t));
  if (count.empty()) return false;
  const auto num_rows = get<uint64_t>(count, 0);
  for (uint64_t r = 0; r < num_rows; ++r) {
    const auto head_bytes = take(sizeof(RowHead));
    if (head_bytes.empty()) return false;
    const auto head = get<RowHead>(head_bytes, 0);
    if (head.loss_begin > head.num_tokens || head.text_begin > head.text_end) return false;
    if (head.text_end > std::numeric_limits<uint32_t>::max()) return false;
    if (head.num_tokens > (header.payload_bytes - at) / sizeof(int32_t)) return false;
    TokenRow row;
    const auto ids = take(head.num_tokens * sizeof(int32_t));
    row.tokens.resize(head.num_tokens);
    std::memcpy(row.tokens.data(), ids.data(), ids.size());
    row.loss_begin = head.loss_begin;
    row.next = head.next;
    row.text_begin = static_cast<uint32_t>(head.text_begin);
    row.text_end = static_cast<uint32_t>(head.text_end);
    if (!on_row(std::move(row))) return false;
  }
  return at == header.payload_bytes && checksum_in(hash) == header.checksum;
}

}  // namespace dlm
