// What is predicted for a document on a base that is here, on one that is not, and where memory is
// short.
#include "train/forecast.h"

#include <gmock/gmock.h>

#include "document_rows.h"
#include "train/base_refusals.h"
#include "train/row_estimate.h"
#include "train_fixture.h"

namespace dlm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

// But for the disk of the machine that runs the tests: it may be too small for the larger bases.
std::vector<std::string> kinds(const std::vector<Refusal>& refusals) {
  std::vector<std::string> all;
  for (const Refusal& refusal : refusals) {
    if (refusal.kind != "disk") all.push_back(refusal.kind);
  }
  return all;
}

class ForecastTest : public TrainTest {
 protected:
  ForecastTest() {
    asked_.document = request_.document;
    asked_.home = request_.home;
    asked_.bases = bases();
    asked_.bases.hub_cache = folder_ / "hub";
    asked_.clock = &clock_;
    // Quick, and the same on every machine.
    write_roofs(asked_.home,
                {roof_key(1), {{"bf16", 100}, {"fp32", 50}}, 0, "2026-04-18", "bench"});
  }
  Forecast forecast() { return forecast_document(asked_, device_); }
  const BaseForecast& of(const Forecast& forecast, const std::string& base) {
    for (const BaseForecast& one : forecast.bases) {
      if (one.base == base) return one;
    }
    throw std::runtime_error("no forecast for " + base);
  }

  ForecastRequest asked_;
  Device device_{1};
};

TEST_F(ForecastTest, ThePlanIsTheOneThatTrainingMakes) {
  write_document("  num_epochs: 3\n", kThreePairs);
  asked_.base = kTinyBaseKey;
  const Forecast found = forecast();
  EXPECT_TRUE(found.would_train());
  EXPECT_EQ(found.num_pairs, 3);
  ASSERT_EQ(found.bases.size(), 1u);
  const BaseForecast& base = found.wanted();
  EXPECT_TRUE(base.is_wanted);
  EXPECT_FALSE(base.is_estimated);
  request_.dry_run = true;
  const TrainingPlan plan = train().plan;
  EXPECT_EQ(base.plan->steps, plan.steps);
  EXPECT_EQ(base.plan->micro_batch_tokens, plan.micro_batch_tokens);
  EXPECT_EQ(base.plan->reasons, plan.reasons);
  EXPECT_EQ(base.plan->predicted_seconds, plan.predicted_seconds);
  // But for what the process holds already.
  EXPECT_EQ(base.plan->predicted_peak_bytes - base.plan->memory.program,
            plan.predicted_peak_bytes - plan.memory.program);
  EXPECT_FALSE(found.rate->measured);
}

TEST_F(ForecastTest, EveryBaseOfTheRegistryIsForetoldAndNoneRefusedForItsSize) {
  write_document("", kThreePairs);
  asked_.memory_bytes = uint64_t{1} << 40;
  std::vector<std::string> probed;  // what else is found is asked of bases that are here
  asked_.probe = [&](const std::string& base, const BaseSearch&) {
    probed.push_back(base);
    return std::vector<Refusal>{{"probe", "a tensor is missing", "", {}}};
  };
  const Forecast found = forecast();
  EXPECT_EQ(found.bases.size(), known_bases().size() + media_bases().size());
  for (const BaseInfo& base : known_bases()) {
    const BaseForecast& one = of(found, std::string(base.key));
    EXPECT_TRUE(one.plan) << base.key;
    EXPECT_GT(one.plan->predicted_seconds, 0) << base.key;
    EXPECT_EQ(one.is_estimated, base.key != std::string_view(kTinyBaseKey));
    for (const std::string& kind : kinds(one.refusals)) EXPECT_NE(kind, "memory") << base.key;
  }
  EXPECT_THAT(probed, ElementsAre(kTinyBaseKey));
  EXPECT_THAT(kinds(found.wanted().refusals), ElementsAre("probe"));
  EXPECT_LT(of(found, "smollm2-135m").plan->predicted_seconds,
            of(found, "qwen3-8b").plan->predicted_seconds);
  EXPECT_THAT(kinds(of(found, "smollm2-135m").refusals), ElementsAre("absent"));
  EXPECT_THAT(kinds(of(found, "internvl2-2b").refusals), ElementsAre("media"));
}

TEST_F(ForecastTest, MemoryThatIsTooSmallIsToldWithWhatWouldFit) {
  write_document("", kThreePairs);
  asked_.base = "qwen2.5-3b";
  asked_.memory_bytes = uint64_t{5} << 30;
  const Forecast found = forecast();
  ASSERT_THAT(kinds(found.wanted().refusals), ElementsAre("absent", "memory"));
  const Refusal& refusal = found.wanted().refusals.back();
  EXPECT_THAT(refusal.message, StartsWith("training needs "));
  EXPECT_THAT(refusal.message, HasSubstr(" are available: --max-mem cannot make it fit"));
  EXPECT_THAT(refusal.hint, StartsWith("with --weights nf4 it needs "));
  EXPECT_GT(found.wanted().plan->predicted_peak_bytes, found.memory_bytes);
  EXPECT_FALSE(found.would_train());

  asked_.memory_bytes = uint64_t{64} << 20;
  const Forecast less = forecast();
  EXPECT_THAT(less.wanted().refusals.back().message, HasSubstr(", nor can --weights nf4 ("));
}

TEST_F(ForecastTest, WhatIsWrongWithTheDocumentIsToldWithItsPlace) {
  const std::string long_answer(4000, 'a');
  write_document("", "::instruction::\n### Q\nHow?\n\n### A\n" + long_answer + "\n");
  asked_.base = kTinyBaseKey;
  const Forecast found = forecast();
  ASSERT_THAT(kinds(found.wanted().refusals), ElementsAre("document"));
  EXPECT_EQ(found.wanted().refusals[0].place.path, request_.document.string());
  EXPECT_GT(found.wanted().refusals[0].place.line, 0);
  EXPECT_FALSE(found.wanted().plan);
}

TEST(RowEstimate, CountsBytesAndCutsProse) {
  DocumentRows rows;
  const std::string question(40, 'q'), answer(21, 'a');
  const DocumentRow pair = pair_row(question, answer);
  const DocumentRow text = prose_row(std::string(400, 't'), {"", "", {}, 2, {}});
  const DocumentRow dropped = pair_row(question, answer, {"", "", {}, 0, {}});
  rows.rows = {pair, text, dropped};
  const RowEstimate found = estimate_rows(rows, std::string(8, 's'), 64, 42);
  EXPECT_EQ(found.num_pairs, 1);
  EXPECT_EQ(found.num_rows, 1 + 2 * 2);
  EXPECT_EQ(found.num_tokens, (12 + 2 + 10 + 6) + 2 * 101);
  EXPECT_EQ(found.longest_row, 64);
}

TEST_F(ForecastTest, AGatedBaseNeedsConsentAndAToken) {
  BaseSurroundings around{request_.home, std::nullopt, asked_.bases, {}};
  const auto found = [&] {
    return base_refusals("llama-3.2-1b", find_presence("llama-3.2-1b", around.search), around);
  };
  EXPECT_THAT(kinds(found()), ElementsAre("absent", "gated", "licence"));
  EXPECT_THAT(found()[0].hint, StartsWith("`dlm bases pull llama-3.2-1b` fetches it (2.5 GB)"));
  around.hub.token = "word";
  around.hub.is_offline = true;
  EXPECT_THAT(kinds(found()), ElementsAre("absent", "absent", "licence"));
  around.hub.is_offline = false;
  around.of_store = LicenseAcceptance{
      "2026-04-18T10:00:00", "https://www.llama.com/llama3_2/license/", "Other", "cli_flag"};
  EXPECT_THAT(kinds(found()), ElementsAre("absent"));
  // Consent to other terms is none to these.
  around.of_store->license_url = "https://example.org";
  EXPECT_THAT(kinds(found()), ElementsAre("absent", "licence"));
}

TEST_F(ForecastTest, ABaseThatIsHereAndOpenHasNothingInItsWay) {
  const BaseSurroundings around{request_.home, std::nullopt, asked_.bases, {}};
  EXPECT_THAT(base_refusals(kTinyBaseKey, find_presence(kTinyBaseKey, around.search), around),
              IsEmpty());
}

}  // namespace
}  // namespace dlm
