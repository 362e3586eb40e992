// Cutting bodies into sections: fences, code blocks, markers, escapes, warnings, places.
#include "doc/body_parser.h"

#include <gtest/gtest.h>

#include "refusal.h"

namespace dlm {
namespace {

std::vector<Section> parse(const std::string& body) {
  WarningSink warnings("b.dlm");
  return parse_body(body, 6, warnings);
}
std::vector<Warning> warnings_of(const std::string& body) {
  WarningSink warnings("b.dlm");
  parse_body(body, 6, warnings);
  return warnings.take();
}
Refusal refuse_body(const std::string& body) {
  return refuse([&] { parse(body); });
}

TEST(BodyParser, KeepsProseAsItStands) {
  const auto sections = parse("\n\n first\n\nsecond\n\n");
  ASSERT_EQ(sections.size(), 1u);
  EXPECT_EQ(sections[0].type, SectionType::kProse);
  EXPECT_EQ(sections[0].content, "\n first\n\nsecond\n");
  EXPECT_EQ(sections[0].start_line, 7);
}

TEST(BodyParser, DropsProseOfWhiteSpaceOnly) {
  EXPECT_TRUE(parse("").empty());
  EXPECT_TRUE(parse("\n\n \t\n\xC2\xA0\n").empty());
  EXPECT_EQ(parse("\n::instruction::\n").size(), 1u);
}

TEST(BodyParser, CutsAtFences) {
  const auto sections = parse("intro\n\n::instruction#tone::\n### Q\n::prose::\nend\n");
  ASSERT_EQ(sections.size(), 3u);
  EXPECT_EQ(sections[0].content, "intro\n");
  EXPECT_EQ(sections[1].type, SectionType::kInstruction);
  EXPECT_EQ(sections[1].adapter, "tone");
  EXPECT_EQ(sections[1].start_line, 8);
  EXPECT_EQ(sections[1].content_line, 9);
  EXPECT_EQ(sections[2].type, SectionType::kProse);
  EXPECT_EQ(sections[2].start_line, 10);
  EXPECT_EQ(sections[2].content, "end");
}

TEST(BodyParser, ReadsMediaFences) {
  const auto sections = parse(
      "::image path=\"a.png\" alt=\"une fen\xC3\xAAtre\"::\ncaption\n"
      "::audio\tpath=\"b.wav\"  transcript=\"hello\" ::\n");
  ASSERT_EQ(sections.size(), 2u);
  EXPECT_EQ(sections[0].media_path, "a.png");
  EXPECT_EQ(sections[0].media_alt, "une fen\xC3\xAAtre");
  EXPECT_EQ(sections[0].content, "caption");
  EXPECT_EQ(sections[1].type, SectionType::kAudio);
  EXPECT_EQ(sections[1].media_transcript, "hello");
}

TEST(BodyParser, RefusesBadFences) {
  const std::pair<const char*, const char*> cases[] = {
      {"::weird::",
       "unknown section fence '::weird::'; the types are prose, instruction, preference, image, "
       "audio"},
      {"::instruction#::", "fence '::instruction#::' has an empty adapter suffix after '#'"},
      {"::instruction#Tone::", "fence '::instruction#Tone::' has an invalid adapter name 'Tone'"},
      {"::instruction#a#b::", "fence '::instruction#a#b::' has an invalid adapter name 'a#b'"},
      {"::image::", "fence '::image::' requires attributes"},
      {"::audio#x::", "fence '::audio#x::' requires attributes"},
      {"::widget path=\"a\"::",
       "unknown attribute fence '::widget …::'; only image and audio take attributes"},
      {"::prose path=\"a\"::", "fence '::prose …::' does not take attributes"},
      {"::image path=\"a\" path=\"b\"::", "fence '::image …::' repeats attribute 'path'"},
      {"::image path=\"a\" size=\"b\"::", "fence '::image …::' has unknown attribute 'size'"},
      {"::image path=\"\xC3\xA9\"::",
       "fence '::image …::': the attribute 'path' contains non-ASCII characters"},
      {"::audio path=\"a\"::", "fence '::audio …::' is missing required attribute(s) transcript"},
      {"::image alt=\"a\"::", "fence '::image …::' is missing required attribute(s) path"},
  };
  for (const auto& [line, message] : cases) {
    EXPECT_EQ(refuse_body(std::string("text\n") + line + "\n").what,
              std::string("b.dlm:7:1: ") + message);
  }
}

TEST(BodyParser, SuggestsTheTypeThatWasMeant) {
  EXPECT_EQ(refuse_body("::instructions::\n").hint, "did you mean 'instruction'?");
  EXPECT_EQ(refuse_body("::std::\n").hint,
            "to keep this line as text, put a backslash before it or place it in a code block");
}

TEST(BodyParser, TakesABackslashBeforeAFenceAsAnEscape) {
  EXPECT_EQ(parse("a\n\\::std::\n").at(0).content, "a\n::std::");
  EXPECT_EQ(parse("a\n\\\\::std::\n").at(0).content, "a\n\\::std::");
  EXPECT_EQ(parse("a\n\\no fence\n").at(0).content, "a\n\\no fence");
  EXPECT_EQ(parse("```\n\\::std::\n```\n").at(0).content, "```\n\\::std::\n```");
}

TEST(BodyParser, KeepsFencesInCodeBlocksAsText) {
  EXPECT_EQ(parse("```\n::instruction::\n```\n").size(), 1u);
  EXPECT_EQ(parse("~~~\n::instruction::\n~~~\n").size(), 1u);
  EXPECT_EQ(parse("````\n```\n::instruction::\n````\n").size(), 1u);
  EXPECT_EQ(parse("   ```cpp\n::std::\n  ```\n").size(), 1u);
}

TEST(BodyParser, TakesInlineCodeAsText) {
  EXPECT_EQ(parse("```x```\n::instruction::\n").size(), 2u);
}

TEST(BodyParser, RefusesACodeBlockWithoutAnEnd) {
  const Refusal refusal = refuse_body("text\n```\ncode\n::instruction::\n");
  EXPECT_EQ(refusal.what, "b.dlm:7:1: unterminated triple-backtick code block, which opens here");
  EXPECT_EQ(refusal.hint, "close it with a line of ```");
  EXPECT_EQ(refuse_body("~~~\n").what, "b.dlm:6:1: unterminated ~~~ code block, which opens here");
}

TEST(BodyParser, WarnsAboutLinesThatAreNearlyFences) {
  const std::pair<const char*, const char*> cases[] = {
      {"::instruction:: ", "it has blanks before or behind it"},
      {"  ::prose::", "it has blanks before or behind it"},
      {"::instruction:", "a fence has two colons before and two behind its type"},
      {":instruction:", "a fence has two colons before and two behind its type"},
      {"::preference", "a fence has two colons before and two behind its type"},
      {"::instruction#My Tone::",
       "an adapter name is a small letter, then up to 31 small letters, digits or underscores"},
      {"::image#a path=\"x\"::", "media sections take no adapter"},
      {"::audio path=\"x\" transcript=\"She said \"hi\"\"::",
       "its attributes are not key=\"value\" pairs on one line, without quotes inside a value"},
  };
  for (const auto& [line, fault] : cases) {
    const auto found = warnings_of(std::string("text\n") + line + "\n");
    ASSERT_EQ(found.size(), 1u) << line;
    EXPECT_EQ(found[0].message, std::string("'") + line +
                                    "' looks like a section fence but is read as text: " + fault);
    EXPECT_EQ(found[0].place.to_string(), "b.dlm:7:1");
  }
}

TEST(BodyParser, DoesNotWarnAboutOrdinaryText) {
  for (const char* line :
       {":smile:", "::", "a ::prose:: b", ": prose is fine", "std::instruction::x",
        "::instruction::more", "```\n::instruction:: \n```"}) {
    EXPECT_TRUE(warnings_of(std::string("text\n") + line + "\n").empty()) << line;
  }
}

TEST(BodyParser, WarnsAboutHeadersInsideCodeBlocks) {
  const auto found = warnings_of("::instruction::\n### Q\nq\n### A\n```\n### Q\n```\n");
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].message,
            "'### Q' is read as text: it lies in the code block that opens on line 10");
  EXPECT_EQ(found[0].place.to_string(), "b.dlm:11:1");
}

const std::string kMined =
    "<!-- dlm-auto-mined: judge_name=\"j\" judge_score_chosen=\"1e3\" judge_score_rejected=\" 0_1 "
    "\" "
    "mined_at=\"2026-04-23T20:00:00Z\" mined_run_id=\"7\" -->";
const std::string kSynth =
    "<!-- dlm-auto-synth: synth_teacher=\"self\" synth_strategy=\"x\" synth_at=\"20260423\" "
    "source_section_id=\"0123456789abcdef\" -->";
const std::string kHarvest = "<!-- dlm-auto-harvest: source=\"probe 3\" -->";

TEST(Markers, BecomeFieldsOfTheirSection) {
  const auto sections = parse("::preference::\n" + kMined + "\n" + kHarvest + "\n### Prompt\n");
  ASSERT_EQ(sections.size(), 1u);
  EXPECT_EQ(sections[0].content, "### Prompt");
  EXPECT_EQ(sections[0].content_line, 9);
  EXPECT_EQ(sections[0].harvest, HarvestMark{"probe 3"});
  EXPECT_EQ(sections[0].mined, (MinedMark{"j", 1000, 1, "2026-04-23T20:00:00Z", 7}));
  EXPECT_EQ(parse("::instruction::\n" + kSynth + "\n").at(0).synth,
            (SynthMark{"self", "x", "20260423", "0123456789abcdef"}));
}

TEST(Markers, AreTextWhereTheyHaveNoMeaning) {
  EXPECT_EQ(parse(kHarvest + "\n").at(0).content, kHarvest);
  EXPECT_EQ(parse("::instruction::\n" + kMined + "\n").at(0).content, kMined);
  EXPECT_EQ(parse("::preference::\n" + kSynth + "\n").at(0).content, kSynth);
  EXPECT_EQ(parse("::instruction::\n\n" + kHarvest + "\n").at(0).content, "\n" + kHarvest);
  EXPECT_EQ(parse("::instruction::\n<!-- dlm-auto-harvest: source=\"a\"b\" -->\n").at(0).harvest,
            std::nullopt);
}

TEST(Markers, AreRefusedWithTheirOwnLine) {
  const auto mined = [](const std::string& attributes) {
    return refuse_body("::preference::\n" + kHarvest + "\n<!-- dlm-auto-mined:" + attributes +
                       " -->\n")
        .what;
  };
  const std::string at = "b.dlm:8:1: ";
  EXPECT_EQ(mined("judge_name=\"j\""), at + "invalid dlm-auto-mined marker syntax");
  EXPECT_EQ(mined(" judge_name=\"j\" judge_name=\"k\""),
            at + "dlm-auto-mined marker repeats attribute 'judge_name'");
  EXPECT_EQ(mined(" extra=\"j\""),
            at + "dlm-auto-mined marker has unknown attribute 'extra'; it takes judge_name, "
                 "judge_score_chosen, judge_score_rejected, mined_at, mined_run_id");
  EXPECT_EQ(mined(" judge_name=\"j\" mined_at=\"x\""),
            at + "dlm-auto-mined marker is missing required attribute(s) judge_score_chosen, "
                 "judge_score_rejected, mined_run_id");
}

TEST(Markers, AreRefusedForBadValues) {
  const auto mined = [](const std::string& score, const std::string& time, const std::string& id) {
    return refuse_body(
               "::preference::\n<!-- dlm-auto-mined: judge_name=\"j\" judge_score_chosen=\"" +
               score + "\" judge_score_rejected=\"0\" mined_at=\"" + time + "\" mined_run_id=\"" +
               id + "\" -->\n")
        .what.substr(11);
  };
  EXPECT_EQ(mined("high", "2026-01-01", "1"), "dlm-auto-mined marker judge scores must be floats");
  EXPECT_EQ(mined("inf", "2026-01-01", "1"), "dlm-auto-mined marker judge scores must be finite");
  EXPECT_EQ(mined("1", "soon", "1"), "dlm-auto-mined marker mined_at must be ISO-8601, got 'soon'");
  EXPECT_EQ(mined("1", "2026-01-01", "x"),
            "dlm-auto-mined marker mined_run_id must be an integer, got 'x'");
  EXPECT_EQ(mined("1", "2026-01-01", "0"), "dlm-auto-mined marker mined_run_id must be >= 1");
  const auto synth = [](const std::string& teacher, const std::string& id) {
    return refuse_body("::instruction::\n<!-- dlm-auto-synth: synth_teacher=\"" + teacher +
                       "\" synth_strategy=\"s\" synth_at=\"2026-01-01\" source_section_id=\"" + id +
                       "\" -->\n")
        .what.substr(11);
  };
  EXPECT_EQ(synth("", "0123456789abcdef"), "dlm-auto-synth marker synth_teacher must be non-empty");
  EXPECT_EQ(synth("t", "0123"),
            "dlm-auto-synth marker source_section_id must be a 16-char lowercase hex section id");
}

TEST(SectionId, HasTheBytesThatOldStoresHold) {
  const auto id = [](SectionType type, const std::string& text,
                     std::optional<std::string> sha = {}) {
    Section section;
    section.type = type;
    if (section.is_media()) {
      section.media_path = text;
    } else {
      section.content = text;
    }
    section.media_blob_sha = std::move(sha);
    return section_id(section);
  };
  EXPECT_EQ(id(SectionType::kProse, "hello\n"), "d9540ebbd713c433");
  EXPECT_EQ(id(SectionType::kProse, "x"), "728a946efc508e1d");
  EXPECT_EQ(id(SectionType::kInstruction, "### Q\nq\n### A\na"), "876ee20f352437a2");
  EXPECT_EQ(id(SectionType::kInstruction, "### Q\r\nq\r\n### A\r\na\r\n"), "c3b42b450d0a12df");
  EXPECT_EQ(id(SectionType::kImage, "a.png"), "6f59425a29eca438");
  std::string sha;
  for (int i = 0; i < 32; ++i) sha += "cc";
  EXPECT_EQ(id(SectionType::kAudio, "a.wav", sha), "3e9c3466d8dcbfa5");
}

}  // namespace
}  // namespace dlm
