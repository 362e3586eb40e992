// Where long prose is cut, on literal texts; and on any text that the pieces are the text.
#include "data/prose_chunks.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "support/text.h"

namespace dlm {
namespace {

// One token a byte.
std::vector<std::string> cut(const std::string& text, int64_t max_tokens) {
  std::vector<std::string> pieces;
  cut_prose(
      text, max_tokens,
      [&](size_t begin, size_t end) { return std::vector<int32_t>(end - begin, 7); },
      [&](const ProseChunk& chunk, std::span<const int32_t> ids) {
        EXPECT_EQ(ids.size(), chunk.end - chunk.begin);
        pieces.push_back(text.substr(chunk.begin, chunk.end - chunk.begin));
      });
  return pieces;
}

using Pieces = std::vector<std::string>;

TEST(ProseChunks, AShortTextIsOnePiece) {
  EXPECT_EQ(cut("The otter swims.", 32), Pieces{"The otter swims."});
  EXPECT_EQ(cut("", 32), Pieces{});
}

TEST(ProseChunks, ParagraphsComeBeforeSentences) {
  EXPECT_EQ(cut("The otter swims far.\n\nIt eats. It sleeps in reeds.", 40),
            (Pieces{"The otter swims far.\n\n", "It eats. It sleeps in reeds."}));
}

TEST(ProseChunks, ASentenceTakesItsBlankAlong) {
  EXPECT_EQ(cut("The otter swims. It eats fish and more fish.", 30),
            (Pieces{"The otter swims.", " It eats fish and more fish."}));
}

TEST(ProseChunks, QuotesAndBracketsCloseBeforeTheCut) {
  EXPECT_EQ(cut("\"Where is the otter?\" She went on and on again.", 30),
            (Pieces{"\"Where is the otter?\"", " She went on and on again."}));
}

TEST(ProseChunks, AbbreviationsAndNumbersEndNoSentence) {
  EXPECT_EQ(cut("Otters eat, e.g. fish and crabs and 1. Frogs too now", 48),
            (Pieces{"Otters eat, e.g. fish and crabs and 1. Frogs", " too now"}));
}

TEST(ProseChunks, EastAsianSentencesNeedNoBlank) {
  // Three bytes a character.
  EXPECT_EQ(cut("カワウソは泳ぐ。魚を食べる。川で眠る。", 45),
            (Pieces{"カワウソは泳ぐ。魚を食べる。", "川で眠る。"}));
}

TEST(ProseChunks, LinesWhereThereAreNoSentences) {
  EXPECT_EQ(cut("int a = 1;\nint b = 2;\nint c = 3;\nint d = 4;\n", 30),
            (Pieces{"int a = 1;\nint b = 2;\n", "int c = 3;\nint d = 4;\n"}));
}

TEST(ProseChunks, WordsWhereThereAreNoLines) {
  EXPECT_EQ(cut("one two three four five six seven", 16),
            (Pieces{"one two three", " four five six", " seven"}));
}

TEST(ProseChunks, CharactersStayWhole) {
  EXPECT_EQ(cut("ääääää", 4), (Pieces{"ä", "ä", "ä", "ä", "ä", "ä"}));
  EXPECT_EQ(cut("🙂🙂", 1), (Pieces{"🙂", "🙂"}));
}

// Texts of every kind of byte that UTF-8 has, and of borders.
std::string random_text(std::mt19937& random, size_t num_parts) {
  static const char* const kParts[] = {"a",    "word", " ",     "  ",
                                       "\n",   "\n\n", ". ",    "! A",
                                       "? ",   "。",   "」",    "é",
                                       "🙂", "\"",   "1. ",   "\t",
                                       "…",    ")",    "e.g. ", "longwordlongwordlongwordlongword"};
  std::string text;
  for (size_t i = 0; i < num_parts; ++i) text += kParts[random() % std::size(kParts)];
  return text;
}

TEST(ProseChunks, AreTheTextAndFitForAnyText) {
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    const std::string text = random_text(random, random() % 400);
    const auto max_tokens = static_cast<int64_t>(1 + random() % 60);
    std::string all;
    size_t end = 0;
    cut_prose(
        text, max_tokens,
        // Tokens of one to four bytes, so that their number does not follow from the length.
        [&](size_t begin, size_t stop) {
          std::vector<int32_t> ids;
          for (size_t i = begin; i < stop; i += 1 + static_cast<unsigned char>(text[i]) % 4) {
            ids.push_back(1);
          }
          return ids;
        },
        [&](const ProseChunk& chunk, std::span<const int32_t> ids) {
          EXPECT_EQ(chunk.begin, end);
          EXPECT_GT(chunk.end, chunk.begin);
          const std::string piece = text.substr(chunk.begin, chunk.end - chunk.begin);
          EXPECT_FALSE(find_utf8_fault(piece)) << piece;
          if (decode_utf8(piece).size() > 1) {
            EXPECT_LE(static_cast<int64_t>(ids.size()), max_tokens);
          }
          end = chunk.end;
          all += piece;
        });
    EXPECT_EQ(all, text);
  }
}

TEST(ProseChunks, EncodeAboutTheTextOnce) {
  std::string text;
  for (int i = 0; i < 50000; ++i) text += "The otter number " + std::to_string(i) + " swims. ";
  for (const size_t bytes_per_token : {1, 3, 9}) {
    size_t encoded = 0;
    cut_prose(
        text, 500,
        [&](size_t begin, size_t end) {
          encoded += end - begin;
          return std::vector<int32_t>((end - begin) / bytes_per_token + 1, 1);
        },
        [](const ProseChunk&, std::span<const int32_t>) {});
    EXPECT_LT(encoded, text.size() * 12 / 10) << bytes_per_token;
  }
}

TEST(ProseChunks, OneEndlessWordTakesNoLonger) {
  const std::string text(1 << 20, 'x');
  size_t encoded = 0;
  cut_prose(
      text, 500,
      [&](size_t begin, size_t end) {
        encoded += end - begin;
        return std::vector<int32_t>((end - begin) / 2, 1);
      },
      [](const ProseChunk&, std::span<const int32_t>) {});
  EXPECT_LT(encoded, text.size() * 12 / 10);
}

}  // namespace
}  // namespace dlm
