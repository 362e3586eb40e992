// Conversations that are derived from a book by rule, and the questions about its passages.
#include "train/derived_chat.h"

#include <gtest/gtest.h>

#include "train/reading_pairs.h"

namespace dlm {
namespace {

TEST(SpeechQuestion, AsksWhoSpeaksAndWhatIsSaid) {
  const std::string passage = "\"Off with her head,\" cried the Queen of Hearts at once.";
  const auto who = speech_question(passage, 0);
  ASSERT_TRUE(who);
  EXPECT_EQ(who->question, passage + "\nWho is speaking?");
  EXPECT_EQ(who->answer, "the Queen.");
  const auto what = speech_question(passage, 1);
  ASSERT_TRUE(what);
  EXPECT_EQ(what->question, passage + "\nWhat did the Queen say?");
  EXPECT_EQ(what->answer, "Off with her head.");
}

TEST(SpeechQuestion, TakesNamesAndTitles) {
  EXPECT_EQ(speech_question("\"I know,\" said Mr. Holmes, and rose.", 0)->answer, "Mr. Holmes.");
  EXPECT_EQ(speech_question("\"Yes!\" He rose. \"I go,\" answered Peter Pan.", 0)->answer,
            "Peter Pan.");
}

TEST(SpeechQuestion, LeavesOutWhatNamesNobody) {
  EXPECT_FALSE(speech_question("\"I know,\" said he, and rose.", 0));
  EXPECT_FALSE(speech_question("\"I know,\" said the.", 0));
  EXPECT_FALSE(speech_question("\"I know,\" and he rose.", 0));
  EXPECT_FALSE(speech_question("\"I know", 0));
  EXPECT_FALSE(speech_question("No word was spoken.", 0));
  EXPECT_FALSE(speech_question("\"Come,\" said Ann." + std::string(400, '.'), 0));
}

TEST(SentenceQuestion, AnswersStandInTheSentence) {
  const std::string sentence = "A hungry Fox saw some fine bunches of Grapes hanging from a vine.";
  EXPECT_EQ(sentence_question(sentence, 0)->question,
            "Finish this sentence: A hungry Fox saw some fine");
  EXPECT_EQ(sentence_question(sentence, 0)->answer, "bunches of Grapes hanging from a vine.");
  EXPECT_EQ(sentence_question(sentence, 1)->answer, "A.");
  EXPECT_EQ(sentence_question(sentence, 2)->answer, "vine.");
  EXPECT_EQ(sentence_question(sentence, 3)->question,
            "Which word is missing? A hungry Fox saw some fine ___ of Grapes hanging from a vine.");
  EXPECT_EQ(sentence_question(sentence, 3)->answer, "bunches.");
}

TEST(SentenceQuestion, LeavesOutShortLongAndSpokenOnes) {
  EXPECT_FALSE(sentence_question("Too short.", 0));
  EXPECT_FALSE(sentence_question(std::string(250, 'a'), 0));
  EXPECT_FALSE(sentence_question("\"It is I,\" said the fox to the grapes on the vine.", 0));
  EXPECT_FALSE(sentence_question("12345 67890 12345 67890 12345 67890 12345 67890", 0));
}

TEST(DerivedChat, RowsAreWholeConversations) {
  std::string book = "Title: The Vine\nAuthor: A. Fox\nYear: 1890\n\n";
  for (int i = 0; i < 40; ++i) {
    book += "\"Where are the grapes, my friend?\" asked the Fox.\n\n\"High on the vine.\"\n\n";
    book +=
        "There was once a fox who lived in a wood and loved grapes more than all. He was old.\n";
  }
  const auto rows = derive_chat_rows(book);
  ASSERT_GT(rows.size(), 40u);
  size_t reading = 0;
  for (const std::string& row : rows) {
    EXPECT_TRUE(row.starts_with("<|im_start|>")) << row;
    EXPECT_TRUE(row.ends_with("<|im_end|>\n<|endoftext|>")) << row;
    reading += row.find("\nWho is speaking?") != std::string::npos;
  }
  EXPECT_GT(reading, 0u);
  EXPECT_EQ(rows, derive_chat_rows(book));
}

}  // namespace
}  // namespace dlm
