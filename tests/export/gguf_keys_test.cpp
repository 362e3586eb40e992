// The keys of each architecture, in the order of the format's own converter.
#include "export/gguf_keys.h"

#include <gtest/gtest.h>

namespace dlm {
namespace {

struct Case {
  Json json;
  ModelConfig config;
};

Case case_of(const std::string& family, const char* more = "") {
  const std::string text =
      R"({"hidden_size":32,"intermediate_size":48,"num_hidden_layers":2,"num_attention_heads":4,)"
      R"("num_key_value_heads":2,"vocab_size":20,"max_position_embeddings":64,)"
      R"("rms_norm_eps":0.5,"model_type":")" +
      family + "\"" + more + "}";
  Case made;
  made.json = parse_json(text);
  made.config = parse_model_config(made.json, "config.json");
  return made;
}

std::string text_of(const GgufValue& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  if (const auto* number = std::get_if<uint32_t>(&value)) return std::to_string(*number);
  const float* real = std::get_if<float>(&value);
  return real == nullptr ? "?" : Json(static_cast<double>(*real)).dump();
}

// "key value" lines, the architecture's prefix as "*".
std::vector<std::string> lines(const Case& made, Quant quant = Quant::kF16) {
  std::vector<std::string> out;
  const auto fields = gguf_model_keys(made.config, made.json, "A name", "mit", quant);
  const std::string prefix = text_of(fields.front().value) + ".";
  for (const GgufField& field : fields) {
    const bool is_own = field.key.starts_with(prefix);
    out.push_back((is_own ? "*." + field.key.substr(prefix.size()) : field.key) + " " +
                  text_of(field.value));
  }
  return out;
}

TEST(GgufKeys, Llama) {
  EXPECT_EQ(
      lines(case_of("llama"), Quant::kQ4_K_M),
      (std::vector<std::string>{
          "general.architecture llama", "general.type model", "general.name A name",
          "general.size_label 17K", "general.license mit", "*.block_count 2", "*.context_length 64",
          "*.embedding_length 32", "*.feed_forward_length 48", "*.attention.head_count 4",
          "*.attention.head_count_kv 2", "*.rope.freq_base 10000.0",
          "*.attention.layer_norm_rms_epsilon 0.5", "general.file_type 15", "*.vocab_size 20",
          "*.rope.dimension_count 8", "general.quantization_version 2"}));
}

TEST(GgufKeys, MixtralIsALlamaWithExperts) {
  const auto all = lines(case_of("mixtral", R"(,"num_local_experts":4,"num_experts_per_tok":2)"));
  EXPECT_EQ(all[0], "general.architecture llama");
  EXPECT_EQ(all[3], "general.size_label 4x17K");
  EXPECT_EQ((std::vector<std::string>(all.begin() + 12, all.begin() + 16)),
            (std::vector<std::string>{"*.attention.layer_norm_rms_epsilon 0.5", "*.expert_count 4",
                                      "*.expert_used_count 2", "general.file_type 1"}));
}

TEST(GgufKeys, HeadSizesStandWhereTheConfigurationHasThem) {
  const auto has = [](const Case& made) {
    const auto all = lines(made);
    return std::find(all.begin(), all.end(), "*.attention.key_length 16") != all.end() &&
           std::find(all.begin(), all.end(), "*.attention.value_length 16") != all.end();
  };
  EXPECT_TRUE(has(case_of("qwen3", R"(,"head_dim":16)")));
  EXPECT_FALSE(has(case_of("qwen2")));
}

TEST(GgufKeys, Gemma2) {
  const auto all = lines(case_of("gemma2", R"(,"head_dim":8,"sliding_window":16)"));
  EXPECT_EQ((std::vector<std::string>(all.begin() + 5, all.end())),
            (std::vector<std::string>{
                "*.context_length 64", "*.embedding_length 32", "*.block_count 2",
                "*.feed_forward_length 48", "*.attention.head_count 4",
                "*.attention.head_count_kv 2", "*.attention.layer_norm_rms_epsilon 0.5",
                "*.attention.key_length 8", "*.attention.value_length 8", "general.file_type 1",
                "*.attn_logit_softcapping 50.0", "*.final_logit_softcapping 30.0",
                "*.attention.sliding_window 16", "general.quantization_version 2"}));
}

TEST(GgufKeys, Phi3WithLongRope) {
  const auto all =
      lines(case_of("phi3", R"(,"sliding_window":null,"original_max_position_embeddings":16,)"
                            R"("rope_scaling":{"type":"longrope","short_factor":[1,1,1,1],)"
                            R"("long_factor":[2,2,2,2]})"));
  // sqrt(1 + ln 4 / ln 16), before everything but the architecture.
  EXPECT_EQ(all[1].substr(0, 35), "*.rope.scaling.attn_factor 1.224744");
  EXPECT_EQ((std::vector<std::string>(all.begin() + 6, all.end())),
            (std::vector<std::string>{
                "*.context_length 64", "*.rope.scaling.original_context_length 16",
                "*.embedding_length 32", "*.feed_forward_length 48", "*.block_count 2",
                "*.attention.head_count 4", "*.attention.head_count_kv 2",
                "*.attention.layer_norm_rms_epsilon 0.5", "*.rope.dimension_count 8",
                "*.rope.freq_base 10000.0", "general.file_type 1", "*.attention.sliding_window 0",
                "general.quantization_version 2"}));
}

TEST(GgufKeys, RopeScaling) {
  const auto all =
      lines(case_of("qwen2", R"(,"rope_scaling":{"rope_type":"yarn","factor":4.0,"beta_fast":16,)"
                             R"("original_max_position_embeddings":16})"));
  EXPECT_EQ((std::vector<std::string>(all.begin() + 11, all.begin() + 15)),
            (std::vector<std::string>{"*.rope.scaling.type yarn", "*.rope.scaling.factor 4.0",
                                      "*.rope.scaling.original_context_length 16",
                                      "*.rope.scaling.yarn_beta_fast 16.0"}));
  // The rule that lets the context grow tells the context of training.
  const auto dynamic =
      lines(case_of("qwen2", R"(,"rope_scaling":{"rope_type":"dynamic","factor":2.0})"));
  EXPECT_EQ(dynamic[6], "*.context_length 64");
}

TEST(GgufKeys, SizeLabels) {
  ModelConfig config = case_of("llama").config;
  config.tie_word_embeddings = true;
  // SmolLM2 135M has 134,515,008 parameters.
  config.hidden_size = 576;
  config.intermediate_size = 1536;
  config.num_layers = 30;
  config.num_heads = 9;
  config.num_kv_heads = 3;
  config.head_dim = 64;
  config.vocab_size = 49152;
  EXPECT_EQ(gguf_size_label(config), "135M");
  // Llama 3.2 1B: 1,235,814,400.
  config.hidden_size = 2048;
  config.intermediate_size = 8192;
  config.num_layers = 16;
  config.num_heads = 32;
  config.num_kv_heads = 8;
  config.vocab_size = 128256;
  EXPECT_EQ(gguf_size_label(config), "1.2B");
}

}  // namespace
}  // namespace dlm
