// What a document asks the model to learn: which sections become which rows, in which order, under
// which ids, and which of them are held out.
#include "data/rows.h"

#include <gtest/gtest.h>

#include <set>

#include "document_rows.h"
#include "support/error.h"

namespace dlm {
namespace {

constexpr const char* kHead =
    "---\ndlm_id: 01KPG0GVBVZZZZZZZZZZZZZZZZ\ndlm_version: 15\nbase_model: dlm-nano\n---\n";

Document document_of(const std::string& body, const std::string& head = kHead) {
  Document document = parse_document(head + body, "notes.dlm");
  document.path = "notes.dlm";
  return document;
}

std::string fault(const std::string& body, const std::string& head = kHead) {
  try {
    rows_of(document_of(body, head));
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

DocumentRow row_with(const std::string& id, int64_t index) {
  DocumentRow row = prose_row("text", {id, "", {}, 1, {}});
  row.sub_index = static_cast<int32_t>(index);
  return row;
}

TEST(Rows, TextsArePartsOfTheDocument) {
  const SharedText bytes(std::string(kHead) +
                         "\nOtters.\n\n::instruction::\n### Q\nWhat swims?\n\n### A\nThe otter.\n");
  const Document document = parse_document(bytes, "notes.dlm");
  const auto is_within = [&](std::string_view text) {
    return text.data() >= bytes.view().data() &&
           text.data() + text.size() <= bytes.view().data() + bytes.size();
  };
  const DocumentRows rows = rows_of(document);
  ASSERT_EQ(rows.rows.size(), 2u);
  EXPECT_TRUE(is_within(rows.rows[0].text()));
  EXPECT_TRUE(is_within(rows.rows[1].question()));
  EXPECT_TRUE(is_within(rows.rows[1].answer()));
}

TEST(Rows, OtherLineEndsBecomeLineFeeds) {
  const DocumentRows rows =
      rows_of(document_of("::instruction::\n### Q\nOne\x0ctwo\nthree?\n### A\nFour.\xe2\x80\xa8"
                          "Five.\n\nSix.\n"));
  EXPECT_EQ(rows.rows.at(0).question(), "One\ntwo\nthree?");
  EXPECT_EQ(rows.rows.at(0).answer(), "Four.\nFive.\n\nSix.");
}

TEST(Rows, OfSourcesKnowTheirFiles) {
  Document document;
  for (const char* text : {"# source: a.txt\n\n  Otters.\n\n", " \n", "x"}) {
    Section& section = document.sections.emplace_back();
    section.content = text;
    section.source_path = "a.txt";
  }
  document.sections.back().source_path.clear();
  const DocumentRows rows = rows_of(document);
  ASSERT_EQ(rows.rows.size(), 2u);
  EXPECT_EQ(rows.rows[0].text(), "# source: a.txt\n\n  Otters.");
  EXPECT_EQ(rows.rows[0].section->id, section_id(document.sections[0]));
  EXPECT_EQ(rows.rows[0].section->source_path, "a.txt");
  EXPECT_EQ(rows.rows[0].origin, RowOrigin::kSource);
  EXPECT_EQ(rows.rows[1].origin, RowOrigin::kDocument);
}

TEST(Rows, ProseIsOneTrimmedText) {
  const DocumentRows rows = rows_of(document_of("\n\n# Title\n\nA line.  \nAnother.\n\n\n"));
  ASSERT_EQ(rows.rows.size(), 1u);
  EXPECT_EQ(rows.rows[0].kind, RowKind::kText);
  EXPECT_EQ(rows.rows[0].text(), "# Title\n\nA line.  \nAnother.");
  EXPECT_EQ(rows.rows[0].section->id.size(), 16u);
  EXPECT_EQ(rows.num_text, 1);
  EXPECT_EQ(rows.num_chat, 0);
}

TEST(Rows, EachPairIsAConversationWithItsLine) {
  const DocumentRows rows = rows_of(document_of(
      "::instruction::\n### Q\nWhat swims?\n\n### A\nThe otter.\n\n### Q\nWhat stands?\n\n### A\n"
      "The heron,\non one leg.\n"));
  ASSERT_EQ(rows.rows.size(), 2u);
  EXPECT_EQ(rows.rows[0].kind, RowKind::kChat);
  EXPECT_EQ(rows.rows[0].question(), "What swims?");
  EXPECT_EQ(rows.rows[0].answer(), "The otter.");
  EXPECT_EQ(rows.rows[0].line, 7);
  EXPECT_EQ(rows.rows[1].question(), "What stands?");
  EXPECT_EQ(rows.rows[1].answer(), "The heron,\non one leg.");
  EXPECT_EQ(rows.rows[1].line, 13);
  EXPECT_EQ(rows.num_chat, 2);
}

TEST(Rows, KeepTheOrderOfTheDocument) {
  const DocumentRows rows =
      rows_of(document_of("First.\n::instruction::\n### Q\nq\n\n### A\na\n::prose::\nLast.\n"));
  ASSERT_EQ(rows.rows.size(), 3u);
  EXPECT_EQ(rows.rows[0].text(), "First.");
  EXPECT_EQ(rows.rows[1].question(), "q");
  EXPECT_EQ(rows.rows[2].text(), "Last.");
}

TEST(Rows, CountFromZeroWithinEachSectionId) {
  const DocumentRows rows = rows_of(document_of(
      "::instruction::\n### Q\nq1\n\n### A\na1\n\n### Q\nq2\n\n### A\na2\n::prose::\nText.\n"));
  ASSERT_EQ(rows.rows.size(), 3u);
  EXPECT_EQ(rows.rows[0].sub_index, 0);
  EXPECT_EQ(rows.rows[1].sub_index, 1);
  EXPECT_EQ(rows.rows[0].section->id, rows.rows[1].section->id);
  EXPECT_EQ(rows.rows[2].sub_index, 0);
  EXPECT_NE(rows.rows[2].section->id, rows.rows[0].section->id);
}

TEST(Rows, EqualSectionsShareAnIdAndCountOn) {
  const DocumentRows rows = rows_of(document_of(
      "::instruction::\n### Q\nq\n\n### A\na\n::instruction::\n### Q\nq\n\n### A\na\n"));
  ASSERT_EQ(rows.rows.size(), 2u);
  EXPECT_EQ(rows.rows[0].section->id, rows.rows[1].section->id);
  EXPECT_EQ(rows.rows[0].sub_index, 0);
  EXPECT_EQ(rows.rows[1].sub_index, 1);
}

TEST(Rows, AddedSectionsLeaveTheIdsOfOthersAlone) {
  const std::string pair = "::instruction::\n### Q\nq\n\n### A\na\n";
  const DocumentRows before = rows_of(document_of("::prose::\nOne.\n" + pair));
  const DocumentRows after = rows_of(document_of("::prose::\nOne.\n::prose::\nTwo.\n" + pair));
  EXPECT_EQ(before.rows[0].section->id, after.rows[0].section->id);
  EXPECT_EQ(before.rows[1].section->id, after.rows[2].section->id);
}

TEST(Rows, ProbesAreMarked) {
  const DocumentRows rows = rows_of(document_of(
      "::instruction::\n### Q !probe\nWhat swims?\n\n### A\nThe otter.\n\n### Q\nq\n\n### A\na\n"));
  ASSERT_EQ(rows.rows.size(), 2u);
  EXPECT_TRUE(rows.rows[0].is_probe);
  EXPECT_FALSE(rows.rows[1].is_probe);
}

TEST(Rows, PreferencesAreCountedButGiveNoRows) {
  const DocumentRows rows = rows_of(document_of(
      "::preference::\n### Prompt\np\n\n### Chosen\nc\n\n### Rejected\nr\n::prose::\nText.\n"));
  ASSERT_EQ(rows.rows.size(), 1u);
  EXPECT_EQ(rows.rows[0].text(), "Text.");
  EXPECT_EQ(rows.num_preference_sections, 1);
}

TEST(Rows, BrokenPreferencesAreStillRefused) {
  EXPECT_EQ(fault("::preference::\n### Prompt\np\n").substr(0, 10), "notes.dlm:");
}

TEST(Rows, MediaSectionsAreCountedButGiveNoRows) {
  const DocumentRows rows =
      rows_of(document_of("::image path=\"figure.png\" alt=\"A heron\"::\nThe heron.\n"));
  EXPECT_TRUE(rows.rows.empty());
  EXPECT_EQ(rows.num_media_sections, 1);
}

TEST(Rows, AnEmptyDocumentHasNone) {
  EXPECT_TRUE(rows_of(document_of("")).rows.empty());
  EXPECT_TRUE(rows_of(document_of("\n \n\t\n")).rows.empty());
}

TEST(Rows, AQuestionWithoutAnAnswerIsRefusedAtItsLine) {
  EXPECT_EQ(fault("Text.\n::instruction::\n### Q\nWhat swims?\n"),
            "notes.dlm:10:1: ### Q without matching `### A` at end of section");
}

TEST(Rows, ASectionForAnUndeclaredAdapterIsRefusedAtItsFence) {
  EXPECT_EQ(fault("Text.\n::instruction#tone::\n### Q\nq\n\n### A\na\n"),
            "notes.dlm:7:1: no adapter is named 'tone'; the document declares: default");
}

// Expected sides computed with hashlib: first 8 bytes, big-endian, of sha256(seed NUL id NUL
// index), below fraction * 2^64.
struct SplitCase {
  int64_t seed;
  const char* id;
  int64_t index;
  double fraction;
  bool is_validation;
};

TEST(IsValidationRow, FollowsTheHashOfSeedIdAndIndex) {
  const SplitCase cases[] = {
      {42, "876ee20f352437a2", 0, 0.1, true},
      {42, "876ee20f352437a2", 1, 0.1, false},
      {42, "876ee20f352437a2", 2, 0.1, false},
      {42, "d9540ebbd713c433", 0, 0.1, false},
      {7, "876ee20f352437a2", 0, 0.1, false},
      {42, "replay:876ee20f352437a2:2026-01-01T00:00:00+00:00", 0, 0.1, false},
      // Bucket 7143315823825944635 is below a half, 11822274852873457122 is not.
      {42, "876ee20f352437a2", 2, 0.5, true},
      {42, "876ee20f352437a2", 1, 0.5, false},
      // 1644598744402693897 / 2^64 is 0.08915...
      {42, "876ee20f352437a2", 0, 0.0891, false},
      {42, "876ee20f352437a2", 0, 0.0892, true},
  };
  for (const SplitCase& c : cases) {
    const DocumentRow row = row_with(c.id, c.index);
    EXPECT_EQ(is_validation_row(row, c.seed, c.fraction), c.is_validation)
        << c.seed << " " << c.id << " " << c.index << " " << c.fraction;
  }
}

TEST(IsValidationRow, TakesNoneAtZeroAndAllAtOne) {
  for (int64_t index = 0; index < 100; ++index) {
    const DocumentRow row = row_with("876ee20f352437a2", index);
    EXPECT_FALSE(is_validation_row(row, 42, 0.0));
    EXPECT_TRUE(is_validation_row(row, 42, 1.0));
  }
}

TEST(IsValidationRow, TakesAboutTheFraction) {
  int64_t count = 0;
  for (int64_t index = 0; index < 10000; ++index) {
    const DocumentRow row = row_with("0123456789abcdef", index);
    count += is_validation_row(row, 1, 0.1);
  }
  // Deviation of a binomial: sqrt(10000 * 0.1 * 0.9) = 30; five of them.
  EXPECT_NEAR(static_cast<double>(count), 1000.0, 150.0);
}

}  // namespace
}  // namespace dlm
