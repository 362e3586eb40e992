// Base 32 by hand: 130 bits, of which the first two are zero, five at a time.
#include "support/ulid.h"

#include <array>

#include "support/error.h"

namespace dlm {
namespace {

constexpr std::string_view kAlphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
constexpr size_t kLength = 26;

}  // namespace

std::string encode_ulid(std::span<const std::byte, 16> bytes) {
  std::string text;
  for (size_t i = 0; i < kLength; ++i) {
    unsigned digit = 0;
    for (size_t bit = 5 * i; bit < 5 * i + 5; ++bit) {
      const unsigned value =
          bit < 2 ? 0u
                  : std::to_integer<unsigned>(bytes[(bit - 2) / 8]) >> (7 - (bit - 2) % 8) & 1u;
      digit = digit << 1 | value;
    }
    text += kAlphabet[digit];
  }
  return text;
}

bool is_ulid(std::string_view text) {
  return text.size() == kLength && text.find_first_not_of(kAlphabet) == text.npos && text[0] <= '7';
}

std::string new_ulid(const Clock& clock, const RandomSource& random) {
  const int64_t milliseconds = clock.unix_us() / 1000;
  check(milliseconds >= 0 && milliseconds < int64_t{1} << 48, "the clock does not fit into a ULID");
  std::array<std::byte, 16> bytes;
  for (size_t i = 0; i < 6; ++i)
    bytes[i] = static_cast<std::byte>(milliseconds >> (40 - 8 * i) & 255);
  random(std::span(bytes).subspan(6));
  return encode_ulid(bytes);
}

}  // namespace dlm
