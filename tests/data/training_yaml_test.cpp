#include "data/training_yaml.h"

#include <gtest/gtest.h>

namespace dlm {
namespace {

TreeConfig parse(const char* text) {
  WarningSink warnings("t/.dlm/training.yaml");
  return parse_training_yaml(text, warnings);
}

std::string refusal(const char* text) {
  try {
    parse(text);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kParse);
    return error.what() + (error.hint().empty() ? "" : " | " + error.hint());
  }
  return "accepted";
}

TEST(TrainingYaml, AnEmptyFileIsTheDefaults) {
  const TreeConfig config = parse("");
  EXPECT_TRUE(config.include.empty() && config.exclude.empty() && config.metadata.empty());
  EXPECT_FALSE(config.exclude_defaults);
  EXPECT_TRUE(config.weights.empty());
}

TEST(TrainingYaml, ReadsEveryKey) {
  const TreeConfig config = parse(
      "dlm_training_version: 1\n"
      "include: ['**/*.md']\n"
      "exclude: [a, b/**]\n"
      "exclude_defaults: false\n"
      "metadata: {lang: en}\n"
      "weights:\n  lang: {en: 2, de: 0.5}\n");
  EXPECT_EQ(config.include, std::vector<std::string>{"**/*.md"});
  EXPECT_EQ(config.exclude, (std::vector<std::string>{"a", "b/**"}));
  EXPECT_EQ(config.exclude_defaults, false);
  EXPECT_EQ(config.metadata.at("lang"), "en");
  EXPECT_EQ(config.weights.factors.at("lang").at("en"), 2.0);
  EXPECT_EQ(config.weights.factors.at("lang").at("de"), 0.5);
}

TEST(TrainingYaml, NumbersAndBooleansAreTagsAsWritten) {
  const TreeConfig config = parse(
      "metadata: {generated: true, year: 2024, 3: no}\n"
      "weights: {generated: {true: 0}, year: {2024: '1.5'}}\n");
  EXPECT_EQ(config.metadata.at("generated"), "true");
  EXPECT_EQ(config.metadata.at("year"), "2024");
  EXPECT_EQ(config.metadata.at("3"), "no");
  EXPECT_EQ(config.weights.factors.at("generated").at("true"), 0.0);
  EXPECT_EQ(config.weights.factors.at("year").at("2024"), 1.5);
}

TEST(TrainingYaml, RefusesWeightsThatAreNoFactors) {
  EXPECT_EQ(refusal("weights:\n  lang:\n    en: .nan\n"),
            "t/.dlm/training.yaml:3:9: weights.lang.en: must be a finite number, got .nan");
  EXPECT_EQ(refusal("weights: {lang: {en: .inf}}\n"),
            "t/.dlm/training.yaml:1:22: weights.lang.en: must be a finite number, got .inf");
  EXPECT_EQ(refusal("weights: {lang: {en: -1}}\n"),
            "t/.dlm/training.yaml:1:22: weights.lang.en: must be at least 0, got -1 | 0 leaves out "
            "what has the tag");
  EXPECT_EQ(refusal("weights: {lang: {en: much}}\n"),
            "t/.dlm/training.yaml:1:22: weights.lang.en: must be a number, got text");
  EXPECT_EQ(refusal("weights: {lang: 2}\n"),
            "t/.dlm/training.yaml:1:17: weights.lang: must be a mapping, got an integer | write "
            "'name: value' lines, indented below the key");
}

TEST(TrainingYaml, RefusesUnknownKeysWithTheNearestOne) {
  EXPECT_EQ(refusal("includes: []\n"),
            "t/.dlm/training.yaml:1:1: includes: not a known key | did you mean "
            "'include'?");
}

TEST(TrainingYaml, RefusesAnotherVersionAndAnotherShape) {
  EXPECT_EQ(refusal("dlm_training_version: 2\n"),
            "t/.dlm/training.yaml:1:23: dlm_training_version: must be at most 1, got 2 | write 1");
  EXPECT_NE(refusal("- a\n"), "accepted");
  EXPECT_NE(refusal("a: [\n"), "accepted");
  EXPECT_NE(refusal("metadata: {a: [b]}\n"), "accepted");
}

TEST(TagWeights, MultiplyWhatFits) {
  TagWeights weights;
  weights.factors = {{"lang", {{"en", 2}, {"de", 0}}}, {"kind", {{"test", 0.25}}}};
  EXPECT_EQ(weights.weight_of({}), 1);
  EXPECT_EQ(weights.weight_of({{"lang", "fr"}}), 1);
  EXPECT_EQ(weights.weight_of({{"lang", "en"}, {"kind", "test"}}), 0.5);
  EXPECT_EQ(weights.weight_of({{"lang", "de"}, {"kind", "test"}}), 0);
}

TEST(TagWeights, DeeperFactorsReplaceThoseOfTheSameTagAndValue) {
  TagWeights weights;
  weights.factors = {{"lang", {{"en", 2}, {"de", 3}}}};
  TagWeights deeper;
  deeper.factors = {{"lang", {{"en", 5}}}};
  weights.merge(deeper);
  EXPECT_EQ(weights.weight_of({{"lang", "en"}}), 5);
  EXPECT_EQ(weights.weight_of({{"lang", "de"}}), 3);
}

}  // namespace
}  // namespace dlm
