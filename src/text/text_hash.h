// A hash of short texts for tables that are looked up once per word. Eight bytes a step; nothing
// may depend on its values but speed.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

namespace dlm {

inline uint64_t text_hash(std::string_view text) {
  // Odd constants of SplitMix64 (Steele et al. 2014); a multiplication carries low bits upwards and
  // the shift brings them back down.
  constexpr uint64_t kMultiplier = 0xBF58476D1CE4E5B9u;
  uint64_t hash = text.size() * 0x9E3779B97F4A7C15u;
  const char* at = text.data();
  size_t left = text.size();
  for (; left >= 8; at += 8, left -= 8) {
    uint64_t chunk;
    std::memcpy(&chunk, at, 8);
    hash = (hash ^ chunk) * kMultiplier;
    hash ^= hash >> 32;
  }
  uint64_t chunk = 0;
  if (left >= 4) {  // two overlapping reads instead of a copy of varying length
    uint32_t low, high;
    std::memcpy(&low, at, 4);
    std::memcpy(&high, at + left - 4, 4);
    chunk = low | static_cast<uint64_t>(high) << 32;
  } else if (left > 0) {
    const auto byte = [&](size_t i) { return static_cast<unsigned char>(at[i]); };
    chunk = byte(0) | static_cast<uint64_t>(byte(left / 2)) << 8 |
            static_cast<uint64_t>(byte(left - 1)) << 16;
  }
  hash = (hash ^ chunk) * kMultiplier;
  hash ^= hash >> 32;
  hash *= 0x94D049BB133111EBu;
  return hash ^ (hash >> 29);
}

}  // namespace dlm
