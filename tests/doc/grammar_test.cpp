// Question and answer pairs, preference triples, and the exact place of what is wrong in them.
#include "doc/grammar.h"

#include <gtest/gtest.h>

#include "refusal.h"

namespace dlm {
namespace {

Section section(SectionType type, const std::string& content) {
  Section out;
  out.type = type;
  out.content = content;
  out.start_line = 10;
  out.content_line = 11;
  return out;
}
std::vector<QaPair> pairs(const std::string& content) {
  return parse_instruction(section(SectionType::kInstruction, content), "g.dlm");
}
std::vector<PreferenceTriple> triples(const std::string& content) {
  return parse_preference(section(SectionType::kPreference, content), "g.dlm");
}
std::string refuse_pairs(const std::string& content) {
  return refuse([&] { pairs(content); }).what;
}
std::string refuse_triples(const std::string& content) {
  return refuse([&] { triples(content); }).what;
}

TEST(Instruction, ReadsPairs) {
  const auto found = pairs("\n### Q\n one?\n\n### A  \n1\n\n2\n\n### Q\ntwo?\n### A\nb\n");
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0], (QaPair{"one?", "1\n\n2", 12, false}));
  EXPECT_EQ(found[1], (QaPair{"two?", "b", 20, false}));
}

TEST(Instruction, KnowsProbes) {
  EXPECT_TRUE(pairs("### Q !probe\nq\n### A\na").at(0).is_probe);
  EXPECT_TRUE(pairs("### Q   !probe \nq\n### A\na").at(0).is_probe);
  EXPECT_FALSE(pairs("### Q\n!probe\n### A\na").at(0).is_probe);
}

TEST(Instruction, KeepsInlineHeadersInsideBodiesAsText) {
  EXPECT_EQ(pairs("### Q\n### Q what?\n### A\n### Answer").at(0),
            (QaPair{"### Q what?", "### Answer", 11, false}));
}

TEST(Instruction, KeepsHeadersInCodeBlocksAsText) {
  EXPECT_EQ(pairs("### Q\nq\n### A\n```\n### Q\n### A\n```\nend").at(0).answer,
            "```\n### Q\n### A\n```\nend");
}

TEST(Instruction, EndsLinesWhereOldDocumentsDo) {
  EXPECT_EQ(pairs("### Q\x0Cq\xE2\x80\xA8### A\xC2\x85"
                  "a\x0B"
                  "b")
                .at(0),
            (QaPair{"q", "a\nb", 11, false}));
}

TEST(Instruction, RefusesWithTheFileLine) {
  EXPECT_EQ(refuse_pairs(""), "g.dlm:11:1: instruction section has no ### Q / ### A pairs");
  EXPECT_EQ(refuse_pairs(" \n\n"), "g.dlm:11:1: instruction section has no ### Q / ### A pairs");
  EXPECT_EQ(refuse_pairs("\n### A\na"),
            "g.dlm:12:1: expected `### Q` header alone on its line, got '### A'");
  EXPECT_EQ(refuse_pairs("### Q what?\n### A\na"),
            "g.dlm:11:1: expected `### Q` header alone on its line, got '### Q what?'");
  EXPECT_EQ(refuse_pairs("### Q\n\n### A\na"), "g.dlm:13:1: ### Q body is empty");
  EXPECT_EQ(refuse_pairs("### Q\nq\n"),
            "g.dlm:13:1: ### Q without matching `### A` at end of section");
  EXPECT_EQ(refuse_pairs("### Q\nq\n### Q\nr"),
            "g.dlm:13:1: ### Q must be followed by `### A` alone on its line, got '### Q'");
  EXPECT_EQ(refuse_pairs("### Q\nq\n### A\n\n"), "g.dlm:15:1: ### A body is empty");
}

TEST(Instruction, NamesALineWithinTheSectionWithoutAFile) {
  Section loose;
  loose.type = SectionType::kInstruction;
  loose.content = "### Q\nq\n### Q\n";
  try {
    parse_instruction(loose);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.place().line, 3);
    EXPECT_EQ(error.place().path, "");
  }
}

TEST(Preference, ReadsTriples) {
  const auto found = triples(
      "### Prompt\np\n### Chosen\nc1\nc2\n### Rejected\nr\n\n### Prompt\nP\n### Chosen\nC\n### "
      "Rejected\nR");
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0], (PreferenceTriple{"p", "c1\nc2", "r", 11}));
  EXPECT_EQ(found[1], (PreferenceTriple{"P", "C", "R", 19}));
}

TEST(Preference, RefusesWithTheFileLine) {
  EXPECT_EQ(refuse_triples("\n"),
            "g.dlm:11:1: preference section has no ### Prompt / ### Chosen / ### Rejected triples");
  EXPECT_EQ(refuse_triples("### Chosen\nc"),
            "g.dlm:11:1: expected `### Prompt` header alone on its line, got '### Chosen'");
  EXPECT_EQ(refuse_triples("### Prompt\np\n### Chosen\nc"),
            "g.dlm:15:1: expected `### Rejected` header, got end of section");
  EXPECT_EQ(refuse_triples("### Prompt\np\n### Chosen\n### Rejected\nr"),
            "g.dlm:14:1: `### Chosen` body is empty");
}

}  // namespace
}  // namespace dlm
