#include "support/blake2b.h"

#include <algorithm>
#include <array>
#include <bit>

#include "support/error.h"

namespace dlm {

namespace {

constexpr size_t kBlockBytes = 128;

// Section 2.6 of the RFC: the fractions of the square roots of the first eight primes.
constexpr std::array<uint64_t, 8> kStart = {
    0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
    0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179};

// Section 2.7; rounds 10 and 11 repeat the first two.
constexpr uint8_t kOrder[10][16] = {{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
                                    {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
                                    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4},
                                    {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
                                    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13},
                                    {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
                                    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11},
                                    {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
                                    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5},
                                    {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0}};

uint64_t little_endian(std::string_view bytes, size_t at) {
  uint64_t word = 0;
  for (size_t i = 0; i < 8; ++i) {
    word |= static_cast<uint64_t>(static_cast<unsigned char>(bytes[at + i])) << (8 * i);
  }
  return word;
}

// `block` has 128 bytes; `count` bytes of the message end with it.
void compress(std::array<uint64_t, 8>& h, std::string_view block, uint64_t count, bool is_last) {
  std::array<uint64_t, 16> v;
  std::copy(h.begin(), h.end(), v.begin());
  std::copy(kStart.begin(), kStart.end(), v.begin() + 8);
  v[12] ^= count;  // messages of 2^64 bytes do not occur
  if (is_last) v[14] = ~v[14];
  std::array<uint64_t, 16> m;
  for (size_t i = 0; i < 16; ++i) m[i] = little_endian(block, 8 * i);
  const auto mix = [&](size_t a, size_t b, size_t c, size_t d, uint64_t x, uint64_t y) {
    v[a] += v[b] + x;
    v[d] = std::rotr(v[d] ^ v[a], 32);
    v[c] += v[d];
    v[b] = std::rotr(v[b] ^ v[c], 24);
    v[a] += v[b] + y;
    v[d] = std::rotr(v[d] ^ v[a], 16);
    v[c] += v[d];
    v[b] = std::rotr(v[b] ^ v[c], 63);
  };
  for (size_t round = 0; round < 12; ++round) {
    const uint8_t* s = kOrder[round % 10];
    for (size_t i = 0; i < 4; ++i) mix(i, i + 4, i + 8, i + 12, m[s[2 * i]], m[s[2 * i + 1]]);
    for (size_t i = 0; i < 4; ++i) {
      mix(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4, m[s[8 + 2 * i]], m[s[9 + 2 * i]]);
    }
  }
  for (size_t i = 0; i < 8; ++i) h[i] ^= v[i] ^ v[i + 8];
}

}  // namespace

std::string blake2b_hex(std::string_view message, size_t digest_bytes) {
  check(digest_bytes >= 1 && digest_bytes <= 64, "a BLAKE2b digest has 1 to 64 bytes");
  std::array<uint64_t, 8> h = kStart;
  h[0] ^= 0x01010000 ^ digest_bytes;  // no key, one leaf
  size_t at = 0;
  for (; message.size() - at > kBlockBytes; at += kBlockBytes) {
    compress(h, message.substr(at, kBlockBytes), at + kBlockBytes, false);
  }
  std::string last(message.substr(at));
  last.resize(kBlockBytes, '\0');
  compress(h, last, message.size(), true);
  std::string hex;
  for (size_t i = 0; i < digest_bytes; ++i) {
    const auto byte = static_cast<unsigned>(h[i / 8] >> (8 * (i % 8)) & 0xff);
    hex += "0123456789abcdef"[byte >> 4];
    hex += "0123456789abcdef"[byte & 15];
  }
  return hex;
}

uint64_t blake2b_u64(std::string_view message) {
  return std::stoull(blake2b_hex(message, 8), nullptr, 16);
}

}  // namespace dlm
