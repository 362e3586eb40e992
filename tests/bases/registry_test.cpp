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

// Parameter counts as the publishers state them, without biases (Qwen2.5: 0.5B 494,032,768 with its
// 27,648 biases).
TEST(Registry, ShapesGiveThePublishedParameterCounts) {
  const auto count = [](const char* key) { return shapes_of(*find_base(key)).num_parameters(); };
  EXPECT_EQ(count("smollm2-135m"), 134'515'008);
  EXPECT_EQ(count("smollm2-360m"), 361'821'120);
  EXPECT_EQ(count("smollm2-1.7b"), 1'711'376'384);
  EXPECT_EQ(count("qwen2.5-0.5b"), 494'032'768 - 24 * (14 + 2 + 2) * 64);
  EXPECT_EQ(count("llama-3.2-1b"), 1'235'814'400);
  EXPECT_EQ(count("llama-3.2-3b"), 3'212'749'824);
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
  EXPECT_EQ(smol.rope_theta, 100000.0);
  EXPECT_EQ(smol.max_positions, 8192);
  EXPECT_TRUE(smol.tie_word_embeddings);
  const ModelConfig qwen = shapes_of(*find_base("qwen2.5-0.5b"));
  EXPECT_EQ(qwen.model_type, "qwen2");
  EXPECT_EQ(qwen.rope_theta, 1e6);
  EXPECT_EQ(shapes_of(*find_base("llama-3.2-1b")).rope_scaling.type, "llama3");
}

TEST(Registry, NamesTheBasesWithShapesWhenOneHasNone) {
  const BaseInfo* gemma = find_base("gemma-2-9b-it");
  EXPECT_FALSE(has_shapes(*gemma));
  try {
    shapes_of(*gemma);
    FAIL() << "no error";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::kBase);
    EXPECT_EQ(e.message(), "the sizes of base \"gemma-2-9b-it\" are not built in");
    EXPECT_EQ(e.hint(),
              "built in are: dlm-nano, smollm2-135m, smollm2-360m, smollm2-1.7b, qwen2.5-0.5b, "
              "qwen2.5-1.5b, qwen2.5-coder-1.5b, qwen2.5-3b, llama-3.2-1b, llama-3.2-3b");
  }
}

}  // namespace
}  // namespace dlm
