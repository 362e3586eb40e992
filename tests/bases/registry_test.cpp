// The table of bases: its keys, the numbers that follow from its shapes, what it does not know.
#include "bases/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "support/error.h"

namespace dlm {
namespace {

using ::testing::Each;
using ::testing::MatchesRegex;

TEST(Registry, FindsABaseByItsExactKey) {
  const BaseInfo* base = find_base("smollm2-135m");
  ASSERT_NE(base, nullptr);
  EXPECT_EQ(base->display_name, "SmolLM2 135M Instruct");
  EXPECT_EQ(base->hf_id, "HuggingFaceTB/SmolLM2-135M-Instruct");
  EXPECT_EQ(base->revision, "12fd25f77366fa6b3b4b768ec3050bf629380bac");
  EXPECT_EQ(base->license, "Apache-2.0");
  EXPECT_EQ(base->context_length, 8192);
  EXPECT_FALSE(base->needs_acceptance);
}

TEST(Registry, KeysAreCaseSensitive) {
  EXPECT_EQ(find_base("SmolLM2-135M"), nullptr);
  EXPECT_EQ(find_base(""), nullptr);
  EXPECT_EQ(find_base("smollm2-135m "), nullptr);
}

TEST(Registry, ListsTheBundledBaseFirst) {
  const std::vector<std::string> keys = base_keys();
  EXPECT_EQ(keys.front(), "dlm-nano");
  EXPECT_EQ(keys.size(), known_bases().size());
  EXPECT_THAT(keys, Each(MatchesRegex("[a-z0-9][-a-z0-9.]*")));
}

TEST(Registry, KeysAreUnique) {
  const std::vector<std::string> keys = base_keys();
  EXPECT_EQ(std::set<std::string>(keys.begin(), keys.end()).size(), keys.size());
}

TEST(Registry, EveryPublishedBaseIsPinnedToACommit) {
  for (const BaseInfo& base : known_bases()) {
    if (base.hf_id.empty()) continue;
    EXPECT_THAT(std::string(base.revision), MatchesRegex("[0-9a-f]{40}")) << base.key;
    EXPECT_THAT(std::string(base.hf_id), MatchesRegex("[^/]+/[^/]+")) << base.key;
    EXPECT_TRUE(base.architecture.ends_with("ForCausalLM")) << base.key;
  }
}

TEST(Registry, LicencesThatAskForConsentAreMarked) {
  EXPECT_TRUE(find_base("llama-3.2-1b")->needs_acceptance);
  EXPECT_TRUE(find_base("gemma-2-2b-it")->needs_acceptance);
  EXPECT_FALSE(find_base("qwen2.5-1.5b")->needs_acceptance);
}

TEST(Registry, SaysHowEachBaseIsTalkedToAndExported) {
  for (const BaseInfo& base : known_bases()) {
    EXPECT_FALSE(base.dialect.empty()) << base.key;
    EXPECT_FALSE(base.gguf_arch.empty()) << base.key;
    EXPECT_FALSE(base.pre_tokenizer.empty()) << base.key;
    EXPECT_GT(base.size_gb, 0) << base.key;
    EXPECT_LE(base.planned_context(), base.context_length) << base.key;
    EXPECT_EQ(base.license_url.starts_with("https://"), !base.hf_id.empty()) << base.key;
  }
  EXPECT_EQ(find_base("phi-3.5-mini")->pre_tokenizer, "default");
  EXPECT_EQ(find_base("phi-4-mini-reasoning")->pre_tokenizer, "gpt-4o");
  EXPECT_EQ(find_base("olmo-2-7b-instruct")->pre_tokenizer, "dbrx");
  EXPECT_EQ(find_base("llama-3.3-8b-instruct")->planned_context(), 8192);
  EXPECT_EQ(find_base("qwen3-4b")->suggested_temperature(), 0.6);
  EXPECT_EQ(find_base("qwen2.5-3b")->suggested_temperature(), 0.7);
}

// A draft must say the same tokens for the same text.
TEST(Registry, DraftsShareTokenizerAndDialect) {
  int num_pairs = 0;
  for (const BaseInfo& base : known_bases()) {
    if (base.draft_key.empty()) continue;
    ++num_pairs;
    const BaseInfo* draft = find_base(base.draft_key);
    ASSERT_NE(draft, nullptr) << base.key;
    EXPECT_EQ(draft->dialect, base.dialect) << base.key;
    EXPECT_EQ(draft->pre_tokenizer, base.pre_tokenizer) << base.key;
    EXPECT_LT(draft->params, base.params) << base.key;
    EXPECT_NE(draft->ollama_tag, "") << base.key;
  }
  EXPECT_EQ(num_pairs, 4);
}

TEST(Registry, LicencesThatAskForConsentForbidToPassTheWeightsOn) {
  for (const BaseInfo& base : known_bases()) {
    EXPECT_EQ(base.is_redistributable, !base.needs_acceptance) << base.key;
  }
}

TEST(Registry, WarnsOfTheBaseThatTrainingDamages) {
  EXPECT_FALSE(find_base("smollm2-135m")->capability_warning.empty());
  EXPECT_TRUE(find_base("smollm2-360m")->capability_warning.empty());
}

// Parameter counts as the publishers' files have them.
TEST(Registry, ShapesGiveThePublishedParameterCounts) {
  const std::pair<const char*, int64_t> counts[] = {
      {"smollm2-135m", 134'515'008},
      {"smollm2-360m", 361'821'120},
      {"smollm2-1.7b", 1'711'376'384},
      {"smollm3-3b", 3'075'098'624},
      {"qwen2.5-0.5b", 494'032'768},
      {"qwen2.5-1.5b", 1'543'714'304},
      {"qwen2.5-3b", 3'085'938'688},
      {"qwen3-1.7b", 1'720'574'976},
      {"qwen3-4b", 4'022'468'096},
      {"qwen3-8b", 8'190'735'360},
      {"llama-3.2-1b", 1'235'814'400},
      {"llama-3.2-3b", 3'212'749'824},
      {"llama-3.3-8b-instruct", 8'030'261'248},
      {"olmo-2-7b-instruct", 7'298'617'344},
      {"gemma-2-2b-it", 2'614'341'888},
      {"gemma-2-9b-it", 9'241'705'984},
      {"phi-3.5-mini", 3'821'079'552},
      {"phi-4-mini-reasoning", 3'836'021'760},
      {"mixtral-8x7b-instruct", 46'702'792'704},
  };
  for (const auto& [key, count] : counts) {
    EXPECT_EQ(shapes_of(*find_base(key)).num_parameters(), count) << key;
  }
}

TEST(Registry, EveryBaseHasAFamilyAndSizesNearItsName) {
  for (const BaseInfo& base : known_bases()) {
    const ModelConfig shapes = shapes_of(base);
    const double ratio =
        static_cast<double>(shapes.num_parameters()) / static_cast<double>(base.params);
    EXPECT_NEAR(ratio, 1.0, 0.25) << base.key;
  }
}

TEST(Registry, BundledBaseCountsItsOwnShapes) {
  const BaseInfo* nano = find_base("dlm-nano");
  EXPECT_EQ(nano->params, shapes_of(*nano).num_parameters());
}

TEST(Registry, ShapesCarryPositionsAndRotation) {
  const ModelConfig smol = shapes_of(*find_base("smollm2-135m"));
  EXPECT_EQ(smol.model_type, "llama");
  EXPECT_EQ(smol.num_heads, 9);
  EXPECT_EQ(smol.num_kv_heads, 3);
  EXPECT_EQ(smol.rope.theta, 100000.0);
  EXPECT_EQ(smol.max_positions, 8192);
  EXPECT_TRUE(smol.tie_word_embeddings);
  const ModelConfig qwen = shapes_of(*find_base("qwen2.5-0.5b"));
  EXPECT_EQ(qwen.model_type, "qwen2");
  EXPECT_EQ(qwen.rope.theta, 1e6);
  EXPECT_EQ(shapes_of(*find_base("llama-3.2-1b")).rope.type, "llama3");
}

}  // namespace
}  // namespace dlm
