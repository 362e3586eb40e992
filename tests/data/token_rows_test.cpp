// Documents as token rows: every section becomes rows in order with stable ids, or is refused at
// its line.
#include "data/token_rows.h"

#include <gtest/gtest.h>

#include <set>

#include "support/error.h"
#include "temporary_folder.h"
#include "tiny_tokenizer.h"

namespace dlm {
namespace {

class TokenRowsTest : public ::testing::Test {
 protected:
  TokenRowsTest() { write_tiny_tokenizer(folder_.path()); }

  std::vector<TokenRow> rows_of_body(const std::string& body, int64_t max_tokens) {
    const Document document = parse_document(
        "---\ndlm_id: 01KPG0GVBVZZZZZZZZZZZZZZZZ\ndlm_version: 15\nbase_model: dlm-nano\n---\n" +
            body,
        "notes.dlm");
    return made(rows_of(document), ChatFormat::load(folder_.path()), max_tokens);
  }

  // As they are first made; each is the same when it is made again from its outline.
  static std::vector<TokenRow> made(const DocumentRows& rows, const ChatFormat& format,
                                    int64_t max_tokens) {
    std::vector<TokenRow> all;
    const auto outlines = outline_rows(rows, format, std::nullopt, max_tokens, "notes.dlm", 0,
                                       nullptr, [&](const TokenRow& row) { all.push_back(row); });
    EXPECT_EQ(outlines.size(), all.size());
    for (size_t i = 0; i < all.size(); ++i) {
      const TokenRow again = make_row(outlines[i], rows, format, std::nullopt);
      EXPECT_EQ(again.tokens, all[i].tokens) << i;
      EXPECT_EQ(again.labels(), all[i].labels()) << i;
      EXPECT_EQ(again.id, all[i].id) << i;
      EXPECT_EQ(again.source, all[i].source) << i;
      EXPECT_EQ(outlines[i].num_labels(), all[i].num_labels()) << i;
    }
    return all;
  }

  TemporaryFolder folder_;
};

constexpr const char* kPairs =
    "::instruction::\n### Q\nWhat swims?\n\n### A\nThe otter.\n\n### Q\nWhat stands?\n\n### A\n"
    "The heron stands in the water of the river in the winter.\n";

TEST_F(TokenRowsTest, ChunksOfProseFollowOnEachOtherUnderOneSource) {
  std::string text;
  for (int i = 0; i < 30; ++i) text += "The river is cold in the winter. ";
  const std::vector<TokenRow> rows = rows_of_body(text + "\n" + kPairs, 128);
  ASSERT_GT(rows.size(), 4u);
  for (size_t i = 0; i + 2 < rows.size(); ++i) EXPECT_EQ(rows[i].source, 0u);
  EXPECT_EQ(rows[rows.size() - 2].source, 1u);
  EXPECT_EQ(rows[rows.size() - 1].source, 2u);
}

TEST_F(TokenRowsTest, IdsDifferAndDoNotDependOnWhatStandsBefore) {
  const std::vector<TokenRow> alone = rows_of_body(kPairs, 512);
  const std::vector<TokenRow> after =
      rows_of_body("The river.\n" + std::string(kPairs) + "::prose::\nThe winter.\n", 512);
  ASSERT_EQ(alone.size(), 2u);
  ASSERT_EQ(after.size(), 4u);
  EXPECT_EQ(alone[0].id, after[1].id);
  EXPECT_EQ(alone[1].id, after[2].id);
  std::set<uint64_t> ids;
  for (const TokenRow& row : after) ids.insert(row.id);
  EXPECT_EQ(ids.size(), 4u);
}

TEST_F(TokenRowsTest, ChunksOfOneTextHaveIdsOfTheirOwn) {
  const std::vector<TokenRow> rows = rows_of_body("The otter swims in the river.\n", 4);
  std::set<uint64_t> ids;
  for (const TokenRow& row : rows) ids.insert(row.id);
  EXPECT_GT(rows.size(), 1u);
  EXPECT_EQ(ids.size(), rows.size());
}

// A character without a token of its own is as many as it has bytes.
TEST_F(TokenRowsTest, ACharacterOfMoreTokensThanARowMayHoldIsCut) {
  const std::vector<TokenRow> rows = rows_of_body("\xf0\x9f\xa6\xa6 and \xf0\x9f\xa6\xa6\n", 3);
  size_t num_full = 0;
  for (const TokenRow& row : rows) num_full += row.text_begin == 0;
  EXPECT_GT(num_full, 1u);
}

TEST_F(TokenRowsTest, TokensThatAreNotAsTheCacheSaidAreRefused) {
  const Document document = parse_document(
      "---\ndlm_id: 01KPG0GVBVZZZZZZZZZZZZZZZZ\ndlm_version: 15\nbase_model: dlm-nano\n---\n" +
          std::string(kPairs),
      "notes.dlm");
  const DocumentRows rows = rows_of(document);
  const ChatFormat format = ChatFormat::load(folder_.path());
  RowOutline outline = outline_rows(rows, format, std::nullopt, 128, "notes.dlm").front();
  ++outline.num_tokens;
  try {
    make_row(outline, rows, format, std::nullopt);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.hint(), "remove the cache: `dlm cache clear`");
  }
}

TEST_F(TokenRowsTest, RefusesAPairThatIsTooLongAtItsLine) {
  try {
    rows_of_body("Text.\n" + std::string(kPairs), 30);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kTrain);
    EXPECT_EQ(error.place().to_string(), "notes.dlm:14:1");
    EXPECT_TRUE(error.message().starts_with("this pair has ")) << error.message();
    EXPECT_TRUE(error.message().ends_with(" tokens, more than the 30 that a row may have"))
        << error.message();
    EXPECT_EQ(error.hint(),
              "raise training.sequence_len up to the base's context, or split the answer");
  }
}

TEST_F(TokenRowsTest, NamesAllPairsThatAreTooLong) {
  std::string body = kPairs;
  body += "\n### Q\nWhy?\n\n### A\n" + std::string(90, 'x') + "\n";
  try {
    rows_of_body(body, 30);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.place().to_string(), "notes.dlm:13:1");
    const std::string& message = error.message();
    EXPECT_TRUE(message.starts_with("this pair has ")) << message;
    EXPECT_NE(message.find(" tokens, more than the 30 that a row may have; so have those at line "
                           "19 ("),
              message.npos)
        << message;
  }
}

TEST_F(TokenRowsTest, AreDescribedInWords) {
  std::string text;
  for (int i = 0; i < 30; ++i) text += "The river is cold in the winter. ";
  const Document document = parse_document(
      "---\ndlm_id: 01KPG0GVBVZZZZZZZZZZZZZZZZ\ndlm_version: 15\nbase_model: dlm-nano\n---\n" +
          text + "\n" + kPairs,
      "notes.dlm");
  const DocumentRows rows = rows_of(document);
  const std::vector<RowOutline> tokens =
      outline_rows(rows, ChatFormat::load(folder_.path()), std::nullopt, 128, "notes.dlm");
  size_t num_tokens = 0;
  for (const RowOutline& row : tokens) num_tokens += row.num_tokens;
  const std::vector<std::string> lines = describe_rows(rows, tokens, 128);
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0], "2 pairs and 1 text: " + std::to_string(tokens.size()) + " rows, " +
                          std::to_string(num_tokens) + " tokens; the longest pair has " +
                          std::to_string(tokens.back().num_tokens) + " of 128 tokens (line 14)");
  EXPECT_EQ(lines[1], "1 long text cut into " + std::to_string(tokens.size() - 2) +
                          " rows at borders of sentences or lines");
}

TEST_F(TokenRowsTest, APairOfExactlyTheLimitIsTaken) {
  const std::vector<TokenRow> rows = rows_of_body(kPairs, 512);
  const auto longest = static_cast<int64_t>(rows[1].tokens.size());
  EXPECT_EQ(rows_of_body(kPairs, longest).size(), 2u);
  EXPECT_THROW(rows_of_body(kPairs, longest - 1), Error);
}

TEST_F(TokenRowsTest, RefusesAPairThatTheTemplateChangesAtItsLine) {
  write_file_atomic(folder_ / "tokenizer_config.json",
                    tiny_tokenizer_config("<|im_end|>",
                                          "{% for m in messages %}<|im_start|>{{ m.role }}\n"
                                          "{{ m.content | upper }}<|im_end|>\n{% endfor %}"
                                          "{% if add_generation_prompt %}<|im_start|>assistant\n"
                                          "{% endif %}"));
  try {
    rows_of_body("::instruction::\n### Q\nWhat is <|pad|>?\n\n### A\nA token.\n", 512);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()),
              "notes.dlm:7:1: a text spells a control token, and the chat template changes it");
  }
}

}  // namespace
}  // namespace dlm
