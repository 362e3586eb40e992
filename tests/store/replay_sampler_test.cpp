// Draws and evictions against values that Python's random module gives.
#include "store/replay_sampler.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include <fmt/format.h>

#include "store/replay_index.h"

namespace dlm {
namespace {

std::vector<ReplayCandidate> twenty() {
  std::vector<ReplayCandidate> candidates;
  for (int i = 19; i >= 0; --i) {
    candidates.push_back({fmt::format("{:016x}", i), 1.0, static_cast<double>(i)});
  }
  return candidates;
}

std::vector<std::string> picked(std::vector<ReplayCandidate> from, size_t k, uint64_t seed,
                                ReplayScheme scheme = ReplayScheme::kRecency) {
  std::vector<std::string> ids;
  for (const ReplayCandidate& c : sample_replay(std::move(from), k, seed, scheme)) {
    ids.push_back(c.section_id.substr(14));
  }
  return ids;
}

using Ids = std::vector<std::string>;

TEST(ReplaySampler, DrawsTheRandomNumbersOfPython) {
  EXPECT_EQ(python_random(42, 4), (std::vector<double>{0.6394267984578837, 0.025010755222666936,
                                                       0.27502931836911926, 0.22321073814882275}));
  EXPECT_EQ(python_random(0, 1), std::vector<double>{0.8444218515250481});
  EXPECT_EQ(python_random((uint64_t{1} << 32) + 5, 1), std::vector<double>{0.15727238718789782});
}

TEST(ReplaySampler, PrefersWhatWasSeenLately) {
  EXPECT_EQ(picked(twenty(), 5, 0), (Ids{"00", "11", "01", "0a", "10"}));
  EXPECT_EQ(picked(twenty(), 5, 42), (Ids{"00", "06", "04", "05", "02"}));
  EXPECT_EQ(picked(twenty(), 5, 43), (Ids{"01", "05", "0b", "04", "10"}));
}

TEST(ReplaySampler, DrawsUniformlyWhenAsked) {
  EXPECT_EQ(picked(twenty(), 5, 0, ReplayScheme::kUniform), (Ids{"11", "10", "0a", "13", "00"}));
  EXPECT_EQ(picked(twenty(), 5, 42, ReplayScheme::kUniform), (Ids{"06", "12", "04", "05", "0e"}));
  EXPECT_EQ(picked(twenty(), 5, 43, ReplayScheme::kUniform), (Ids{"0b", "10", "11", "05", "0d"}));
}

TEST(ReplaySampler, GivesAllByIdWhenThereAreNoMore) {
  const Ids all = picked(twenty(), 20, 7);
  ASSERT_EQ(all.size(), 20u);
  EXPECT_EQ(all.front(), "00");
  EXPECT_EQ(all.back(), "13");
  EXPECT_EQ(picked(twenty(), 1000, 8), all);
  EXPECT_TRUE(picked(twenty(), 0, 7).empty());
  EXPECT_TRUE(picked({}, 5, 7).empty());
}

TEST(ReplaySampler, NeverDrawsAWeightOfZero) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    std::vector<ReplayCandidate> candidates = twenty();
    for (ReplayCandidate& c : candidates) c.weight = c.section_id.ends_with("0") ? 0 : 1;
    for (const ReplayScheme scheme : {ReplayScheme::kUniform, ReplayScheme::kRecency}) {
      for (const size_t k : {5u, 100u}) {
        for (const std::string& id : picked(candidates, k, seed, scheme)) {
          EXPECT_FALSE(id.ends_with("0"));
        }
      }
    }
  }
}

TEST(ReplaySampler, DrawsEachOnceAndInProportionToItsWeight) {
  // Age 1 halves a weight: of two candidates the fresh one is first two times of three.
  int num_first = 0;
  constexpr int kDraws = 3000;
  for (uint64_t seed = 0; seed < kDraws; ++seed) {
    const auto drawn =
        sample_replay({{"a", 1, 0}, {"b", 1, 1}, {"c", 0, 0}}, 1, seed, ReplayScheme::kRecency);
    ASSERT_EQ(drawn.size(), 1u);
    num_first += drawn[0].section_id == "a" ? 1 : 0;
  }
  // Four standard deviations of a binomial variable: 4 * sqrt(3000 * 2 / 9) = 103.
  EXPECT_NEAR(num_first, kDraws * 2 / 3, 103);
  const Ids ten = picked(twenty(), 10, 3);
  EXPECT_EQ(std::set<std::string>(ten.begin(), ten.end()).size(), 10u);
}

ReplayEntry entry(const std::string& id, uint64_t length, int64_t added_at) {
  return {id, 0, length, added_at, 1.0};
}

TEST(ReplayEviction, DropsTheLongestUnseenFirstAndNothingProtected) {
  const std::vector<ReplayEntry> entries = {entry("d", 10, 3), entry("c", 10, 1), entry("b", 10, 1),
                                            entry("a", 10, 0)};
  const Eviction one = evict_until(entries, 30, {"a"});
  ASSERT_EQ(one.evicted.size(), 1u);
  EXPECT_EQ(one.evicted[0].section_id, "b");
  EXPECT_EQ(one.kept, (std::vector<ReplayEntry>{entries[0], entries[1], entries[3]}));
  const Eviction all = evict_until(entries, 0, {"a", "c"});
  EXPECT_EQ(all.kept, (std::vector<ReplayEntry>{entries[1], entries[3]}));
  EXPECT_EQ(all.evicted[0].section_id, "b");
  EXPECT_EQ(all.evicted[1].section_id, "d");
  EXPECT_TRUE(evict_until(entries, 40, {}).evicted.empty());
}

}  // namespace
}  // namespace dlm
