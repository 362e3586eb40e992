// What GGUF files call weights: one literal name for each kind that a family has.
#include "formats/gguf_names.h"

#include <gtest/gtest.h>

namespace dlm {
namespace {

std::string name_of(std::string_view family, std::string_view weight) {
  const auto place = gguf_place(family, weight);
  return place ? place->name : "none";
}

TEST(GgufNames, NamesWeightsOfNoLayer) {
  EXPECT_EQ(name_of("llama", "model.embed_tokens.weight"), "token_embd.weight");
  EXPECT_EQ(name_of("llama", "model.norm.weight"), "output_norm.weight");
  EXPECT_EQ(name_of("llama", "lm_head.weight"), "output.weight");
}

TEST(GgufNames, NamesWeightsOfLayers) {
  const auto layer = [](const char* family, const std::string& part) {
    return name_of(family, "model.layers.12." + part);
  };
  EXPECT_EQ(layer("llama", "input_layernorm.weight"), "blk.12.attn_norm.weight");
  EXPECT_EQ(layer("llama", "self_attn.o_proj.weight"), "blk.12.attn_output.weight");
  EXPECT_EQ(layer("qwen2", "self_attn.k_proj.bias"), "blk.12.attn_k.bias");
  EXPECT_EQ(layer("qwen3", "self_attn.q_norm.weight"), "blk.12.attn_q_norm.weight");
  EXPECT_EQ(layer("phi3", "self_attn.qkv_proj.weight"), "blk.12.attn_qkv.weight");
  EXPECT_EQ(layer("phi3", "mlp.gate_up_proj.weight"), "blk.12.ffn_up.weight");
  EXPECT_EQ(layer("mixtral", "block_sparse_moe.gate.weight"), "blk.12.ffn_gate_inp.weight");
}

TEST(GgufNames, TellsTheNormBehindAttentionFromTheNormBeforeTheMlp) {
  const char* weight = "model.layers.0.post_attention_layernorm.weight";
  for (const char* family : {"llama", "qwen2", "qwen3", "phi3", "smollm3", "mixtral"}) {
    EXPECT_EQ(name_of(family, weight), "blk.0.ffn_norm.weight") << family;
  }
  for (const char* family : {"gemma2", "olmo2"}) {
    EXPECT_EQ(name_of(family, weight), "blk.0.post_attention_norm.weight") << family;
  }
  EXPECT_EQ(name_of("gemma2", "model.layers.0.pre_feedforward_layernorm.weight"),
            "blk.0.ffn_norm.weight");
  EXPECT_EQ(name_of("olmo2", "model.layers.0.post_feedforward_layernorm.weight"),
            "blk.0.post_ffw_norm.weight");
}

TEST(GgufNames, StacksExperts) {
  const auto place = gguf_place("mixtral", "model.layers.3.block_sparse_moe.experts.7.w2.weight");
  ASSERT_TRUE(place);
  EXPECT_EQ(place->name, "blk.3.ffn_down_exps.weight");
  EXPECT_EQ(place->expert, 7);
  EXPECT_EQ(name_of("mixtral", "model.layers.3.block_sparse_moe.experts.7.w1.weight"),
            "blk.3.ffn_gate_exps.weight");
  EXPECT_EQ(name_of("mixtral", "model.layers.3.block_sparse_moe.experts.7.w3.weight"),
            "blk.3.ffn_up_exps.weight");
}

TEST(GgufNames, KnowsNothingElse) {
  for (const char* weight :
       {"model.layers.0.self_attn.rotary_emb.inv_freq", "model.layers.x.mlp.up_proj.weight",
        "model.layers.0", "layers.0.mlp.up_proj.weight", "model.layers.0.mlp.up_proj.scale",
        "model.layers.0.block_sparse_moe.experts.w1.weight", ""}) {
    EXPECT_EQ(name_of("llama", weight), "none") << weight;
  }
  EXPECT_EQ(gguf_architecture("mixtral"), "llama");
  EXPECT_EQ(gguf_architecture("gpt2"), "");
}

}  // namespace
}  // namespace dlm
