#include "data/token_ids.h"

#include <bit>
#include <cstring>
#include <limits>
#include <utility>

#include "support/error.h"

namespace dlm {

static_assert(std::endian::native == std::endian::little,
              "the low bytes of a number are its first");

TokenIds::TokenIds(std::span<const int32_t> ids) {
  check(ids.size() <= std::numeric_limits<uint32_t>::max(), "a row of more than 2^32 tokens");
  if (ids.empty()) return;
  uint32_t all = 0;
  for (const int32_t id : ids) all |= static_cast<uint32_t>(id);
  while (width_ < sizeof all && all >> (8 * width_) != 0) ++width_;
  size_ = static_cast<uint32_t>(ids.size());
  bytes_ = std::make_unique_for_overwrite<std::byte[]>(num_bytes());
  for (size_t i = 0; i < ids.size(); ++i) std::memcpy(&bytes_[i * width_], &ids[i], width_);
}

TokenIds::TokenIds(const TokenIds& other) : size_(other.size_), width_(other.width_) {
  if (size_ == 0) return;
  bytes_ = std::make_unique_for_overwrite<std::byte[]>(num_bytes());
  std::memcpy(bytes_.get(), other.bytes_.get(), num_bytes());
}

TokenIds& TokenIds::operator=(const TokenIds& other) {
  if (this != &other) *this = TokenIds(other);
  return *this;
}

TokenIds& TokenIds::operator=(TokenIds&& other) noexcept {
  bytes_ = std::move(other.bytes_);
  size_ = std::exchange(other.size_, 0);
  width_ = std::exchange(other.width_, kLeastWidth);
  return *this;
}

bool operator==(const TokenIds& a, const TokenIds& b) {
  return a.size_ == b.size_ && a.width_ == b.width_ &&
         (a.empty() || std::memcmp(a.bytes_.get(), b.bytes_.get(), a.num_bytes()) == 0);
}

}  // namespace dlm
