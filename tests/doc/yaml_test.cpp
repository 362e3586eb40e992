// YAML 1.1 as documents use it: scalars, anchors, merge keys, duplicates, limits, places.
#include "doc/yaml.h"

#include <gtest/gtest.h>

#include <cmath>

#include "refusal.h"

namespace dlm {
namespace {

YamlTree parse(const std::string& text) {
  WarningSink warnings("y");
  return parse_yaml(text, 2, warnings);
}
std::string refuse_text(const std::string& text) {
  return refuse([&] { parse(text); }).what;
}

TEST(YamlScalar, FollowsYaml11) {
  for (const char* word : {"yes", "Yes", "YES", "on", "True", "TRUE"}) {
    EXPECT_EQ(resolve_plain(word).kind, YamlKind::kBool) << word;
    EXPECT_TRUE(resolve_plain(word).boolean) << word;
  }
  for (const char* word : {"no", "Off", "FALSE"}) EXPECT_FALSE(resolve_plain(word).boolean) << word;
  for (const char* word : {"y", "n", "yEs", "tRUE", "nUll", "1e3", "2e-4", "08", "0b2", "1:60", "=",
                           "0x", "-.nan", "-.5", ".", "1.5e3", "2024-1-2", "inf", "1.2.3"}) {
    EXPECT_EQ(resolve_plain(word).kind, YamlKind::kString) << word;
  }
  for (const char* word : {"", "~", "null", "Null", "NULL"}) {
    EXPECT_EQ(resolve_plain(word).kind, YamlKind::kNull) << word;
  }
  for (const char* word : {"2024-01-02", "2001-12-14t21:59:43.10-05:00", "2001-1-1 1:00:00 Z"}) {
    EXPECT_EQ(resolve_plain(word).kind, YamlKind::kTimestamp) << word;
  }
}

TEST(YamlScalar, ReadsIntegersInEveryBase) {
  const std::pair<const char*, int64_t> cases[] = {
      {"0", 0},     {"017", 15},           {"-0x1F", -31}, {"0b101", 5}, {"1_000", 1000},
      {"1:30", 90}, {"190:20:30", 685230}, {"+7", 7},      {"00", 0}};
  for (const auto& [text, value] : cases) {
    EXPECT_EQ(resolve_plain(text).kind, YamlKind::kInt) << text;
    EXPECT_EQ(resolve_plain(text).integer, value) << text;
  }
  EXPECT_FALSE(resolve_plain("99999999999999999999").integer_fits);
}

TEST(YamlScalar, ReadsFloatsWithADot) {
  const std::pair<const char*, double> cases[] = {
      {"1.0e-4", 1e-4},       {"5.", 5},           {".5", 0.5}, {"-1_0.5", -10.5}, {"1:30.5", 90.5},
      {"1.0e+400", INFINITY}, {"-.inf", -INFINITY}};
  for (const auto& [text, value] : cases) {
    EXPECT_EQ(resolve_plain(text).kind, YamlKind::kFloat) << text;
    EXPECT_EQ(resolve_plain(text).number, value) << text;
  }
  EXPECT_TRUE(std::isnan(resolve_plain(".NaN").number));
}

TEST(Yaml, KeepsPlacesOfNodes) {
  const YamlTree tree = parse("a: 1\nb:\n  - x\n  -  y");
  const YamlNode* list = tree.root().find("b");
  ASSERT_NE(list, nullptr);
  EXPECT_EQ(list->items.at(1)->line, 5);
  EXPECT_EQ(list->items.at(1)->column, 6);
}

TEST(Yaml, LetsTheLastDuplicateWinAndSaysBothLines) {
  WarningSink warnings("y");
  const YamlTree tree = parse_yaml("a: 1\nb: 2\na: 3", 2, warnings);
  EXPECT_EQ(tree.root().find("a")->scalar.integer, 3);
  EXPECT_EQ(tree.root().entries.at(0).key->text, "a");
  const auto found = warnings.take();
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].message, "the key 'a' stands twice, on lines 2 and 4; the last one counts");
  EXPECT_EQ(found[0].place.to_string(), "y:4:1");
}

TEST(Yaml, SharesAliasedNodes) {
  const YamlTree tree = parse("a: &x [1, 2]\nb: *x");
  EXPECT_EQ(tree.root().find("a"), tree.root().find("b"));
}

TEST(Yaml, MergesMappings) {
  const YamlTree tree = parse("a: &a {r: 1, s: 1}\nb: &b {s: 2, t: 2}\nc:\n  t: 3\n  <<: [*a, *b]");
  const YamlNode* c = tree.root().find("c");
  ASSERT_EQ(c->entries.size(), 3u);
  EXPECT_EQ(c->find("r")->scalar.integer, 1);
  EXPECT_EQ(c->find("s")->scalar.integer, 1);
  EXPECT_EQ(c->find("t")->scalar.integer, 3);
}

TEST(Yaml, LetsALaterMergeKeyWin) {
  const YamlTree tree = parse("c:\n  <<: {r: 1}\n  <<: {r: 2}");
  EXPECT_EQ(tree.root().find("c")->find("r")->scalar.integer, 2);
}

TEST(Yaml, TakesAQuotedMergeSignAsText) {
  EXPECT_NE(parse("'<<': 1").root().find("<<"), nullptr);
}

TEST(Yaml, KeepsABlockAtTheEndWithoutItsLineEnd) {
  EXPECT_EQ(parse("a: |\n  hello").root().find("a")->text, "hello");
  EXPECT_EQ(parse("a: |\n  hello\nb: 1").root().find("a")->text, "hello\n");
}

TEST(Yaml, ReadsCoreTags) {
  EXPECT_EQ(parse("a: !!str 5").root().find("a")->kind(), YamlKind::kString);
  EXPECT_EQ(parse("a: !!int '5'").root().find("a")->scalar.integer, 5);
  EXPECT_EQ(parse("a: !!float '1e5'").root().find("a")->scalar.number, 1e5);
  EXPECT_EQ(refuse_text("a: !!int x"),
            "y:2:4: invalid YAML: 'x' is not an integer as its tag says");
}

TEST(Yaml, RefusesApplicationTags) {
  EXPECT_EQ(refuse_text("a: !!python/object:os.system x"),
            "y:2:4: invalid YAML: the tag 'tag:yaml.org,2002:python/object:os.system' has no "
            "meaning here");
  EXPECT_EQ(refuse_text("a: !foo {b: 1}"),
            "y:2:4: invalid YAML: the tag '!foo' has no meaning here");
}

TEST(Yaml, RefusesASecondDocument) {
  EXPECT_EQ(refuse_text("a: 1\n--- \nb: 2"), "y:3:1: invalid YAML: a second document starts here");
}

TEST(Yaml, NamesThePlaceOfSyntaxErrors) {
  EXPECT_EQ(
      refuse_text("a: [unclosed"),
      "y:2:13: invalid YAML: while parsing a flow sequence: did not find expected ',' or ']'");
  EXPECT_EQ(
      refuse_text("a:\n\tb: 1"),
      "y:3:1: invalid YAML: while scanning for the next token: found character that cannot start "
      "any token");
}

TEST(Yaml, RefusesCollectionsAsKeys) {
  EXPECT_EQ(refuse_text("[a]: 1"), "y:2:1: invalid YAML: a list cannot be a key");
}

TEST(Yaml, RefusesAMergeOfText) {
  EXPECT_EQ(refuse_text("a:\n  <<: x"),
            "y:3:7: invalid YAML: << needs a mapping or a list of mappings, got text");
}

TEST(Yaml, RefusesAliasesWithoutAnchorAndCycles) {
  EXPECT_EQ(refuse_text("a: *x"), "y:2:4: invalid YAML: no anchor 'x' before this alias");
  EXPECT_EQ(refuse_text("a: &x [*x]"), "y:2:8: invalid YAML: the anchor 'x' contains itself");
}

TEST(Yaml, BoundsDepth) {
  EXPECT_NO_THROW(parse(std::string(64, '[') + std::string(64, ']')));
  EXPECT_EQ(refuse_text(std::string(100000, '[')),
            "y:2:65: invalid YAML: more than 64 levels of nesting");
}

TEST(Yaml, BoundsTheNumberOfAliases) {
  std::string text = "a: &x 1\nb:\n";
  for (int i = 0; i < 1000; ++i) text += "- *x\n";
  EXPECT_NO_THROW(parse(text));
  EXPECT_EQ(refuse_text(text + "- *x\n"), "y:1004:3: invalid YAML: more than 1,000 aliases");
}

TEST(Yaml, BoundsWhatAliasesStandFor) {
  std::string text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 12; ++i) {
    const std::string last = "*a" + std::to_string(i - 1);
    text += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + last;
    for (int k = 0; k < 9; ++k) text += ", " + last;
    text += "]\n";
  }
  EXPECT_EQ(refuse_text(text),
            "y:8:5: invalid YAML: its aliases stand for more than 16 MiB of text");
}

TEST(Yaml, BoundsTheSize) {
  EXPECT_EQ(refuse_text("a: " + std::string(size_t{1} << 20, 'x')),
            "y:2:1: invalid YAML: the frontmatter is larger than 1 MiB");
}

TEST(Yaml, TakesBlankTextAsAnEmptyMapping) {
  EXPECT_TRUE(parse(" \n").root().is_mapping());
  EXPECT_EQ(parse("# only this").root().kind(), YamlKind::kNull);
}

}  // namespace
}  // namespace dlm
