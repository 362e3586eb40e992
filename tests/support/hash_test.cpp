// SHA-256 against the vectors of FIPS 180-2, whole, in pieces and from a file.
#include "support/hash.h"

#include <gtest/gtest.h>

#include "support/error.h"
#include "support/file.h"
#include "temporary_folder.h"

namespace dlm {
namespace {

constexpr const char* kEmpty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
constexpr const char* kAbc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
constexpr const char* kMillionA =
    "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";

TEST(Hash, MatchesPublishedVectors) {
  EXPECT_EQ(sha256_hex(std::string_view()), kEmpty);
  EXPECT_EQ(sha256_hex(std::string_view("abc")), kAbc);
  EXPECT_EQ(sha256_hex(std::string_view(std::string(1'000'000, 'a'))), kMillionA);
}

TEST(Hash, TakesPiecesAndTellsTheStateInBetween) {
  Sha256 hash;
  EXPECT_EQ(hash.hex(), kEmpty);
  hash.update(std::string_view("a"));
  hash.update(std::string_view("bc"));
  EXPECT_EQ(hash.hex(), kAbc);
  EXPECT_EQ(hash.hex(), kAbc);
  Sha256 moved = std::move(hash);
  moved.update(std::string_view(std::string(10, 'x')));
  EXPECT_EQ(moved.hex(), sha256_hex(std::string_view("abcxxxxxxxxxx")));
}

TEST(Hash, HashesFilesOfAnySize) {
  const TemporaryFolder folder;
  write_file_atomic(folder / "empty", "");
  write_file_atomic(folder / "large", std::string(1'000'000, 'a'));
  write_file_atomic(folder / "even", std::string(1 << 16, 'x'));
  EXPECT_EQ(sha256_file_hex(folder / "empty"), kEmpty);
  EXPECT_EQ(sha256_file_hex(folder / "large"), kMillionA);
  EXPECT_EQ(sha256_file_hex(folder / "even"),
            sha256_hex(std::string_view(std::string(1 << 16, 'x'))));
  EXPECT_THROW(sha256_file_hex(folder / "none"), Error);
}

TEST(Hash, KnowsTheShapeOfADigest) {
  EXPECT_TRUE(is_sha256_hex(kAbc));
  EXPECT_FALSE(is_sha256_hex(std::string(kAbc).substr(1)));
  EXPECT_FALSE(is_sha256_hex("BA7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
}

}  // namespace
}  // namespace dlm
