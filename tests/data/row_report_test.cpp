// Rows that stand in a document twice, and questions with two answers: said with both lines.
#include "data/row_report.h"

#include <gtest/gtest.h>

namespace dlm {
namespace {

constexpr const char* kHead =
    "---\ndlm_id: 01KPG0GVBVZZZZZZZZZZZZZZZZ\ndlm_version: 15\nbase_model: dlm-nano\n---\n";

DocumentRows rows_of_body(const std::string& body) {
  Document document = parse_document(kHead + body, "notes.dlm");
  document.path = "notes.dlm";
  return rows_of(document);
}

std::vector<std::string> warnings_of(DocumentRows& rows) {
  std::vector<std::string> lines;
  for (const Warning& warning : drop_repeated_rows(rows, "notes.dlm")) {
    lines.push_back(warning.place.to_string() + ": " + warning.message);
  }
  return lines;
}

using Lines = std::vector<std::string>;

std::string pair(const std::string& question, const std::string& answer) {
  return "### Q\n" + question + "\n\n### A\n" + answer + "\n\n";
}

TEST(DropRepeatedRows, KeepsTheFirstOfEqualPairs) {
  DocumentRows rows = rows_of_body("::instruction::\n" + pair("q", "a") + pair("r", "b") +
                                   "::prose::\nText.\n::instruction::\n" + pair("q", "a"));
  EXPECT_EQ(warnings_of(rows),
            Lines{"notes.dlm:22:1: this pair stands at line 7 already; it is trained once"});
  ASSERT_EQ(rows.rows.size(), 3u);
  EXPECT_EQ(rows.num_chat, 2);
  EXPECT_EQ(rows.num_text, 1);
  EXPECT_EQ(rows.rows[0].line, 7);
}

TEST(DropRepeatedRows, KeepsTheFirstOfEqualTexts) {
  DocumentRows rows = rows_of_body("Text.\n::prose::\nOther.\n::prose::\nText.\n");
  EXPECT_EQ(warnings_of(rows),
            Lines{"notes.dlm:10:1: this text stands at line 6 already; it is trained once"});
  EXPECT_EQ(rows.num_text, 2);
}

TEST(DropRepeatedRows, AProbeStaysAProbe) {
  DocumentRows rows =
      rows_of_body("::instruction::\n" + pair("q", "a") + "### Q !probe\nq\n\n### A\na\n");
  EXPECT_EQ(warnings_of(rows).size(), 1u);
  ASSERT_EQ(rows.rows.size(), 1u);
  EXPECT_TRUE(rows.rows[0].is_probe);
}

TEST(DropRepeatedRows, NamesQuestionsWithTwoAnswers) {
  DocumentRows rows =
      rows_of_body("::instruction::\n" + pair("What swims?", "The otter.") +
                   pair("what swims", "The duck.") + pair("What swims?", "the otter"));
  EXPECT_EQ(warnings_of(rows), Lines{"notes.dlm:13:1: this question has another answer at line 7; "
                                     "both are trained"});
  EXPECT_EQ(rows.rows.size(), 3u);
}

TEST(DropRepeatedRows, IsSilentAboutReplayedRows) {
  DocumentRows rows = rows_of_body("::instruction::\n" + pair("q", "a"));
  DocumentRow replayed = rows.rows[0];
  replayed.origin = RowOrigin::kReplay;
  rows.rows.push_back(replayed);
  ++rows.num_chat;
  EXPECT_EQ(warnings_of(rows), Lines{});
  EXPECT_EQ(rows.rows.size(), 1u);
  EXPECT_EQ(rows.num_chat, 1);
}

TEST(DropRepeatedRows, CountsWhatIsTooMuchToName) {
  std::string body = "::instruction::\n";
  for (int i = 0; i < 31; ++i) body += pair("q", "a");
  DocumentRows rows = rows_of_body(body);
  const Lines lines = warnings_of(rows);
  ASSERT_EQ(lines.size(), 21u);
  EXPECT_EQ(lines.back(), "notes.dlm: 10 more rows stand there twice and are trained once");
}

TEST(DropRepeatedRows, LeavesPairsAndTextsApart) {
  DocumentRows rows = rows_of_body("q\n::instruction::\n" + pair("q", "q"));
  EXPECT_EQ(warnings_of(rows), Lines{});
  EXPECT_EQ(rows.rows.size(), 2u);
}

}  // namespace
}  // namespace dlm
