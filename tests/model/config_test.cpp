// What config.json means in each family, and what is refused.

#include "model/config.h"

#include <gtest/gtest.h>

#include <cmath>

#include "support/error.h"

namespace dlm {
namespace {

constexpr const char* kSizes =
    R"("hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 6,)"
    R"( "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 100)";

ModelConfig parse(const std::string& family, const std::string& more = {}) {
  const std::string text =
      "{\"model_type\": \"" + family + "\", " + kSizes + (more.empty() ? "" : ", " + more) + "}";
  return parse_model_config(parse_json(text), "config.json");
}

void expect_refused(const std::string& family, const std::string& more, const std::string& message,
                    const std::string& hint = "use the config.json that came with the weights") {
  try {
    parse(family, more);
    FAIL() << "accepted: " << more;
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::kBase);
    EXPECT_EQ(e.message(), message);
    EXPECT_EQ(e.hint(), hint);
    EXPECT_EQ(e.place().path, "config.json");
  }
}

std::vector<int64_t> windows(const ModelConfig& c) {
  std::vector<int64_t> all;
  for (const LayerAttention& layer : c.layer_attention) all.push_back(layer.window);
  return all;
}

TEST(ModelConfig, NamesTheFamiliesThatItKnows) {
  expect_refused("falcon", "", "model family \"falcon\" is not supported",
                 "supported: llama, qwen2, qwen3, gemma2, phi3, olmo2, smollm3, mixtral");
}

TEST(ModelConfig, NamesTheRopeTypesThatItKnows) {
  expect_refused("llama", R"("rope_scaling": {"rope_type": "mrope", "factor": 2.0})",
                 "rope type \"mrope\" is not supported",
                 "supported: default, linear, dynamic, yarn, llama3, longrope");
}

TEST(ModelConfig, RefusesActivationsOfOtherFamilies) {
  expect_refused("llama", R"("hidden_act": "gelu")",
                 "activation \"gelu\" is not supported in family llama");
  expect_refused("gemma2", R"("hidden_activation": "relu")",
                 "activation \"relu\" is not supported in family gemma2");
}

TEST(ModelConfig, RefusesContradictions) {
  expect_refused("llama", R"("rope_scaling": {"rope_type": "linear"})",
                 "rope scaling linear has no \"factor\"");
  expect_refused("llama", R"("rope_scaling": {"rope_type": "linear", "factor": 0.5})",
                 "the factor of rope scaling linear is below 1");
  expect_refused("phi3",
                 R"("rope_scaling": {"type": "longrope", "short_factor": [1.0], )"
                 R"("long_factor": [1.0]})",
                 "rope scaling longrope has 1 factors, 8 pairs rotate");
  expect_refused("phi3", R"("partial_rotary_factor": 0.05)",
                 "0 elements of a head rotate, rotary embedding needs pairs");
  expect_refused("qwen3", R"("layer_types": ["full_attention"])",
                 "layer_types has 1 items, num_hidden_layers is 6");
  expect_refused("gemma2", R"("layer_types": ["a", "a", "a", "a", "a", "a"])",
                 "layer type \"a\" is not supported",
                 "supported: full_attention, sliding_attention");
  expect_refused("smollm3", R"("no_rope_layers": [1, 0])",
                 "no_rope_layers is shorter than num_hidden_layers");
  expect_refused("mixtral", R"("num_local_experts": 2, "num_experts_per_tok": 3)",
                 "num_experts_per_tok is above num_local_experts");
  expect_refused("llama", R"("head_dim": 7)", "head_dim is odd, rotary embedding needs pairs");
}

TEST(ModelConfig, TakesTheFamilysDefaults) {
  EXPECT_FALSE(parse("llama").tie_word_embeddings);
  EXPECT_TRUE(parse("gemma2").tie_word_embeddings);
  EXPECT_TRUE(parse("smollm3").tie_word_embeddings);
  EXPECT_EQ(parse("qwen3").head_dim, 128);
  EXPECT_EQ(parse("gemma2").head_dim, 256);
  EXPECT_EQ(parse("phi3").rms_norm_eps, 1e-5);
  EXPECT_EQ(parse("mixtral").rope.theta, 1e6);
  EXPECT_EQ(parse("mixtral").num_experts, 8);
  EXPECT_EQ(parse("gemma2").attention_softcap, 50.0);
  EXPECT_EQ(parse("gemma2", R"("attn_logit_softcapping": null)").attention_softcap, 0.0);
  EXPECT_EQ(parse("gemma2", R"("query_pre_attn_scalar": 144)").attention_scale(), 1.0f / 12.0f);
  EXPECT_EQ(parse("llama").attention_scale(), 0.25f);
}

TEST(ModelConfig, RoundsGemmasEmbeddingScaleToTheCheckpointsType) {
  const std::string wide = R"("hidden_size": 3584, "head_dim": 256)";
  EXPECT_EQ(parse("gemma2", wide + R"(, "torch_dtype": "bfloat16")").embedding_scale(), 59.75f);
  EXPECT_NEAR(parse("gemma2", wide + R"(, "dtype": "float32")").embedding_scale(), 59.8665, 1e-4);
}

TEST(ModelConfig, FindsTheSlidingLayers) {
  EXPECT_EQ(windows(parse("gemma2", R"("sliding_window": 9)")),
            (std::vector<int64_t>{9, 0, 9, 0, 9, 0}));
  EXPECT_EQ(windows(parse("phi3", R"("sliding_window": 9)")), std::vector<int64_t>(6, 9));
  EXPECT_EQ(windows(parse("mixtral", R"("sliding_window": null)")), std::vector<int64_t>(6, 0));
  EXPECT_EQ(windows(parse("qwen2", R"("sliding_window": 9, "max_window_layers": 4)")),
            std::vector<int64_t>(6, 0));
  EXPECT_EQ(windows(parse("qwen2", R"("sliding_window": 9, "max_window_layers": 4, )"
                                   R"("use_sliding_window": true)")),
            (std::vector<int64_t>{0, 0, 0, 0, 9, 9}));
  EXPECT_EQ(windows(parse("gemma2", R"("sliding_window": 9, "layer_types": ["full_attention", )"
                                    R"("full_attention", "sliding_attention", "full_attention", )"
                                    R"("full_attention", "full_attention"])")),
            (std::vector<int64_t>{0, 0, 9, 0, 0, 0}));
}

TEST(ModelConfig, LeavesRopeOutOfEveryFourthLayerOfSmollm3) {
  const ModelConfig usual = parse("smollm3");
  const ModelConfig listed = parse("smollm3", R"("no_rope_layers": [0, 1, 1, 1, 1, 0])");
  for (size_t i = 0; i < 6; ++i) {
    EXPECT_EQ(usual.layer_attention[i].has_rope, i != 3) << i;
    EXPECT_EQ(listed.layer_attention[i].has_rope, i > 0 && i < 5) << i;
  }
}

TEST(ModelConfig, ReadsBothFormsOfRotation) {
  const ModelConfig older =
      parse("llama", R"("rope_theta": 5e5, "rope_scaling": {"type": "linear", "factor": 2.0})");
  const ModelConfig newer = parse(
      "llama", R"("rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 5e5})");
  for (const ModelConfig* c : {&older, &newer}) {
    EXPECT_EQ(c->rope.type, "linear");
    EXPECT_EQ(c->rope.theta, 5e5);
    EXPECT_EQ(c->rope.factor, 2.0);
    EXPECT_FALSE(c->sliding_rope.has_value());
  }
}

TEST(ModelConfig, ReadsRotationsByLayerType) {
  const ModelConfig c =
      parse("gemma2", R"("rope_parameters": {"full_attention": {"rope_type": "default", )"
                      R"("rope_theta": 1e6}, "sliding_attention": {"rope_type": "default", )"
                      R"("rope_theta": 1e4}})");
  EXPECT_EQ(c.rope.theta, 1e6);
  ASSERT_TRUE(c.sliding_rope.has_value());
  EXPECT_EQ(c.sliding_rope->theta, 1e4);
}

TEST(ModelConfig, DerivesAttentionFactors) {
  const ModelConfig yarn =
      parse("qwen2", R"("max_position_embeddings": 128, "rope_scaling": {"rope_type": "yarn", )"
                     R"("factor": 4.0, "original_max_position_embeddings": 32})");
  EXPECT_NEAR(yarn.rope.attention_factor, 0.1 * std::log(4.0) + 1.0, 1e-14);
  EXPECT_EQ(yarn.rope.original_max_positions, 32.0);
  const std::string ones = "[1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]";
  // Phi 3's older name of the rule, and its context beside the block.
  const ModelConfig phi =
      parse("phi3", R"("max_position_embeddings": 128, "original_max_position_embeddings": 16, )"
                    R"("rope_scaling": {"type": "su", "short_factor": )" +
                        ones + R"(, "long_factor": )" + ones + "}");
  EXPECT_EQ(phi.rope.type, "longrope");
  EXPECT_NEAR(phi.rope.attention_factor, std::sqrt(1.0 + std::log(8.0) / std::log(16.0)), 1e-14);
}

TEST(ModelConfig, DynamicScalingReachesBeyondTheWrittenContext) {
  const ModelConfig c =
      parse("llama", R"("max_position_embeddings": 64, "rope_scaling": {"type": "dynamic", )"
                     R"("factor": 4.0})");
  EXPECT_EQ(c.rope.original_max_positions, 64.0);
  EXPECT_EQ(c.max_positions, 256);
}

TEST(ModelConfig, KnowsWhichProjectionsHaveBiases) {
  EXPECT_TRUE(parse("qwen2").has_qkv_bias());
  EXPECT_FALSE(parse("qwen2").has_o_bias());
  EXPECT_FALSE(parse("qwen3").has_qkv_bias());
  EXPECT_TRUE(parse("qwen3", R"("attention_bias": true)").has_o_bias());
  EXPECT_FALSE(parse("phi3", R"("attention_bias": true)").has_o_bias());
}

}  // namespace
}  // namespace dlm
