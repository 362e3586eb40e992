// The gallery's documents and descriptions: that they are well formed, and that what they teach is
// so.
#include "doc/gallery.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>
#include <set>

#include "doc/document.h"
#include "doc/grammar.h"
#include "doc/serialize.h"
#include "refusal.h"
#include "support/json.h"
#include "support/text.h"

namespace dlm {
namespace {

std::vector<QaPair> pairs_of(const GalleryTemplate& one) {
  std::vector<QaPair> all;
  for (const Section& section : parse_document(one.document, one.meta.name).sections) {
    if (section.type != SectionType::kInstruction) continue;
    for (QaPair& pair : parse_instruction(section)) all.push_back(pair);
  }
  return all;
}

TEST(Gallery, HoldsTheNineSubjectsByName) {
  std::vector<std::string> names;
  for (const GalleryTemplate& one : gallery()) names.push_back(one.meta.name);
  EXPECT_THAT(names,
              testing::ElementsAre("changelog", "coding-tutor", "domain-kb",
                                   "meeting-notes-summarizer", "personal-assistant", "regex-buddy",
                                   "shell-one-liner", "tool-use-example", "writing-partner"));
}

TEST(Gallery, HoldsCanonicalDocumentsOfTheBaseThatIsRecommended) {
  std::set<std::string> ids;
  for (const GalleryTemplate& one : gallery()) {
    SCOPED_TRACE(one.meta.name);
    const Document document = parse_document(one.document, one.meta.name);
    EXPECT_TRUE(document.warnings.empty());
    EXPECT_EQ(document.frontmatter.written_version, 15);
    EXPECT_EQ(document.frontmatter.base_model, one.meta.recommended_base);
    EXPECT_TRUE(document.frontmatter.system_prompt);
    EXPECT_FALSE(document.frontmatter.was_written("training")) << "left to the planner";
    EXPECT_EQ(serialize_document(document.frontmatter, document.sections), one.document);
    EXPECT_TRUE(ids.insert(document.frontmatter.dlm_id).second);
  }
}

TEST(Gallery, TeachesDistinctThings) {
  for (const GalleryTemplate& one : gallery()) {
    SCOPED_TRACE(one.meta.name);
    std::set<std::string> questions, answers;
    for (const QaPair& pair : pairs_of(one)) {
      EXPECT_TRUE(questions.insert(pair.question.str()).second) << pair.question;
      EXPECT_TRUE(answers.insert(pair.answer.str()).second) << pair.answer;
    }
    EXPECT_GE(questions.size(), one.meta.name == "writing-partner" ? 6u : 14u);
    ASSERT_FALSE(one.meta.sample_prompts.empty());
    for (const std::string& prompt : one.meta.sample_prompts) {
      EXPECT_FALSE(questions.contains(prompt)) << prompt;
    }
  }
}

TEST(Gallery, ShowsPatternsThatMatchWhatTheySay) {
  const std::regex claim("`([^`]+)`\\s+matches\\s+`([^`]+)`\\s+but\\s+not\\s+`([^`]+)`");
  for (const QaPair& pair : pairs_of(find_template("regex-buddy"))) {
    std::smatch found;
    const std::string answer = pair.answer.str();
    ASSERT_TRUE(std::regex_search(answer, found, claim)) << answer;
    const std::regex pattern(found[1].str());
    EXPECT_TRUE(std::regex_search(found[2].str(), pattern)) << pair.answer;
    EXPECT_FALSE(std::regex_search(found[3].str(), pattern)) << pair.answer;
  }
}

TEST(Gallery, CallsToolsInJson) {
  for (const QaPair& pair : pairs_of(find_template("tool-use-example"))) {
    const Json call = parse_json(pair.answer);
    EXPECT_EQ(call.size(), 2u) << pair.answer;
    EXPECT_TRUE(call.at("name").is_string()) << pair.answer;
    EXPECT_TRUE(call.at("arguments").is_object()) << pair.answer;
  }
}

TEST(Gallery, MakesADocumentOfItsOwn) {
  const std::string id = "01HZ4X7TGZM3J1A2B3C4D5E6F7";
  const GalleryTemplate& from = find_template("domain-kb");
  const Document made = parse_document(instantiate_template(from, id, "dlm-nano"), "");
  const Document original = parse_document(from.document, "");
  EXPECT_EQ(made.frontmatter.dlm_id, id);
  EXPECT_EQ(made.frontmatter.base_model, "dlm-nano");
  EXPECT_EQ(made.frontmatter.system_prompt, original.frontmatter.system_prompt);
  EXPECT_EQ(made.sections, original.sections);
}

TEST(Gallery, NamesTheNearestTemplate) {
  const Refusal refusal = refuse([] { find_template("regex-budy"); });
  EXPECT_EQ(refusal.what, "there is no template 'regex-budy'");
  EXPECT_EQ(refusal.hint, "did you mean 'regex-buddy'?");
  EXPECT_THAT(refuse([] { find_template("x"); }).hint,
              testing::StartsWith("the templates are changelog, coding-tutor, "));
}

// A description called "t" with these lines.
TemplateMeta read(const std::string& lines) {
  return read_template_meta(lines, "t", "t.meta.yaml");
}
const std::string kMeta = "name: t\ntitle: T\nrecommended_base: tiny\nsummary: ' S '\n";

TEST(TemplateMeta, HasDefaultsAndTrimsTexts) {
  const TemplateMeta meta = read(kMeta + "domain_tags: [' a ', b]\n");
  EXPECT_EQ(meta.summary, "S");
  EXPECT_THAT(meta.domain_tags, testing::ElementsAre("a", "b"));
  EXPECT_FALSE(meta.expected_steps);
  EXPECT_TRUE(meta.expected_duration.empty());
  EXPECT_TRUE(meta.sample_prompts.empty());
  EXPECT_EQ(read(kMeta + "expected_steps: null\n").expected_steps, std::nullopt);
}

TEST(TemplateMeta, RefusesWhatTheSchemaDoesNotAllow) {
  const std::pair<std::string, const char*> cases[] = {
      {"- a\n", "t.meta.yaml:1: a description must be a YAML mapping, got a list"},
      {"name: t\n",
       "t.meta.yaml:1:1: title: required, but missing; recommended_base: required, but missing; "
       "summary: required, but missing"},
      {kMeta + "titel: x\n", "t.meta.yaml:5:1: titel: not a known key"},
      {kMeta + "expected_steps: 0\n",
       "t.meta.yaml:5:17: expected_steps: must be at least 1, got 0"},
      {kMeta + "expected_duration: [1]\n",
       "t.meta.yaml:5:20: expected_duration: must be a mapping, got a list"},
      {kMeta + "expected_duration:\n  cpu: 5\n",
       "t.meta.yaml:6:8: expected_duration.cpu: name and time must be text"},
      {kMeta + "sample_prompts: one\n",
       "t.meta.yaml:5:17: sample_prompts: must be a list, got 'one'"},
      {"name: t\ntitle: '  '\nrecommended_base: tiny\nsummary: S\n",
       "t.meta.yaml:2:8: title: must not be blank"},
      {"name: u\ntitle: T\nrecommended_base: tiny\nsummary: S\n",
       "t.meta.yaml:1:7: name: must be 't', as its file, got 'u'"},
  };
  for (const auto& [yaml, what] : cases) {
    EXPECT_EQ(refuse([&, &text = yaml] { read(text); }).what, what);
  }
}

}  // namespace
}  // namespace dlm
