// From prepared rows to those of the loop: copies by weight on the side of training only, clusters
// on one side, something always to train and to judge by.
#include <gtest/gtest.h>

#include <set>

#include "data/row_weights.h"
#include "support/error.h"
#include "train/prepare.h"

namespace dlm {
namespace {

constexpr const char* kSection = "0123456789abcdef";  // its roll with seed 42 is 0.7028

std::shared_ptr<const RowSection> section_with(double weight,
                                               std::map<std::string, std::string> tags = {}) {
  return std::make_shared<const RowSection>(RowSection{kSection, "", std::move(tags), weight});
}

// Pairs of one token row each, of words that only they have.
Prepared prepared_pairs(size_t count) {
  Prepared p;
  for (size_t i = 0; i < count; ++i) {
    const std::string number = std::to_string(1000 + i * 7919);
    DocumentRow row;
    row.kind = RowKind::kChat;
    row.question = "q" + number + " a" + number;
    row.answer = "b" + number + " c" + number;
    row.section = section_with(1);
    row.line = static_cast<int>(i) + 10;
    p.rows.rows.push_back(row);
    TokenRow tokens;
    tokens.tokens = {1, 2, 3};
    tokens.loss_begin = 1;
    tokens.id = i + 1;
    tokens.source = static_cast<uint32_t>(i);
    p.token_rows.push_back(tokens);
  }
  p.rows.num_chat = static_cast<int64_t>(count);
  return p;
}

TrainingPlan plan_of(bool holds_out) {
  TrainingPlan plan;
  plan.holds_out = holds_out;
  return plan;
}

TEST(SplitRows, WithoutAHeldOutPartAllTrainAndJudge) {
  const LoopRows rows = split_rows(prepared_pairs(10), plan_of(false), {});
  EXPECT_EQ(rows.train.size(), 10u);
  EXPECT_EQ(rows.judged.size(), 10u);
}

TEST(SplitRows, HeldOutRowsAreNotTrained) {
  const LoopRows rows = split_rows(prepared_pairs(300), plan_of(true), {});
  EXPECT_GT(rows.judged.size(), 5u);
  EXPECT_LT(rows.judged.size(), 80u);
  std::set<uint64_t> ids;
  for (const TokenRow& row : rows.train) ids.insert(row.id);
  for (const TokenRow& row : rows.judged) EXPECT_FALSE(ids.contains(row.id));
  EXPECT_EQ(rows.train.size() + rows.judged.size(), 300u);
}

TEST(SplitRows, CopiesAreTrainedUnderIdsOfTheirOwnAndNeverJudged) {
  Prepared p = prepared_pairs(300);
  for (DocumentRow& row : p.rows.rows) row.section = section_with(3);
  const LoopRows rows = split_rows(p, plan_of(true), {});
  std::set<uint64_t> ids;
  std::set<size_t> trained;
  for (const TokenRow& row : rows.train) {
    ids.insert(row.id);
    trained.insert(row.source);
  }
  EXPECT_EQ(ids.size(), rows.train.size());
  EXPECT_EQ(rows.train.size(), 3 * trained.size());
  EXPECT_EQ(trained.size() + rows.judged.size(), 300u);
  for (const TokenRow& row : rows.judged) EXPECT_FALSE(trained.contains(row.source));
  // The first copy is the row itself.
  EXPECT_TRUE(ids.contains(rows.train[0].source + 1));
}

TEST(RowCopies, FollowWeightAndRoll) {
  Prepared p = prepared_pairs(4);
  p.rows.rows[0].section = section_with(0);
  p.rows.rows[1].section = section_with(0.71);
  p.rows.rows[2].section = section_with(2.5);
  EXPECT_EQ(row_copies(p, 42), (std::vector<int64_t>{0, 1, 2, 1}));
}

TEST(RowCopies, RefuseWeightsThatDropEveryRow) {
  Prepared p = prepared_pairs(2);
  for (DocumentRow& row : p.rows.rows) row.section = section_with(0);
  try {
    row_copies(p, 42);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.message(), "weights dropped every row");
  }
}

TEST(WeightDistribution, CountsRowsByTagBeforeCopies) {
  Prepared p = prepared_pairs(3);
  p.rows.rows[0].section = section_with(1, {{"language", "en"}, {"kind", "code"}});
  p.rows.rows[1].section = section_with(1, {{"language", "en"}});
  EXPECT_FALSE(weight_distribution(p.rows));
  p.rows.rows[0].section = section_with(5, {{"language", "en"}, {"kind", "code"}});
  const auto counts = weight_distribution(p.rows);
  ASSERT_TRUE(counts);
  EXPECT_EQ(*counts, (WeightDistribution{{"kind", {{"code", 1}}}, {"language", {{"en", 2}}}}));
}

TEST(RunInputs, WeightsAreAnInput) {
  Prepared p = prepared_pairs(3);
  const std::string before = run_inputs(p).rows_sha256;
  p.rows.rows[1].section = section_with(2);
  EXPECT_NE(run_inputs(p).rows_sha256, before);
}

}  // namespace
}  // namespace dlm
