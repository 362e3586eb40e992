// The record of measured roofs: what is written is read back, and what belongs to another machine
// or is damaged is told and not used. That a run's adapter does not depend on it is tested as well.
#include "train/roofs.h"

#include <gmock/gmock.h>

#include "engine/cpu/isa.h"
#include "train_fixture.h"

namespace dlm {
namespace {

using ::testing::HasSubstr;

const RoofKey kKey{"Model X", "avx2", 4};
const Roofs kRoofs{kKey, {{"bf16", 512.25}, {"fp32", 128}}, 21.5, "2026-04-18T10:00:00", "bench"};

TEST(Roofs, ARecordIsReadAsItWasWritten) {
  const TemporaryFolder home;
  write_roofs(home / "new", kRoofs);
  const KnownRoofs known = read_roofs(home / "new", kKey);
  ASSERT_TRUE(known.roofs);
  EXPECT_EQ(known.note, "");
  EXPECT_EQ(known.roofs->key, kKey);
  EXPECT_EQ(known.roofs->gflops, kRoofs.gflops);
  EXPECT_EQ(known.roofs->read_gbs, 21.5);
  EXPECT_EQ(known.roofs->measured_at, "2026-04-18T10:00:00");
  EXPECT_EQ(known.roofs->measured_by, "bench");
}

TEST(Roofs, WithoutARecordThereIsNothingToSay) {
  const TemporaryFolder home;
  EXPECT_FALSE(read_roofs(home.path(), kKey).roofs);
  EXPECT_EQ(read_roofs(home.path(), kKey).note, "");
}

TEST(Roofs, ARecordOfAnotherMachineIsNotUsed) {
  const TemporaryFolder home;
  write_roofs(home.path(), kRoofs);
  const std::string head = "those in " + (home / "roofs.json").string() + " were measured with ";
  const std::string tail = " and are not used";
  for (const auto& [key, what] :
       {std::pair(RoofKey{"Model Y", "avx2", 4}, "another processor (Model X)"),
        std::pair(RoofKey{"Model X", "avx512", 4}, "another instruction set (avx2)"),
        std::pair(RoofKey{"Model X", "avx2", 8}, "4 threads")}) {
    const KnownRoofs known = read_roofs(home.path(), key);
    EXPECT_FALSE(known.roofs);
    EXPECT_EQ(known.note, head + what + tail);
  }
}

TEST(Roofs, ADamagedRecordIsToldAndNotUsed) {
  const TemporaryFolder home;
  write_roofs(home.path(), kRoofs);
  const std::string whole = read_file(roofs_path(home.path()));
  const auto without = [&](const std::string& what, const std::string& by) {
    std::string text = whole;
    const size_t at = text.find(what);
    EXPECT_NE(at, text.npos) << what;
    return text.replace(at, what.size(), by);
  };
  for (const std::string& text :
       {std::string(), std::string("{"), std::string("[1]"), whole.substr(0, whole.size() / 2),
        without("\"threads\": 4", "\"threads\": \"four\""), without("128.0", "-1"),
        without("\"version\": 1", "\"version\": 2")}) {
    write_file_atomic(roofs_path(home.path()), text);
    const KnownRoofs known = read_roofs(home.path(), kKey);
    EXPECT_FALSE(known.roofs) << text;
    EXPECT_THAT(known.note, HasSubstr("roofs.json cannot be read and is not used: ")) << text;
  }
}

TEST(Roofs, TheBenchMeasuresBothTypesWhereTheProcessorHasThem) {
  Device device(1);
  const FixedClock clock(1'776'506'400'000'000);
  const Roofs roofs = measure_roofs(device, 12.5, clock);
  EXPECT_EQ(roofs.key, roof_key(1));
  EXPECT_EQ(roofs.gflops.size(), has_bf16_products(device.tier()) ? 2u : 1u);
  for (const auto& [type, rate] : roofs.gflops) EXPECT_GT(rate, 0) << type;
  EXPECT_EQ(roofs.read_gbs, 12.5);
  EXPECT_EQ(roofs.measured_at, "2026-04-18T10:00:00");
  EXPECT_EQ(roofs.measured_by, "bench");
}

class RoofsOfRunTest : public TrainTest {};

TEST_F(RoofsOfRunTest, ARunThatMeasuresKeepsTheRateAndTheNextOneTakesIt) {
  write_document("  num_epochs: 1\n", kThreePairs);
  train();
  const RoofKey key = roof_key(1);
  const KnownRoofs first = read_roofs(request_.home, key);
  ASSERT_TRUE(first.roofs) << first.note;
  EXPECT_EQ(first.roofs->measured_by, "train");
  EXPECT_EQ(first.roofs->read_gbs, 0);
  ASSERT_EQ(first.roofs->gflops.size(), 1u);
  // A rate that no machine has shows where the prediction came from.
  Roofs made_up = *first.roofs;
  for (auto& [type, rate] : made_up.gflops) rate = 1e-9;
  write_roofs(request_.home, made_up);
  const std::string before = read_file(roofs_path(request_.home));
  EXPECT_GT(train().plan.predicted_seconds, 1e6);
  EXPECT_EQ(read_file(roofs_path(request_.home)), before);
}

TEST_F(RoofsOfRunTest, TheRateChangesNoByteOfTheAdapter) {
  write_document("  num_epochs: 1\n", kThreePairs);
  Roofs slow{roof_key(1), {{"bf16", 1e-3}, {"fp32", 1e-3}}, 0, "2026-04-18T10:00:00", "bench"};
  write_roofs(request_.home, slow);
  const TrainResult with_slow = train();
  for (auto& [type, rate] : slow.gflops) rate = 1e6;
  write_roofs(request_.home, slow);
  const TrainResult with_fast = train();
  EXPECT_NE(with_slow.plan.predicted_seconds, with_fast.plan.predicted_seconds);
  EXPECT_EQ(with_slow.adapter_sha256, with_fast.adapter_sha256);
}

TEST_F(RoofsOfRunTest, ADryRunWritesNoRecord) {
  write_document("", kThreePairs);
  request_.dry_run = true;
  EXPECT_GT(train().plan.predicted_seconds, 0);
  EXPECT_FALSE(path_exists(roofs_path(request_.home)));
}

}  // namespace
}  // namespace dlm
