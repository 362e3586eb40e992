// The plan of a GGUF model's tensors: order, rotary rows, computed tensors, and what is refused.
#include "export/gguf_tensors.h"

#include <gtest/gtest.h>

#include "support/error.h"

namespace dlm {
namespace {

ModelConfig config_of(const std::string& family, const char* more = "") {
  const std::string json =
      R"({"hidden_size":32,"intermediate_size":48,"num_hidden_layers":2,"num_attention_heads":4,)"
      R"("num_key_value_heads":2,"head_dim":8,"vocab_size":20,"max_position_embeddings":64,)"
      R"("model_type":")" +
      family + "\"" + more + "}";
  return parse_model_config(parse_json(json), "config.json");
}

std::vector<std::string> names(const std::vector<GgufTensorPlan>& plans) {
  std::vector<std::string> out;
  for (const GgufTensorPlan& plan : plans) out.push_back(plan.name);
  return out;
}

const GgufTensorPlan& find(const std::vector<GgufTensorPlan>& plans, const std::string& name) {
  for (const GgufTensorPlan& plan : plans) {
    if (plan.name == name) return plan;
  }
  throw std::runtime_error("no tensor " + name);
}

std::string refusal(const ModelConfig& config, bool has_own_head = false) {
  try {
    plan_gguf_tensors(config, has_own_head);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kBase);
    EXPECT_FALSE(error.hint().empty());
    return error.message();
  }
  return "no error";
}

TEST(GgufTensors, StandInTheOrderOfTheFormatsTools) {
  ModelConfig config = config_of("llama", R"(,"num_hidden_layers":11)");
  const auto plans = plan_gguf_tensors(config, true);
  const std::vector<std::string> all = names(plans);
  EXPECT_EQ((std::vector<std::string>(all.begin(), all.begin() + 6)),
            (std::vector<std::string>{"output.weight", "output_norm.weight", "token_embd.weight",
                                      "blk.0.attn_k.weight", "blk.0.attn_norm.weight",
                                      "blk.0.attn_output.weight"}));
  // By number, not by letters.
  EXPECT_EQ(all.back(), "blk.10.ffn_up.weight");
}

TEST(GgufTensors, ReordersRotaryRowsOfLlamaAndSmolLm3Only) {
  const auto order = [](const char* family) {
    const auto plans = plan_gguf_tensors(config_of(family, R"(,"num_hidden_layers":4)"), true);
    std::vector<int64_t> rows;
    for (int64_t row = 0; row < 16; ++row) {
      rows.push_back(find(plans, "blk.1.attn_k.weight").source_row(row));
    }
    EXPECT_EQ(find(plans, "blk.1.attn_v.weight").source_row(1), 1);
    return rows;
  };
  const std::vector<int64_t> neighbours = {0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15};
  const std::vector<int64_t> unchanged = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  for (const char* family : {"llama", "mixtral", "smollm3"}) {
    EXPECT_EQ(order(family), neighbours) << family;
  }
  for (const char* family : {"qwen2", "qwen3", "olmo2"}) {
    EXPECT_EQ(order(family), unchanged) << family;
  }
}

TEST(GgufTensors, StacksExpertsSlowestFirst) {
  const auto plans = plan_gguf_tensors(config_of("mixtral", R"(,"num_local_experts":3)"), true);
  const GgufTensorPlan& down = find(plans, "blk.0.ffn_down_exps.weight");
  EXPECT_EQ(down.shape, (std::vector<int64_t>{3, 32, 48}));
  ASSERT_EQ(down.sources.size(), 3u);
  EXPECT_EQ(down.sources[2].name, "model.layers.0.block_sparse_moe.experts.2.w2.weight");
  EXPECT_EQ(find(plans, "blk.0.ffn_gate_inp.weight").shape, (std::vector<int64_t>{3, 32}));
}

TEST(GgufTensors, WritesAHeadWhereItIsNeeded) {
  const auto has_head = [](const ModelConfig& config, bool has_own_head) {
    const auto all = names(plan_gguf_tensors(config, has_own_head));
    return std::find(all.begin(), all.end(), "output.weight") != all.end();
  };
  const ModelConfig tied = config_of("llama", R"(,"tie_word_embeddings":true)");
  EXPECT_FALSE(has_head(tied, false));
  EXPECT_TRUE(has_head(tied, true));
  // The run time knows no tied head of this family.
  EXPECT_TRUE(has_head(config_of("olmo2", R"(,"tie_word_embeddings":true)"), false));
  EXPECT_FALSE(has_head(config_of("gemma2"), false));
  EXPECT_EQ(refusal(config_of("gemma2"), true),
            "a GGUF file cannot say that a gemma2 model has a head that is not its embedding");
}

// The values of published files of Llama 3.2 1B: fifteen ones, three between, fourteen times 32.
TEST(GgufTensors, ComputesTheDivisorsOfLlama3Frequencies) {
  const ModelConfig config = config_of(
      "llama", R"(,"head_dim":64,"rope_theta":500000,"rope_scaling":{"rope_type":"llama3",)"
               R"("factor":32,"low_freq_factor":1,"high_freq_factor":4,)"
               R"("original_max_position_embeddings":8192})");
  const auto plans = plan_gguf_tensors(config, false);
  const std::vector<float>& values = find(plans, "rope_freqs.weight").values;
  ASSERT_EQ(values.size(), 32u);
  for (size_t i = 0; i < 15; ++i) EXPECT_EQ(values[i], 1.0f) << i;
  EXPECT_NEAR(values[15], 1.65133, 1e-5);
  EXPECT_NEAR(values[16], 3.29226, 1e-5);
  EXPECT_NEAR(values[17], 9.66673, 1e-5);
  for (size_t i = 18; i < 32; ++i) EXPECT_EQ(values[i], 32.0f) << i;
}

TEST(GgufTensors, CopiesTheFactorsOfLongRope) {
  const ModelConfig config = config_of(
      "phi3", R"(,"original_max_position_embeddings":16,"rope_scaling":{"type":"longrope",)"
              R"("short_factor":[1,1.5,2,2.5],"long_factor":[3,4,5,6]})");
  const auto plans = plan_gguf_tensors(config, false);
  EXPECT_EQ(find(plans, "rope_factors_short.weight").values,
            (std::vector<float>{1, 1.5f, 2, 2.5f}));
  EXPECT_EQ(find(plans, "rope_factors_long.weight").values, (std::vector<float>{3, 4, 5, 6}));
  EXPECT_EQ(names(plans)[2], "rope_factors_long.weight");
}

TEST(GgufTensors, FoldsAnotherScaleOfScoresIntoTheQueries) {
  const auto plans = plan_gguf_tensors(config_of("gemma2", R"(,"query_pre_attn_scalar":2)"), false);
  EXPECT_EQ(find(plans, "blk.0.attn_q.weight").factor, 2.0f);  // sqrt(8 / 2)
  EXPECT_EQ(find(plans, "blk.0.attn_k.weight").factor, 1.0f);
}

TEST(GgufTensors, RefusesWhatTheArchitectureCannotSay) {
  EXPECT_EQ(refusal(config_of("qwen2", R"(,"rope_scaling":{"rope_type":"llama3","factor":8,)"
                                       R"("original_max_position_embeddings":16})")),
            "a GGUF file cannot say rope scaling \"llama3\" in family qwen2");
  EXPECT_EQ(refusal(config_of("mixtral", R"(,"sliding_window":16)")),
            "a GGUF file cannot say that layer 0 of family mixtral sees 16 tokens");
  EXPECT_EQ(refusal(config_of("smollm3", R"(,"no_rope_layers":[1,0])")),
            "a GGUF file cannot say that layer 1 does not rotate");
  EXPECT_EQ(refusal(config_of("gemma2", R"(,"layer_types":["full_attention","full_attention"])")),
            "a GGUF file cannot say that layer 0 has another window");
  EXPECT_EQ(refusal(config_of("gemma2", R"(,"final_logit_softcapping":null)")),
            "a GGUF file cannot say a gemma2 model without soft caps");
  EXPECT_EQ(refusal(config_of("phi3", R"(,"head_dim":16)")),
            "a GGUF file cannot say that heads of a phi3 model have 16 elements");
  EXPECT_EQ(refusal(config_of("mixtral", R"(,"sliding_window":64)")), "no error");
}

}  // namespace
}  // namespace dlm
