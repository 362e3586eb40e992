// Which rows are held out: clusters of rows that say the same stay together, and added rows move no
// others.
#include "data/split.h"

#include <gtest/gtest.h>

#include <random>
#include <set>
#include <string>

#include "data/row_weights.h"
#include "data/words.h"
#include "support/error.h"

namespace dlm {
namespace {

struct Pair {
  std::string question;
  std::string answer;
};

std::vector<SplitRow> rows_of(const std::vector<Pair>& pairs) {
  std::vector<SplitRow> rows;
  for (const Pair& pair : pairs) rows.push_back({{pair.question, pair.answer}});
  return rows;
}

std::vector<size_t> clusters_of(const std::vector<Pair>& pairs) {
  const auto found = near_duplicate_clusters(pairs.size(), [&](size_t i) -> ComparedRow {
    return {pairs[i].question, pairs[i].answer};
  });
  return {found.begin(), found.end()};
}

std::vector<bool> held_out_rows(const std::vector<SplitRow>& rows, int64_t seed, double fraction) {
  return dlm::held_out_rows(
      rows.size(), [&](size_t i) { return rows[i]; }, seed, fraction);
}

// Sentences of words that no other number has.
Pair different_pair(int i) {
  std::mt19937 random(static_cast<unsigned>(i) + 1);
  const auto words = [&](int count) {
    std::string text;
    for (int w = 0; w < count; ++w) {
      for (int c = 0; c < 6; ++c) text += static_cast<char>('a' + random() % 26);
      text += ' ';
    }
    return text;
  };
  return {words(6), words(8)};
}

std::vector<Pair> different_pairs(int count) {
  std::vector<Pair> pairs;
  for (int i = 0; i < count; ++i) pairs.push_back(different_pair(i));
  return pairs;
}

using Clusters = std::vector<size_t>;

TEST(NearDuplicates, CaseAndPunctuationDoNotMatter) {
  EXPECT_EQ(clusters_of({{"What swims?", "The otter."}, {"what  SWIMS", "the otter!"}}),
            (Clusters{0, 0}));
  EXPECT_EQ(clusters_of({{"Где Выдра?", "В Реке."}, {"где выдра", "в реке"}}), (Clusters{0, 0}));
}

TEST(NearDuplicates, AWordMoreInALongAnswerDoesNotMatter) {
  EXPECT_EQ(
      clusters_of(
          {{"How does the otter catch fish in winter?",
            "It dives below the ice, follows the current and feels for fish with its whiskers."},
           {"How does the otter catch its fish in winter?",
            "It dives below the ice, follows the current and feels for fish with its whiskers."},
           {"How does the heron catch fish?", "It stands still and strikes."}}),
      (Clusters{0, 0, 2}));
}

TEST(NearDuplicates, AParaphraseIsFoundByItsAnswer) {
  EXPECT_EQ(clusters_of({{"What lives in rivers and eats fish?", "The otter, a kind of marten."},
                         {"Name a swimming predator.", "The otter, a kind of marten."},
                         {"What is the capital of France?", "Paris"},
                         {"Which city is the capital of France?", "Paris."}}),
            (Clusters{0, 0, 2, 2}));
}

TEST(NearDuplicates, ShortAnswersAloneLinkNothing) {
  EXPECT_EQ(clusters_of({{"Does the otter swim?", "Yes"},
                         {"Is water wet in every season of the year?", "Yes"},
                         {"What is 6 times 7?", "42"},
                         {"How many cards did we sell on Monday?", "42"}}),
            (Clusters{0, 1, 2, 3}));
}

TEST(NearDuplicates, FactsOfOneFormAreNotTheSame) {
  EXPECT_EQ(clusters_of({{"What is the capital of France?", "Paris is the capital."},
                         {"What is the capital of Spain?", "Madrid is the capital."},
                         {"What is the capital of Italy?", "Rome is the capital."}}),
            (Clusters{0, 1, 2}));
}

TEST(NearDuplicates, EqualQuestionsAreTogetherWhateverTheAnswers) {
  EXPECT_EQ(clusters_of({{"What swims?", "The otter."}, {"What swims?", "Ducks, of course."}}),
            (Clusters{0, 0}));
}

TEST(NearDuplicates, RowsWithoutWordsAreComparedByTheirBytes) {
  EXPECT_EQ(clusters_of({{"", "?!"}, {"", "!?"}, {"", "?!"}}), (Clusters{0, 1, 0}));
}

TEST(NearDuplicates, AlmostAllOfManyNearPairsAreFound) {
  std::vector<Pair> pairs = different_pairs(2000);
  for (int i = 0; i < 2000; ++i) {
    Pair near = pairs[static_cast<size_t>(i)];
    near.answer += "indeed";  // 14 words of 15, 13 pairs of 14: a Jaccard index of 27/29
    pairs.push_back(near);
  }
  const std::vector<size_t> clusters = clusters_of(pairs);
  std::set<size_t> firsts;
  for (size_t i = 0; i < 2000; ++i) {
    EXPECT_EQ(clusters[i], i);
    EXPECT_EQ(clusters[2000 + i], i);
  }
}

TEST(HeldOutRows, AreAboutTheFraction) {
  const std::vector<Pair> pairs = different_pairs(2000);
  const std::vector<bool> held = held_out_rows(rows_of(pairs), 42, 0.1);
  // Deviation of a binomial: sqrt(2000 * 0.1 * 0.9) = 13; five of them.
  EXPECT_NEAR(static_cast<double>(std::count(held.begin(), held.end(), true)), 200.0, 67.0);
}

TEST(HeldOutRows, ClustersNeverStraddle) {
  std::vector<Pair> pairs = different_pairs(300);
  for (int i = 0; i < 300; ++i) {
    Pair same_answer = different_pair(1000 + i);
    same_answer.answer = pairs[static_cast<size_t>(i)].answer;
    pairs.push_back(same_answer);
  }
  const std::vector<size_t> clusters = clusters_of(pairs);
  for (const int64_t seed : {0, 1, 42}) {
    const std::vector<bool> held = held_out_rows(rows_of(pairs), seed, 0.3);
    EXPECT_GT(std::count(held.begin(), held.end(), true), 0);
    for (size_t i = 0; i < pairs.size(); ++i) EXPECT_EQ(held[i], held[clusters[i]]) << i;
  }
}

TEST(HeldOutRows, AnAddedRowMovesNoOther) {
  const std::vector<Pair> pairs = different_pairs(400);
  const std::vector<bool> before = held_out_rows(rows_of(pairs), 42, 0.2);
  for (int added = 0; added < 5; ++added) {
    std::vector<Pair> more = pairs;
    more.insert(more.begin() + 70 * added, different_pair(5000 + added));
    std::vector<bool> after = held_out_rows(rows_of(more), 42, 0.2);
    after.erase(after.begin() + 70 * added);
    EXPECT_EQ(after, before);
  }
}

TEST(HeldOutRows, OrderDoesNotMatter) {
  std::vector<Pair> pairs = different_pairs(200);
  const std::vector<bool> before = held_out_rows(rows_of(pairs), 7, 0.2);
  std::reverse(pairs.begin(), pairs.end());
  std::vector<bool> after = held_out_rows(rows_of(pairs), 7, 0.2);
  std::reverse(after.begin(), after.end());
  EXPECT_EQ(after, before);
}

TEST(HeldOutRows, WhatIsLikeAReplayedRowTrains) {
  const std::vector<Pair> pairs = different_pairs(200);
  std::vector<SplitRow> rows = rows_of(pairs);
  const std::vector<bool> before = held_out_rows(rows, 42, 0.2);
  const auto held =
      static_cast<size_t>(std::find(before.begin(), before.end(), true) - before.begin());
  ASSERT_LT(held, rows.size());
  rows.push_back({rows[held].content, true});
  const std::vector<bool> after = held_out_rows(rows, 42, 0.2);
  EXPECT_FALSE(after[held]);
  EXPECT_FALSE(after.back());
}

TEST(HeldOutRows, ALargeClusterTrains) {
  std::vector<Pair> pairs;
  for (int i = 0; i < 17; ++i) {
    pairs.push_back({different_pair(i).question, "The same long answer to every question"});
  }
  pairs.push_back(different_pair(100));
  for (int64_t seed = 0; seed < 20; ++seed) {
    EXPECT_FALSE(held_out_rows(rows_of(pairs), seed, 0.9)[0]);
  }
}

TEST(HeldOutRows, SomeRowIsAlwaysTrained) {
  const std::vector<bool> held = held_out_rows(rows_of(different_pairs(5)), 42, 1.0);
  EXPECT_EQ(std::count(held.begin(), held.end(), true), 0);
  EXPECT_TRUE(held_out_rows({}, 42, 0.1).empty());
}

// Rolls computed with hashlib.
TEST(KeepRoll, FollowsSeedAndSection) {
  EXPECT_EQ(keep_roll(42, "0123456789abcdef"), 0.7028428567059187);
  EXPECT_EQ(keep_roll(42, "aaaaaaaaaaaaaaaa"), 0.3437668108774315);
  EXPECT_EQ(keep_roll(42, "876ee20f352437a2"), 0.5916129993817811);
  EXPECT_EQ(keep_roll(42, "01"), 0.034531916439493396);
  EXPECT_EQ(keep_roll(0, "d9540ebbd713c433"), 0.2559351766718082);
}

TEST(NumCopies, AreTheWholePartAndOneMoreByTheRoll) {
  const char* id = "0123456789abcdef";  // 0.7028...
  EXPECT_EQ(num_copies(1.0, 42, id), 1);
  EXPECT_EQ(num_copies(3.0, 42, id), 3);
  EXPECT_EQ(num_copies(2.70, 42, id), 2);
  EXPECT_EQ(num_copies(2.71, 42, id), 3);
  EXPECT_EQ(num_copies(0.71, 42, id), 1);
  EXPECT_EQ(num_copies(0.70, 42, id), 0);
  EXPECT_EQ(num_copies(0.0, 42, id), 0);
  EXPECT_EQ(num_copies(-1.0, 42, id), 0);
}

TEST(NumCopies, RefuseWhatIsNoNumber) {
  EXPECT_THROW(num_copies(std::nan(""), 42, "01"), Error);
  EXPECT_THROW(num_copies(INFINITY, 42, "01"), Error);
  EXPECT_THROW(num_copies(1e7, 42, "01"), Error);
}

TEST(WordHashes, SplitAtBlanksAndPunctuation) {
  EXPECT_EQ(word_hashes("The otter-swims, 3 times!"), word_hashes("the OTTER swims 3 times"));
  EXPECT_EQ(word_hashes("").size(), 0u);
  EXPECT_EQ(word_hashes(" -- ?").size(), 0u);
  EXPECT_EQ(word_hashes("Äpfel essen").size(), 2u);
  EXPECT_EQ(word_hashes("Äpfel"), word_hashes("äpfel"));
  EXPECT_EQ(word_hashes("川で眠る。").size(), 4u);
  EXPECT_EQ(word_hashes("a\xff z").size(), 2u);
}

}  // namespace
}  // namespace dlm
