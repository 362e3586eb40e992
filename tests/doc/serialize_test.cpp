// Writing documents so that they read back: values, sections, escapes, and what is refused.
#include "doc/serialize.h"

#include <gtest/gtest.h>

#include "doc/grammar.h"
#include "doc/scaffold.h"
#include "doc/yaml_text.h"
#include "refusal.h"

namespace dlm {
namespace {

const std::string kHead =
    "---\ndlm_id: 01HZ4X7TGZM3J1A2B3C4D5E6F7\ndlm_version: 15\nbase_model: tiny\n";

std::string rewrite(const std::string& text, SerializeOptions options = {}) {
  const Document document = parse_document(text, "w.dlm");
  return serialize_document(document.frontmatter, document.sections, options);
}

TEST(Serialize, LeavesACanonicalDocumentAsItIs) {
  const std::string text = kHead +
                           "training:\n"
                           "  lora_r: 4\n"
                           "  target_modules: [q_proj, v_proj]\n"
                           "  micro_batch_size: 2\n"
                           "  learning_rate: 1e-05\n"
                           "  preference:\n"
                           "    enabled: true\n"
                           "    hyperparams:\n"
                           "      beta: 0.2\n"
                           "  sources:\n"
                           "    - path: src\n"
                           "      include: [\"**/*.py\"]\n"
                           "      max_files: 3\n"
                           "  sources_policy: strict\n"
                           "export:\n"
                           "  default_temperature: 0.5\n"
                           "system_prompt: |\n"
                           "  Be kind.\n"
                           "  Be brief.\n"
                           "---\n\n# Title\n\n"
                           "::image path=\"a.png\" alt=\"x\"::\n\n"
                           "::instruction::\n### Q\nq\n### A\na\n";
  EXPECT_EQ(rewrite(text), text);
}

TEST(Serialize, WritesNamedAdapters) {
  const std::string text = kHead +
                           "training:\n  adapters:\n    facts: {}\n    tone:\n      lora_r: 4\n"
                           "---\n\n::instruction#tone::\n### Q\nq\n### A\na\n";
  EXPECT_EQ(rewrite(text), text);
}

TEST(Serialize, KeepsWrittenDefaultsUnlessTold) {
  const std::string text = kHead + "training:\n  num_epochs: 3\n---\n\nx\n";
  EXPECT_EQ(rewrite(text), text);
  EXPECT_EQ(rewrite(text, {.keep_written = false}), kHead + "---\n\nx\n");
}

TEST(Serialize, NeverDropsASwitchedOffPreferencePhase) {
  const std::string text = kHead + "training:\n  preference:\n    enabled: false\n---\n\nx\n";
  EXPECT_EQ(rewrite(text, {.keep_written = false}), text);
}

TEST(Serialize, KeepsSectionsByteForByte) {
  const std::string text = kHead +
                           "---\n\n\nprose\n::instruction::\n### Q\nq\n### A\na\n\n\n"
                           "::prose#default::\nmore\n::preference::\n"
                           "<!-- dlm-auto-harvest: source=\"h\" -->\n### Prompt\np\n\n\n";
  EXPECT_EQ(rewrite(text), text);
}

TEST(Serialize, EscapesTextThatLooksLikeAFence) {
  Section prose;
  prose.content = "use\n::instruction::\n\\::std::\n```\n::std::\n```";
  EXPECT_EQ(serialize_sections({prose}),
            "use\n\\::instruction::\n\\\\::std::\n```\n::std::\n```\n");
  const Document document = parse_document(kHead + "---\n\n" + serialize_sections({prose}), "");
  EXPECT_EQ(document.sections.at(0).content, prose.content);
}

TEST(Serialize, KeepsAByteOrderMarkInsideText) {
  Section prose;
  prose.content = "\xEF\xBB\xBFtext";
  EXPECT_EQ(serialize_sections({prose}), "\xEF\xBB\xBFtext\n");
}

TEST(Serialize, WritesMarkersInAFixedOrder) {
  Section section;
  section.type = SectionType::kPreference;
  section.content = "### Prompt";
  section.mined = MinedMark{"j", 1000, 0.5, "20260101", 7};
  section.harvest = HarvestMark{"h"};
  EXPECT_EQ(
      serialize_sections({section}),
      "::preference::\n<!-- dlm-auto-harvest: source=\"h\" -->\n"
      "<!-- dlm-auto-mined: judge_name=\"j\" judge_score_chosen=\"1000.0\" "
      "judge_score_rejected=\"0.5\" mined_at=\"20260101\" mined_run_id=\"7\" -->\n### Prompt\n");
}

TEST(Serialize, RefusesWhatWouldNotReadBack) {
  Section section;
  section.content = "```\nopen";
  EXPECT_EQ(refuse([&] { serialize_sections({section}); }).what,
            "a section opens a code block and does not close it");
  section = {};
  section.type = SectionType::kAudio;
  section.media_path = "a.wav";
  section.media_transcript = "say \"hi\"";
  EXPECT_EQ(refuse([&] { serialize_sections({section}); }).what,
            "the attribute transcript cannot hold double-quotes or line ends");
  section = {};
  section.type = SectionType::kInstruction;
  section.harvest = HarvestMark{"a\nb"};
  EXPECT_EQ(refuse([&] { serialize_sections({section}); }).what,
            "the marker value source cannot contain double-quotes or newlines");
}

TEST(YamlText, QuotesWhatWouldBecomeAnotherValue) {
  const std::pair<const char*, const char*> cases[] = {{"plain-text", "plain-text"},
                                                       {"a,b", "a,b"},
                                                       {"", "\"\""},
                                                       {"2024", "\"2024\""},
                                                       {"1.5", "\"1.5\""},
                                                       {"0x10", "\"0x10\""},
                                                       {"2024-01-02", "\"2024-01-02\""},
                                                       {"Null", "\"Null\""},
                                                       {"yes", "\"yes\""},
                                                       {"1e3", "1e3"},
                                                       {"a b", "\"a b\""},
                                                       {"say \"hi\"\\", "\"say \\\"hi\\\"\\\\\""},
                                                       {"-x", "\"-x\""},
                                                       {"<<", "\"<<\""},
                                                       {"=", "\"=\""},
                                                       {"a\nb\tc", "\"a\\nb\\tc\""},
                                                       {"\x01", "\"\\u0001\""},
                                                       {"caf\xC3\xA9", "caf\xC3\xA9"}};
  for (const auto& [value, text] : cases) EXPECT_EQ(yaml_string(value), text);
  EXPECT_EQ(yaml_flow_list({"a,b", "c"}), "[\"a,b\", c]");
  EXPECT_EQ(yaml_flow_list({}), "[]");
}

TEST(YamlText, WritesSystemPromptsThatReadBack) {
  const char* prompts[] = {"one line",
                           "two\nlines",
                           "ends in one\n",
                           "ends in two\n\n",
                           " begins blank",
                           "\n\nbegins empty",
                           "\ttab",
                           "a\r\nb",
                           "\n",
                           "",
                           "---\nx",
                           "null",
                           "a\u2028b",
                           "tab\there",
                           "trailing \n blanks  "};
  for (const char* prompt : prompts) {
    const std::string text = kHead + yaml_block("system_prompt", prompt) + "\n---\n";
    EXPECT_EQ(parse_document(text, "").frontmatter.system_prompt, prompt) << text;
  }
  EXPECT_EQ(yaml_block("p", "a\nb\n"), "p: |\n  a\n  b\n");
  EXPECT_EQ(yaml_block("p", " a"), "p: \" a\"");
}

TEST(Scaffold, ParsesAndHoldsPairs) {
  const std::string text = scaffold_document("01HZ4X7TGZM3J1A2B3C4D5E6F7", "smollm2-135m");
  const Document document = parse_document(text, "");
  EXPECT_TRUE(document.warnings.empty());
  EXPECT_EQ(document.frontmatter.written_version, 15);
  EXPECT_EQ(document.frontmatter.base_model, "smollm2-135m");
  EXPECT_EQ(document.frontmatter.training, TrainingConfig{});
  ASSERT_EQ(document.sections.size(), 2u);
  EXPECT_EQ(document.sections[0].type, SectionType::kProse);
  EXPECT_EQ(parse_instruction(document.sections[1]).size(), 3u);
  EXPECT_EQ(serialize_document(document.frontmatter, document.sections), text);
}

TEST(Scaffold, HoldsAnImageOrARecordingWithWords) {
  for (const auto& [kind, type] : {std::pair(ScaffoldKind::kImage, SectionType::kImage),
                                   std::pair(ScaffoldKind::kAudio, SectionType::kAudio)}) {
    const std::string text = scaffold_document("01HZ4X7TGZM3J1A2B3C4D5E6F7", "seer", kind);
    const Document document = parse_document(text, "");
    EXPECT_TRUE(document.warnings.empty());
    EXPECT_EQ(document.frontmatter.written_version, 15);
    ASSERT_EQ(document.sections.size(), 3u);
    EXPECT_EQ(document.sections[1].type, type);
    EXPECT_FALSE(document.sections[1].media_path.empty());
    EXPECT_NE(document.sections[1].content, "");
    EXPECT_EQ(parse_instruction(document.sections[2]).size(), 1u);
    EXPECT_EQ(serialize_document(document.frontmatter, document.sections), text);
  }
}

}  // namespace
}  // namespace dlm
