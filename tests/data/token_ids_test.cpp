// Ids in two, three or four bytes: the same numbers.
#include "data/token_ids.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

namespace dlm {
namespace {

using Ids = std::vector<int32_t>;

TEST(TokenIds, AreTheNumbersThatWereGiven) {
  for (const Ids& given : {Ids{}, Ids{0}, Ids{1, 65535, 7}, Ids{1, 65536, 7}, Ids{-1, 3},
                           Ids{16777215, 0}, Ids{16777216, 0}, Ids{2147483647, 0, 128255}}) {
    const TokenIds ids = given;
    EXPECT_EQ(ids.ids(), given);
    EXPECT_EQ(ids.size(), given.size());
    EXPECT_EQ(ids.empty(), given.empty());
    EXPECT_TRUE(std::equal(ids.begin(), ids.end(), given.begin(), given.end()));
    if (given.empty()) continue;
    EXPECT_EQ(ids.front(), given.front());
    EXPECT_EQ(ids.back(), given.back());
  }
}

TEST(TokenIds, CopiesAreEqualAndTheirOwn) {
  for (const Ids& given : {Ids{}, Ids{5, 6}, Ids{5, 70000}}) {
    TokenIds ids = given;
    TokenIds copy = ids;
    EXPECT_EQ(copy, ids);
    ids = TokenIds{9};
    EXPECT_EQ(copy.ids(), given);
    const TokenIds moved = std::move(copy);
    EXPECT_EQ(moved.ids(), given);
    ids = moved;
    EXPECT_EQ(ids, moved);
  }
}

TEST(TokenIds, DifferInNumberOrIds) {
  EXPECT_NE((TokenIds{1, 2}), (TokenIds{1, 3}));
  EXPECT_NE((TokenIds{1, 2}), (TokenIds{1, 2, 0}));
  EXPECT_NE((TokenIds{1, 2}), (TokenIds{1, 65538}));
}

TEST(TokenIds, IterateAtRandom) {
  const TokenIds ids{10, 11, 12, 13};
  EXPECT_EQ(ids.end() - ids.begin(), 4);
  EXPECT_EQ(*(ids.begin() + 2), 12);
  EXPECT_EQ(*(ids.end() - 1), 13);
  EXPECT_EQ(ids.begin()[1], 11);
  EXPECT_TRUE(std::binary_search(ids.begin(), ids.end(), 13));
}

}  // namespace
}  // namespace dlm
