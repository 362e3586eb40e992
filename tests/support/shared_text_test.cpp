// Parts of a text: the same bytes, alive as long as any of them.
#include "support/shared_text.h"

#include <gtest/gtest.h>

#include <optional>
#include <utility>

#include "support/error.h"

namespace dlm {
namespace {

TEST(SharedText, PartsLieInTheWhole) {
  const SharedText whole(std::string("The otter swims under the bridge."));
  const SharedText part = whole.part(whole.view().substr(4, 11));
  EXPECT_EQ(part, "otter swims");
  EXPECT_EQ(part.view().data(), whole.view().data() + 4);
  const SharedText word = part.part(part.view().substr(6));
  EXPECT_EQ(word, "swims");
  EXPECT_EQ(word.view().data(), whole.view().data() + 10);
  EXPECT_EQ(word.size(), 5u);
}

TEST(SharedText, PartsOutliveTheWhole) {
  std::optional<SharedText> whole(std::string(1000, 'a') + "end");
  const SharedText part = whole->part(whole->view().substr(1000));
  whole.reset();
  EXPECT_EQ(part, "end");
}

TEST(SharedText, NothingHasNoWhole) {
  const SharedText whole("text");
  EXPECT_TRUE(whole.part({}).empty());
  EXPECT_EQ(SharedText(), SharedText(""));
  EXPECT_EQ(SharedText().view(), "");
}

TEST(SharedText, IsEmptyOnceMovedAway) {
  SharedText whole("text");
  const SharedText taken = std::move(whole);
  EXPECT_EQ(taken, "text");
  EXPECT_TRUE(whole.empty());
  EXPECT_EQ(whole.size(), 0u);
}

TEST(SharedText, RefusesPiecesOfOtherTexts) {
  const SharedText whole("text");
  const std::string other = "text";
  EXPECT_THROW(whole.part(other), Error);
  EXPECT_THROW(whole.part(std::string_view(whole.view().data(), 5)), Error);
  EXPECT_THROW(SharedText().part(other), Error);
}

}  // namespace
}  // namespace dlm
