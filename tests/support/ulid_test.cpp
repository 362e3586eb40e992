// Published vectors of the encoding, and ids made from an injected clock and injected randomness.
#include "support/ulid.h"

#include <array>

#include <gtest/gtest.h>

#include "fixed_clock.h"

namespace dlm {
namespace {

TEST(Ulid, EncodesPublishedVectors) {
  std::array<std::byte, 16> bytes{};
  EXPECT_EQ(encode_ulid(bytes), std::string(26, '0'));
  bytes.fill(std::byte{0xFF});
  EXPECT_EQ(encode_ulid(bytes), "7" + std::string(25, 'Z'));
  for (size_t i = 0; i < 16; ++i) bytes[i] = static_cast<std::byte>(i);
  EXPECT_EQ(encode_ulid(bytes), "00041061050R3GG28A1C60T3GF");
}

TEST(Ulid, IsMadeOfTimeAndRandomness) {
  const FixedClock clock(1'776'506'400'123'456);  // 2026-04-18T10:00:00.123456Z
  const auto ones = [](std::span<std::byte> bytes) {
    EXPECT_EQ(bytes.size(), 10u);
    for (std::byte& byte : bytes) byte = std::byte{0xFF};
  };
  EXPECT_EQ(new_ulid(clock, ones), "01KPG0GVBVZZZZZZZZZZZZZZZZ");
}

TEST(Ulid, OfLaterTimesSortLater) {
  const auto zeros = [](std::span<std::byte> bytes) {
    for (std::byte& byte : bytes) byte = std::byte{0};
  };
  EXPECT_LT(new_ulid(FixedClock(1'000'000'000), zeros), new_ulid(FixedClock(1'000'001'000), zeros));
}

TEST(Ulid, OfTheSystemDiffer) {
  const std::string first = new_ulid(system_clock(), os_random);
  EXPECT_TRUE(is_ulid(first)) << first;
  EXPECT_NE(first, new_ulid(system_clock(), os_random));
}

TEST(Ulid, RefusesOtherTexts) {
  EXPECT_TRUE(is_ulid("01HZ4X7TGZM3J1A2B3C4D5E6F7"));
  EXPECT_FALSE(is_ulid("01HZ4X7TGZM3J1A2B3C4D5E6F"));
  EXPECT_FALSE(is_ulid("01hz4x7tgzm3j1a2b3c4d5e6f7"));
  EXPECT_FALSE(is_ulid("81HZ4X7TGZM3J1A2B3C4D5E6F7"));
  EXPECT_FALSE(is_ulid("01HZ4X7TGZM3J1A2B3C4D5E6FI"));
  EXPECT_FALSE(is_ulid("../../../../../../etc/pass"));
}

}  // namespace
}  // namespace dlm
