#include "support/error.h"

#include <gtest/gtest.h>

namespace dlm {
namespace {

TEST(Place, LeavesOutWhatIsNotKnown) {
  EXPECT_EQ((Place{"a.dlm", 3, 7}).to_string(), "a.dlm:3:7");
  EXPECT_EQ((Place{"a.dlm", 3}).to_string(), "a.dlm:3");
  EXPECT_EQ((Place{"a.dlm", 0, 7}).to_string(), "a.dlm");
  EXPECT_EQ((Place{"", 1, 2}).to_string(), "");
}

TEST(Error, AnErrorWithoutAFileShowsNoPlace) {
  EXPECT_STREQ(Error(ErrorKind::kParse, "wrong", {}, {"", 1, 2}).what(), "wrong");
}

}  // namespace
}  // namespace dlm
