#include "data/glob.h"

#include <gtest/gtest.h>

#include "support/error.h"

namespace dlm {
namespace {

bool matches(const char* pattern, const char* path) {
  return Glob(pattern).matches(path);
}

TEST(Glob, TwoStarsAndASlashMatchAtTheTopToo) {
  EXPECT_TRUE(matches("**/*.py", "x.py"));
  EXPECT_TRUE(matches("**/*.py", "a/x.py"));
  EXPECT_TRUE(matches("**/*.py", "a/b/x.py"));
  EXPECT_TRUE(matches("a/**/b", "a/b"));
  EXPECT_TRUE(matches("a/**/b", "a/x/y/b"));
  EXPECT_FALSE(matches("a/**/b", "b"));
}

TEST(Glob, OneStarStaysInAFolder) {
  EXPECT_TRUE(matches("*.py", "x.py"));
  EXPECT_FALSE(matches("*.py", "a/x.py"));
  EXPECT_TRUE(matches("a/*/c", "a/b/c"));
  EXPECT_FALSE(matches("a/*/c", "a/b/b/c"));
  EXPECT_FALSE(matches("a/*/c", "a/c"));
}

TEST(Glob, TwoStarsWithoutASlashMatchPartsOfNames) {
  EXPECT_TRUE(matches("**foo", "a/foo"));
  EXPECT_TRUE(matches("**foo", "afoo"));
  EXPECT_TRUE(matches("**/foo", "afoo"));  // the '/' is swallowed
  EXPECT_TRUE(matches("src**", "src"));
  EXPECT_TRUE(matches("src**", "src/a/b"));
}

TEST(Glob, AFolderWithEverythingBelowIsNotTheFolder) {
  EXPECT_FALSE(matches("tests/**", "tests"));
  EXPECT_TRUE(matches("tests/**", "tests/a"));
  EXPECT_TRUE(matches("tests/**", "tests/a/b"));
  EXPECT_FALSE(matches("tests/**", "a/tests/b"));
}

TEST(Glob, AllOtherCharactersStandForThemselves) {
  EXPECT_TRUE(matches("*.{md,rst}", "a.{md,rst}"));
  EXPECT_FALSE(matches("*.{md,rst}", "a.md"));
  EXPECT_TRUE(matches("[ab].md", "[ab].md"));
  EXPECT_FALSE(matches("[ab].md", "a.md"));
  EXPECT_TRUE(matches("a\\*", "a\\b"));  // no escapes
  EXPECT_TRUE(matches("a+b.(c)", "a+b.(c)"));
  EXPECT_FALSE(matches("a.md", "aXmd"));
}

TEST(Glob, CaseCounts) {
  EXPECT_FALSE(matches("*.MD", "a.md"));
}

TEST(Glob, AQuestionMarkIsOneCharacterButASlash) {
  EXPECT_TRUE(matches("a?c", "abc"));
  EXPECT_TRUE(matches("a?c", "aéc"));
  EXPECT_FALSE(matches("a?c", "a/c"));
  EXPECT_FALSE(matches("a?c", "ac"));
}

TEST(Glob, AnEmptyPatternMatchesNothing) {
  EXPECT_FALSE(matches("", "a"));
  EXPECT_FALSE(Glob("").may_match_below("a"));
}

TEST(Glob, RunsMayFollowEachOther) {
  EXPECT_TRUE(matches("**/**/x", "x"));
  EXPECT_TRUE(matches("***", "a/b"));
  EXPECT_TRUE(matches("*a*b*", "xaybz"));
  EXPECT_FALSE(matches("*a*b*", "xbya"));
  EXPECT_TRUE(matches("*/*/*.c", "a/b/x.c"));
}

TEST(Glob, ManyRunsTakeNoExponentialTime) {
  std::string pattern;
  for (int i = 0; i < 100; ++i) pattern += "**a";
  EXPECT_FALSE(Glob(pattern + "b").matches(std::string(4000, 'a')));
}

TEST(Glob, RefusesAPatternThatIsTooLong) {
  try {
    Glob(std::string(1025, 'a'));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kParse);
    EXPECT_EQ(error.message(), "a pattern may have at most 1024 characters, this one has 1025");
  }
}

TEST(Glob, KnowsWhichFoldersItTakesWhole) {
  EXPECT_TRUE(Glob("build/**").matches_all_below("build"));
  EXPECT_TRUE(Glob("build/**").matches_all_below("build/x"));
  EXPECT_FALSE(Glob("build/**").matches_all_below("builds"));
  EXPECT_TRUE(Glob("**/build/**").matches_all_below("a/build"));
  EXPECT_FALSE(Glob("build/**/*.o").matches_all_below("build"));
  EXPECT_FALSE(Glob("build").matches_all_below("build"));
}

TEST(Glob, KnowsWhereItCouldMatch) {
  EXPECT_TRUE(Glob("docs/keep.md").may_match_below("docs"));
  EXPECT_FALSE(Glob("docs/keep.md").may_match_below("src"));
  EXPECT_FALSE(Glob("*.md").may_match_below("docs"));
  EXPECT_TRUE(Glob("**/*.md").may_match_below("docs/a"));
  EXPECT_FALSE(Glob("docs/").may_match_below("docs"));
}

}  // namespace
}  // namespace dlm
