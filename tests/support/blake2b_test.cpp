// BLAKE2b against RFC 7693 (appendix A), and digests of 8 and 32 bytes against another program.
#include "support/blake2b.h"

#include <gtest/gtest.h>

namespace dlm {
namespace {

TEST(Blake2b, MatchesTheRfc) {
  EXPECT_EQ(blake2b_hex("abc"),
            "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1"
            "7d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923");
  EXPECT_EQ(blake2b_hex(""),
            "786a02f742015903c6c6fd852552d272912f4740e15847618a86e217f71f5419"
            "d25e1031afee585313896444934eb04b903a685b1448b755d56f701afe9be2ce");
}

TEST(Blake2b, TakesAnyLengthAndDigest) {
  struct Case {
    size_t length;
    const char* eight;
    const char* thirty_two;
  };
  const Case cases[] = {
      {127, "68005651c301c41e", "f2fe67ff342e21b8f45e8f2e0bcd1d9243245d50ee6c78042e9c491388791c72"},
      {128, "c2d13df1b6617e82", "c3582f71ebb2be66fa5dd750f80baae97554f3b015663c8be377cfcb2488c1d1"},
      {129, "f667e47a6d5350a6", "f7f3c46ba2564ff4c4c162da1f5b605f9f1c4aa6a20652a9f9a337c1a2f5b9c9"},
      {256, "511a778d539d7a3c", "582f782226018ec33076bd8d1c42413530ac7e1126260ffc0f306ba3befc3f24"},
      {1000, "669ca836a838577f",
       "b372d0608f720c8c3dd41e9c8eecb10143b41abe520b616607e754bf79c08331"},
  };
  for (const Case& c : cases) {
    std::string message;
    for (size_t i = 0; i < c.length; ++i) message += static_cast<char>(i % 251);
    EXPECT_EQ(blake2b_hex(message, 8), c.eight) << c.length;
    EXPECT_EQ(blake2b_hex(message, 32), c.thirty_two) << c.length;
  }
}

TEST(Blake2b, ReadsEightBytesBigEndian) {
  EXPECT_EQ(blake2b_u64("42:876ee20f352437a2"), 0x9773f3143bb43063u);
}

}  // namespace
}  // namespace dlm
