// Which type each tensor gets. Counts of whole models are those of published files of the same
// mixtures; the rest states the rules one by one.
#include "export/mixture.h"

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace dlm {
namespace {

struct Shape {
  std::string architecture = "llama";
  int64_t layers, hidden, heads, kv_heads, head_dim, inner, vocab;
  bool is_tied = true;
  bool has_attention_bias = false;
  bool has_fused_attention = false;  // phi3: one matrix for q, k, v and one for gate and up
  bool has_post_norms = false;       // gemma2
  int64_t experts = 0;
};

struct File {
  MixtureModel model;
  std::vector<MixtureTensor> tensors;

  GgmlType type(Quant quant, const std::string& name) const {
    const std::vector<GgmlType> types = mixture_types(quant, model, tensors);
    for (size_t i = 0; i < tensors.size(); ++i) {
      if (tensors[i].name == name) return types[i];
    }
    ADD_FAILURE() << "no tensor " << name;
    return GgmlType::kI32;
  }

  // The layers whose tensor of this kind has the type.
  std::vector<int> layers_of(Quant quant, const std::string& kind, GgmlType type) const {
    const std::vector<GgmlType> types = mixture_types(quant, model, tensors);
    std::vector<int> layers;
    for (size_t i = 0; i < tensors.size(); ++i) {
      if (tensors[i].name.ends_with("." + kind) && types[i] == type) {
        layers.push_back(std::stoi(tensors[i].name.substr(4)));
      }
    }
    return layers;
  }

  std::map<std::string, int> counts(Quant quant) const {
    std::map<std::string, int> result;
    for (const GgmlType type : mixture_types(quant, model, tensors)) {
      ++result[std::string(ggml_traits(type).name)];
    }
    return result;
  }
};

// The tensors of a file in its order: those of no layer, then layer by layer, by name.
File file_of(const Shape& s) {
  File file{{s.architecture, s.layers, s.experts, s.heads, s.kv_heads, !s.is_tied}, {}};
  const auto add = [&](const std::string& name, std::vector<int64_t> shape) {
    file.tensors.push_back({name, std::move(shape)});
  };
  if (!s.is_tied) add("output.weight", {s.vocab, s.hidden});
  add("output_norm.weight", {s.hidden});
  add("token_embd.weight", {s.vocab, s.hidden});
  const int64_t q = s.heads * s.head_dim, kv = s.kv_heads * s.head_dim;
  for (int64_t layer = 0; layer < s.layers; ++layer) {
    const size_t first = file.tensors.size();
    const std::string at = "blk." + std::to_string(layer) + ".";
    if (s.has_fused_attention) {
      add(at + "attn_qkv.weight", {q + 2 * kv, s.hidden});
    } else {
      add(at + "attn_q.weight", {q, s.hidden});
      add(at + "attn_k.weight", {kv, s.hidden});
      add(at + "attn_v.weight", {kv, s.hidden});
    }
    if (s.has_attention_bias) {
      for (const char* name : {"attn_q.bias", "attn_k.bias", "attn_v.bias"}) add(at + name, {q});
    }
    add(at + "attn_output.weight", {s.hidden, q});
    add(at + "attn_norm.weight", {s.hidden});
    add(at + "ffn_norm.weight", {s.hidden});
    if (s.has_post_norms) {
      add(at + "post_attention_norm.weight", {s.hidden});
      add(at + "post_ffw_norm.weight", {s.hidden});
    }
    if (s.experts > 0) {
      add(at + "ffn_gate_inp.weight", {s.experts, s.hidden});
      add(at + "ffn_gate_exps.weight", {s.experts, s.inner, s.hidden});
      add(at + "ffn_up_exps.weight", {s.experts, s.inner, s.hidden});
      add(at + "ffn_down_exps.weight", {s.experts, s.hidden, s.inner});
    } else {
      if (!s.has_fused_attention) add(at + "ffn_gate.weight", {s.inner, s.hidden});
      add(at + "ffn_up.weight", {s.has_fused_attention ? 2 * s.inner : s.inner, s.hidden});
      add(at + "ffn_down.weight", {s.hidden, s.inner});
    }
    std::sort(file.tensors.begin() + static_cast<int64_t>(first), file.tensors.end(),
              [](const MixtureTensor& a, const MixtureTensor& b) { return a.name < b.name; });
  }
  return file;
}

using Counts = std::map<std::string, int>;

const Shape kSmolLm2 = {.layers = 30,
                        .hidden = 576,
                        .heads = 9,
                        .kv_heads = 3,
                        .head_dim = 64,
                        .inner = 1536,
                        .vocab = 49152};
const Shape kSmolLm3 = {.architecture = "smollm3",
                        .layers = 36,
                        .hidden = 2048,
                        .heads = 16,
                        .kv_heads = 4,
                        .head_dim = 128,
                        .inner = 11008,
                        .vocab = 128256};
const Shape kQwen2 = {.architecture = "qwen2",
                      .layers = 24,
                      .hidden = 896,
                      .heads = 14,
                      .kv_heads = 2,
                      .head_dim = 64,
                      .inner = 4864,
                      .vocab = 151936,
                      .has_attention_bias = true};
const Shape kLlama8B = {.layers = 32,
                        .hidden = 4096,
                        .heads = 32,
                        .kv_heads = 8,
                        .head_dim = 128,
                        .inner = 14336,
                        .vocab = 128256,
                        .is_tied = false};
const Shape kPhi3 = {.architecture = "phi3",
                     .layers = 32,
                     .hidden = 3072,
                     .heads = 32,
                     .kv_heads = 32,
                     .head_dim = 96,
                     .inner = 8192,
                     .vocab = 32064,
                     .is_tied = false,
                     .has_fused_attention = true};
const Shape kGemma2 = {.architecture = "gemma2",
                       .layers = 26,
                       .hidden = 2304,
                       .heads = 8,
                       .kv_heads = 4,
                       .head_dim = 256,
                       .inner = 9216,
                       .vocab = 256000,
                       .has_post_norms = true};
const Shape kMixtral = {.layers = 32,
                        .hidden = 4096,
                        .heads = 32,
                        .kv_heads = 8,
                        .head_dim = 128,
                        .inner = 14336,
                        .vocab = 32000,
                        .is_tied = false,
                        .experts = 8};

TEST(Mixture, SmolLm2HasRowsOf576ThatFallBack) {
  EXPECT_EQ(file_of(kSmolLm2).counts(Quant::kQ4_K_M),
            (Counts{{"F32", 61}, {"Q5_0", 166}, {"Q8_0", 15}, {"Q4_K", 16}, {"Q6_K", 14}}));
}

TEST(Mixture, SmolLm3MatchesItsPublishedFile) {
  EXPECT_EQ(file_of(kSmolLm3).counts(Quant::kQ4_K_M),
            (Counts{{"F32", 73}, {"Q4_K", 216}, {"Q6_K", 37}}));
}

TEST(Mixture, Qwen2MatchesItsPublishedFile) {
  EXPECT_EQ(file_of(kQwen2).counts(Quant::kQ4_K_M),
            (Counts{{"F32", 121}, {"Q5_0", 132}, {"Q8_0", 13}, {"Q4_K", 12}, {"Q6_K", 12}}));
}

TEST(Mixture, FallbacksOfTheOtherMixtures) {
  EXPECT_EQ(file_of(kQwen2).counts(Quant::kQ5_K_M),
            (Counts{{"F32", 121}, {"Q5_1", 132}, {"Q8_0", 13}, {"Q5_K", 12}, {"Q6_K", 12}}));
  EXPECT_EQ(file_of(kQwen2).counts(Quant::kQ6_K),
            (Counts{{"F32", 121}, {"Q8_0", 145}, {"Q6_K", 24}}));
  EXPECT_EQ(file_of(kQwen2).counts(Quant::kQ8_0), (Counts{{"F32", 121}, {"Q8_0", 169}}));
}

TEST(Mixture, AnUntiedHeadIsQ6KAndTheEmbeddingIsTheBaseType) {
  const File file = file_of(kLlama8B);
  EXPECT_EQ(file.type(Quant::kQ4_K_M, "output.weight"), GgmlType::kQ6_K);
  EXPECT_EQ(file.type(Quant::kQ4_K_M, "token_embd.weight"), GgmlType::kQ4_K);
  EXPECT_EQ(file.type(Quant::kQ5_K_M, "output.weight"), GgmlType::kQ6_K);
  EXPECT_EQ(file.type(Quant::kQ5_K_M, "token_embd.weight"), GgmlType::kQ5_K);
  EXPECT_EQ(file.type(Quant::kQ8_0, "output.weight"), GgmlType::kQ8_0);
}

TEST(Mixture, FirstAndLastEighthAndEveryThirdLayerGetSixBits) {
  const std::vector<int> of_32 = {0, 1, 2, 3, 6, 9, 12, 15, 18, 21, 24, 27, 28, 29, 30, 31};
  const File file = file_of(kLlama8B);
  for (const Quant quant : {Quant::kQ4_K_M, Quant::kQ5_K_M}) {
    EXPECT_EQ(file.layers_of(quant, "attn_v.weight", GgmlType::kQ6_K), of_32);
    EXPECT_EQ(file.layers_of(quant, "ffn_down.weight", GgmlType::kQ6_K), of_32);
  }
  EXPECT_EQ(file_of(kQwen2).layers_of(Quant::kQ4_K_M, "ffn_down.weight", GgmlType::kQ6_K),
            (std::vector<int>{0, 1, 2, 5, 8, 11, 14, 17, 20, 21, 22, 23}));
  EXPECT_EQ(file.layers_of(Quant::kQ5_K_M, "attn_output.weight", GgmlType::kQ5_K).size(), 32U);
}

TEST(Mixture, Phi3sFusedAttentionIsTreatedAsItsValues) {
  const File file = file_of(kPhi3);
  EXPECT_EQ(file.layers_of(Quant::kQ4_K_M, "attn_qkv.weight", GgmlType::kQ6_K),
            (std::vector<int>{0, 1, 2, 3, 6, 9, 12, 15, 18, 21, 24, 27, 28, 29, 30, 31}));
  EXPECT_EQ(file.counts(Quant::kQ4_K_M), (Counts{{"F32", 65}, {"Q4_K", 97}, {"Q6_K", 33}}));
}

TEST(Mixture, Gemma2sPostNormsStayF32AndItsEmbeddingIsTheHead) {
  const File file = file_of(kGemma2);
  EXPECT_EQ(file.counts(Quant::kQ4_K_M), (Counts{{"F32", 105}, {"Q4_K", 156}, {"Q6_K", 27}}));
  EXPECT_EQ(file.layers_of(Quant::kQ4_K_M, "attn_v.weight", GgmlType::kQ6_K),
            (std::vector<int>{0, 1, 2, 5, 8, 11, 14, 17, 20, 22, 23, 24, 25}));
}

TEST(Mixture, EightExpertsGetBetterAttention) {
  const File file = file_of(kMixtral);
  const auto type = [&](Quant quant, const char* kind) {
    return file.type(quant, std::string("blk.7.") + kind + ".weight");
  };
  for (const Quant quant : {Quant::kQ4_K_M, Quant::kQ5_K_M, Quant::kQ6_K}) {
    EXPECT_EQ(type(quant, "attn_v"), GgmlType::kQ8_0);
    EXPECT_EQ(type(quant, "attn_k"), GgmlType::kQ8_0);
    EXPECT_EQ(type(quant, "ffn_gate_inp"), GgmlType::kF32);
  }
  EXPECT_EQ(type(Quant::kQ4_K_M, "attn_output"), GgmlType::kQ5_K);
  EXPECT_EQ(type(Quant::kQ5_K_M, "attn_output"), GgmlType::kQ5_K);
  EXPECT_EQ(type(Quant::kQ4_K_M, "attn_q"), GgmlType::kQ4_K);
  EXPECT_EQ(type(Quant::kQ4_K_M, "ffn_down_exps"), GgmlType::kQ4_K);
  EXPECT_EQ(file.type(Quant::kQ4_K_M, "blk.6.ffn_down_exps.weight"), GgmlType::kQ6_K);
}

TEST(Mixture, EightyLayersWithGroupedQueriesGetFiveBitValues) {
  Shape shape = kLlama8B;
  shape.layers = 80;
  EXPECT_EQ(file_of(shape).type(Quant::kQ4_K_M, "blk.10.attn_v.weight"), GgmlType::kQ5_K);
  EXPECT_EQ(file_of(shape).type(Quant::kQ4_K_M, "blk.0.attn_v.weight"), GgmlType::kQ6_K);
  shape.kv_heads = shape.heads;
  EXPECT_EQ(file_of(shape).type(Quant::kQ4_K_M, "blk.10.attn_v.weight"), GgmlType::kQ4_K);
}

TEST(Mixture, RowsThatNoBlockDividesStayHalves) {
  Shape shape = kSmolLm2;
  shape.hidden = 72;
  shape.inner = 96;
  const File file = file_of(shape);
  for (const Quant quant : {Quant::kQ4_K_M, Quant::kQ5_K_M, Quant::kQ6_K, Quant::kQ8_0}) {
    EXPECT_EQ(file.type(quant, "blk.4.attn_q.weight"), GgmlType::kF16);
    EXPECT_EQ(file.type(quant, "token_embd.weight"), GgmlType::kF16);
  }
  EXPECT_EQ(file.type(Quant::kQ4_K_M, "blk.4.ffn_down.weight"), GgmlType::kQ5_0);
  EXPECT_EQ(file.type(Quant::kQ5_K_M, "blk.4.ffn_down.weight"), GgmlType::kQ5_1);
  EXPECT_EQ(file.type(Quant::kQ6_K, "blk.4.ffn_down.weight"), GgmlType::kQ8_0);
}

TEST(Mixture, FloatFilesHaveNoRules) {
  const File file = file_of(kMixtral);
  EXPECT_EQ(file.counts(Quant::kF16), (Counts{{"F16", 226}, {"F32", 97}}));
  EXPECT_EQ(file.counts(Quant::kBF16), (Counts{{"BF16", 226}, {"F32", 97}}));
  EXPECT_EQ(file.counts(Quant::kF32), (Counts{{"F32", 323}}));
}

TEST(Mixture, NamesAndFileTypesAreThoseThatOtherProgramsKnow) {
  const std::map<std::string, uint32_t> known = {{"F32", 0},     {"F16", 1},     {"Q8_0", 7},
                                                 {"Q4_K_M", 15}, {"Q5_K_M", 17}, {"Q6_K", 18},
                                                 {"BF16", 32}};
  for (const auto& [name, number] : known) {
    const std::optional<Quant> quant = find_quant(name);
    ASSERT_TRUE(quant.has_value()) << name;
    EXPECT_EQ(quant_name(*quant), name);
    EXPECT_EQ(quant_file_type(*quant), number);
  }
  EXPECT_FALSE(find_quant("q4_k_m").has_value());
  EXPECT_FALSE(find_quant("Q2_K").has_value());
}

}  // namespace
}  // namespace dlm
