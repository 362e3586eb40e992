// From prepared rows to those of the loop: copies by weight on the side of training only, clusters
// on one side, something always to train and to judge by.
#include <gtest/gtest.h>

#include <set>

#include "data/row_weights.h"
#include "document_rows.h"
#include "support/error.h"
#include "train/prepare.h"

namespace dlm {
namespace {

constexpr const char* kSection = "0123456789abcdef";  // its roll with seed 42 is 0.7028

RowSection section_with(double weight, std::map<std::string, std::string> tags = {}) {
  return {kSection, "", std::move(tags), weight, {}};
}

// Pairs of one token row each, of words that only they have.
Prepared prepared_pairs(size_t count) {
  Prepared p;
  for (size_t i = 0; i < count; ++i) {
    const std::string number = std::to_string(1000 + i * 7919);
    DocumentRow row =
        pair_row("q" + number + " a" + number, "b" + number + " c" + number, section_with(1));
    row.line = static_cast<int>(i) + 10;
    p.rows.rows.push_back(row);
    RowOutline outline;
    outline.num_tokens = 3;
    outline.loss_begin = 1;
    outline.id = i + 1;
    outline.source = static_cast<uint32_t>(i);
    p.outlines.push_back(outline);
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
  const Prepared p = prepared_pairs(10);
  const LoopRows rows = split_rows(p, plan_of(false), {});
  EXPECT_EQ(rows.train.size(), 10u);
  EXPECT_EQ(rows.judged.size(), 10u);
}

TEST(SplitRows, HeldOutRowsAreNotTrained) {
  const Prepared p = prepared_pairs(300);
  const LoopRows rows = split_rows(p, plan_of(true), {});
  EXPECT_GT(rows.judged.size(), 5u);
  EXPECT_LT(rows.judged.size(), 80u);
  std::set<uint64_t> ids;
  for (const RowOutline& row : rows.train.outlines()) ids.insert(row.id);
  for (const RowOutline& row : rows.judged.outlines()) EXPECT_FALSE(ids.contains(row.id));
  EXPECT_EQ(rows.train.size() + rows.judged.size(), 300u);
}

TEST(SplitRows, CopiesAreTrainedUnderIdsOfTheirOwnAndNeverJudged) {
  Prepared p = prepared_pairs(300);
  for (DocumentRow& row : p.rows.rows) set_section(row, section_with(3));
  const LoopRows rows = split_rows(p, plan_of(true), {});
  std::set<uint64_t> ids;
  std::set<size_t> trained;
  for (const RowOutline& row : rows.train.outlines()) {
    ids.insert(row.id);
    trained.insert(row.source);
  }
  EXPECT_EQ(ids.size(), rows.train.size());
  EXPECT_EQ(rows.train.size(), 3 * trained.size());
  EXPECT_EQ(trained.size() + rows.judged.size(), 300u);
  for (const RowOutline& row : rows.judged.outlines()) EXPECT_FALSE(trained.contains(row.source));
  // The first copy is the row itself.
  EXPECT_TRUE(ids.contains(rows.train.outlines()[0].source + 1));
}

TEST(RowCopies, FollowWeightAndRoll) {
  Prepared p = prepared_pairs(4);
  set_section(p.rows.rows[0], section_with(0));
  set_section(p.rows.rows[1], section_with(0.71));
  set_section(p.rows.rows[2], section_with(2.5));
  EXPECT_EQ(row_copies(p, 42), (std::vector<int64_t>{0, 1, 2, 1}));
}

TEST(RowCopies, RefuseWeightsThatDropEveryRow) {
  Prepared p = prepared_pairs(2);
  for (DocumentRow& row : p.rows.rows) set_section(row, section_with(0));
  try {
    row_copies(p, 42);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.message(), "weights dropped every row");
  }
}

TEST(WeightDistribution, CountsRowsByTagBeforeCopies) {
  Prepared p = prepared_pairs(3);
  set_section(p.rows.rows[0], section_with(1, {{"language", "en"}, {"kind", "code"}}));
  set_section(p.rows.rows[1], section_with(1, {{"language", "en"}}));
  EXPECT_FALSE(weight_distribution(p.rows));
  set_section(p.rows.rows[0], section_with(5, {{"language", "en"}, {"kind", "code"}}));
  const auto counts = weight_distribution(p.rows);
  ASSERT_TRUE(counts);
  EXPECT_EQ(*counts, (WeightDistribution{{"kind", {{"code", 1}}}, {"language", {{"en", 2}}}}));
}

TEST(RunInputs, WeightsAreAnInput) {
  Prepared p = prepared_pairs(3);
  const std::string before = run_inputs(p).rows_sha256;
  set_section(p.rows.rows[1], section_with(2));
  EXPECT_NE(run_inputs(p).rows_sha256, before);
}

}  // namespace
}  // namespace dlm
