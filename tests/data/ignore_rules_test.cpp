#include "data/ignore_rules.h"

#include <gtest/gtest.h>

namespace dlm {
namespace {

std::vector<IgnoreRule> rules(const char* text) {
  WarningSink warnings("ignore");
  return parse_ignore_rules(text, warnings);
}

bool ignores(const char* line, const char* path) {
  return rules(line).at(0).matches(path);
}

TEST(IgnoreRules, CommentsAndBlankLinesAreNoRules) {
  EXPECT_TRUE(rules("# a\n\n   \n  # b\n").empty());
}

TEST(IgnoreRules, ReadsMarksInTheirOrder) {
  const auto all = rules("!/build/\nx \t\n/a\nb/\n");
  ASSERT_EQ(all.size(), 4U);
  EXPECT_TRUE(all[0].is_negated && all[0].is_anchored && all[0].is_for_folders);
  EXPECT_EQ(all[0].glob.pattern(), "build");
  EXPECT_EQ(all[1].glob.pattern(), "x");
  EXPECT_TRUE(all[2].is_anchored && !all[2].is_for_folders && !all[2].is_negated);
  EXPECT_TRUE(all[3].is_for_folders && !all[3].is_anchored);
}

TEST(IgnoreRules, BlanksAtTheFrontAreOfThePattern) {
  EXPECT_EQ(rules("  a\n").at(0).glob.pattern(), "  a");
}

TEST(IgnoreRules, ALineWithoutAPatternGivesAWarning) {
  WarningSink warnings("t/.dlm/ignore");
  EXPECT_TRUE(parse_ignore_rules("a\n!/\n", warnings).size() == 1);
  const auto list = warnings.take();
  ASSERT_EQ(list.size(), 1U);
  EXPECT_EQ(list[0].place.to_string(), "t/.dlm/ignore:2:1");
  EXPECT_EQ(list[0].message, "the rule has no pattern and is left out");
}

TEST(IgnoreRules, AnUnanchoredRuleMatchesAtEachDepth) {
  EXPECT_TRUE(ignores("*.log", "a.log"));
  EXPECT_TRUE(ignores("*.log", "x/y/a.log"));
  EXPECT_TRUE(ignores("docs/*.md", "x/docs/a.md"));
  EXPECT_FALSE(ignores("docs/*.md", "xdocs/a.md"));
}

TEST(IgnoreRules, AnAnchoredRuleMatchesFromItsFolder) {
  EXPECT_TRUE(ignores("/a.log", "a.log"));
  EXPECT_FALSE(ignores("/a.log", "x/a.log"));
}

TEST(IgnoreRules, AFolderRuleTakesAllBelowButNoFileOfItsName) {
  EXPECT_TRUE(ignores("build/", "build/a"));
  EXPECT_TRUE(ignores("build/", "x/build/y/a"));
  EXPECT_FALSE(ignores("build/", "build"));
  EXPECT_FALSE(ignores("build/", "rebuild/a"));
  EXPECT_TRUE(ignores("a/build/", "x/a/build/y"));
}

TEST(IgnoreRules, AnAnchoredFolderRuleMatches) {
  EXPECT_TRUE(ignores("/build/", "build/a"));
  EXPECT_FALSE(ignores("/build/", "x/build/a"));
}

TEST(IgnoreRules, KnowWhichFoldersTheyTakeWhole) {
  EXPECT_TRUE(rules("build/").at(0).matches_all_below("x/build"));
  EXPECT_TRUE(rules("build/").at(0).matches_all_below("x/build/y"));
  EXPECT_FALSE(rules("/build/").at(0).matches_all_below("x/build"));
  EXPECT_TRUE(rules("/x/**").at(0).matches_all_below("x"));
  EXPECT_FALSE(rules("*.md").at(0).matches_all_below("x"));
}

TEST(IgnoreRules, KnowWhereTheyCouldMatch) {
  EXPECT_TRUE(rules("keep.md").at(0).may_match_below("x/y"));
  EXPECT_FALSE(rules("/a/keep.md").at(0).may_match_below("b"));
  EXPECT_TRUE(rules("/a/keep.md").at(0).may_match_below("a"));
  EXPECT_TRUE(rules("/a/").at(0).may_match_below("a/b"));
}

TEST(IgnoreRules, OnlyAPlainPathNamesAFile) {
  EXPECT_TRUE(rules("!docs/key.md").at(0).names_file());
  EXPECT_FALSE(rules("!docs/*.md").at(0).names_file());
  EXPECT_FALSE(rules("!docs/").at(0).names_file());
}

}  // namespace
}  // namespace dlm
