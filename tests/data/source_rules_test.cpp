#include "data/source_rules.h"

#include <gtest/gtest.h>

namespace dlm {
namespace {

std::vector<IgnoreRule> ignore(const char* text) {
  WarningSink warnings("ignore");
  return parse_ignore_rules(text, warnings);
}

TreeConfig config(const char* yaml) {
  WarningSink warnings("training.yaml");
  return parse_training_yaml(yaml, warnings);
}

TEST(SourceRules, TheDirectiveIncludesAndExcludes) {
  const SourceRules rules({"**/*.md", "*.txt"}, {"drafts/**"});
  EXPECT_EQ(rules.decide("a/b.md").choice, SourceChoice::kTaken);
  EXPECT_EQ(rules.decide("a.txt").choice, SourceChoice::kTaken);
  EXPECT_EQ(rules.decide("a/b.txt").choice, SourceChoice::kNotIncluded);
  EXPECT_EQ(rules.decide("drafts/b.md").choice, SourceChoice::kExcluded);
}

TEST(SourceRules, AnEmptyIncludeTakesNothing) {
  EXPECT_EQ(SourceRules({}, {}).decide("a").choice, SourceChoice::kNotIncluded);
}

TEST(SourceRules, DefaultsLeaveOutSecretsAndBuilds) {
  const SourceRules rules({"**/*"}, {});
  for (const char* path : {".env", "a/.env.local", "a/id_rsa", "a/x.pem", "b/secrets.yaml",
                           "home/.ssh/config", "a/.netrc", "a/credentials.json", "k/x.p12"}) {
    EXPECT_EQ(rules.decide(path).choice, SourceChoice::kDefaultSecret) << path;
  }
  for (const char* path : {".git/config", "a/.git/config", "a/node_modules/b/c.js", "target/x",
                           "a/target/x", "a/b/build/x", "web/dist/x", "x/venv/y", "a.pyc",
                           "a/__pycache__/b", "Cargo.lock", "x/a.min.js", ".dlm/notes.md"}) {
    EXPECT_EQ(rules.decide(path).choice, SourceChoice::kDefaultOther) << path;
  }
  for (const char* path : {"rebuild/x.md", "builds/x", "build", "docs/target.md", "a/environment",
                           "credentials_guide.md", "keys.md"}) {
    EXPECT_EQ(rules.decide(path).choice, SourceChoice::kTaken) << path;
  }
}

TEST(SourceRules, TheNearestIncludeReplacesThoseAbove) {
  SourceRules rules({"**/*.md"}, {});
  rules.enter("", config("include: ['**/*.txt']"), {});
  rules.enter("a", config("exclude: [x]"), {});  // has none: as above
  EXPECT_EQ(rules.decide("a/b.txt").choice, SourceChoice::kTaken);
  EXPECT_EQ(rules.decide("a/b.md").choice, SourceChoice::kNotIncluded);
}

TEST(SourceRules, AnIncludeCountsFromTheRootOrFromItsFolder) {
  SourceRules rules({"**/*"}, {});
  rules.enter("a", config("include: ['a/*.txt', '*.md']"), {});
  EXPECT_EQ(rules.decide("a/b.txt").choice, SourceChoice::kTaken);
  EXPECT_EQ(rules.decide("a/b.md").choice, SourceChoice::kTaken);
  EXPECT_EQ(rules.decide("a/b/c.md").choice, SourceChoice::kNotIncluded);
}

TEST(SourceRules, AnExcludeCountsFromItsFolder) {
  SourceRules rules({"**/*"}, {});
  rules.enter("a", config("exclude: [x.md]"), {});
  EXPECT_EQ(rules.decide("a/x.md").choice, SourceChoice::kExcluded);
  EXPECT_EQ(rules.decide("a/b/x.md").choice, SourceChoice::kTaken);
}

TEST(SourceRules, ANearerFolderInheritsWhetherDefaultsHold) {
  SourceRules rules({"**/*"}, {});
  rules.enter("", config("exclude_defaults: false"), {});
  rules.enter("a", config("metadata: {x: y}"), {});
  EXPECT_EQ(rules.decide("a/build/x").choice, SourceChoice::kTaken);
  rules.enter("a/b", config("exclude_defaults: true"), {});
  EXPECT_EQ(rules.decide("a/b/build/x").choice, SourceChoice::kDefaultOther);
  rules.leave();
  EXPECT_EQ(rules.decide("a/build/x").choice, SourceChoice::kTaken);
}

TEST(SourceRules, TheLastIgnoreRuleDecidesDeeperFilesLast) {
  SourceRules rules({"**/*"}, {"gone.md"});
  rules.enter("", std::nullopt, ignore("*.log\n!keep.log\n!gone.md\n!.env\n"));
  EXPECT_EQ(rules.decide("a.log").choice, SourceChoice::kExcluded);
  EXPECT_EQ(rules.decide("x/keep.log").choice, SourceChoice::kTaken);
  EXPECT_EQ(rules.decide("gone.md").choice, SourceChoice::kTaken);
  EXPECT_EQ(rules.decide(".env").choice, SourceChoice::kTaken);
  rules.enter("x", std::nullopt, ignore("keep.log\n"));
  EXPECT_EQ(rules.decide("x/keep.log").choice, SourceChoice::kExcluded);
}

TEST(SourceRules, ANegatedRuleDoesNotIncludeWhatIsNotIncluded) {
  SourceRules rules({"**/*.md"}, {});
  rules.enter("", std::nullopt, ignore("!a.txt\n"));
  EXPECT_EQ(rules.decide("a.txt").choice, SourceChoice::kNotIncluded);
}

TEST(SourceRules, OnlyARuleThatNamesTheFileAllowsSecrets) {
  SourceRules rules({"**/*"}, {});
  rules.enter("", std::nullopt, ignore("!docs/*.md\n!/docs/key.md\n"));
  EXPECT_FALSE(rules.decide("docs/a.md").allows_secrets);
  EXPECT_TRUE(rules.decide("docs/key.md").allows_secrets);
}

TEST(SourceRules, TagsMergeDownwards) {
  SourceRules rules({"**/*"}, {});
  rules.enter("", config("metadata: {lang: en, kind: docs}"), {});
  rules.enter("a", config("metadata: {lang: de}"), {});
  EXPECT_EQ(rules.tags(), (std::map<std::string, std::string>{{"kind", "docs"}, {"lang", "de"}}));
  rules.leave();
  EXPECT_EQ(rules.tags().at("lang"), "en");
}

TEST(SourceRules, WeightsHoldBelowTheirFolderOnly) {
  SourceRules rules({"**/*"}, {});
  rules.enter("", config("metadata: {kind: docs}\nweights: {lang: {de: 3}}"), {});
  EXPECT_EQ(rules.weight(), 1);
  rules.enter("a", config("metadata: {lang: de}\nweights: {kind: {docs: 0.5}}"), {});
  EXPECT_EQ(rules.weight(), 1.5);
  rules.leave();
  EXPECT_EQ(rules.weight(), 1);
  rules.enter("b", config("metadata: {lang: de}"), {});
  EXPECT_EQ(rules.weight(), 3);
}

TEST(SourceRules, KnowWhichFoldersNeedNoVisit) {
  SourceRules rules({"**/*"}, {"drafts/**"});
  EXPECT_TRUE(rules.excludes_all_below("drafts"));
  EXPECT_TRUE(rules.excludes_all_below("a/node_modules"));
  EXPECT_FALSE(rules.excludes_all_below("rebuild"));
  EXPECT_FALSE(rules.may_take_below("a/node_modules"));
  rules.enter("", std::nullopt, ignore("/out/\n!/build/keep.md\n"));
  EXPECT_TRUE(rules.excludes_all_below("out"));
  EXPECT_TRUE(rules.may_take_below("build"));
  EXPECT_FALSE(rules.may_take_below("out"));
}

}  // namespace
}  // namespace dlm
