// Kinds of adapters on a small random decoder: which layers they have and with which scale, what
// their folder holds, and what is refused.

#include "model/lora.h"

#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <map>

#include "formats/safetensors.h"
#include "model/merge.h"
#include "model/module_names.h"
#include "model/tiny_decoder.h"
#include "support/error.h"
#include "temporary_folder.h"

namespace dlm {
namespace {

class AdapterTest : public ::testing::Test {
 protected:
  AdapterTest() : decoder_(Decoder::random(tiny_config(true), DType::kF32, 3)) {
    options_.rank = 4;
    options_.alpha = 8;
    options_.base_name = "tiny";
  }

  std::unique_ptr<LoraAdapter> create() { return LoraAdapter::create(*decoder_, options_, 5); }

  // With B and the magnitudes moved away from their start.
  std::unique_ptr<LoraAdapter> create_trained() {
    auto adapter = create();
    uint64_t seed = 0;
    for (Parameter* p : adapter->parameters()) {
      float* elements = p->trained_elements();
      for (int64_t i = 0; i < p->value.numel(); ++i) {
        elements[i] += static_cast<float>(0.05 * normal(random_key({++seed})));
      }
      p->publish();
    }
    return adapter;
  }

  std::string refusal() {
    try {
      create();
    } catch (const Error& e) {
      EXPECT_NE(e.hint(), "");
      return e.what();
    }
    return "no error";
  }

  // The folder's configuration with one key changed, and what loading says of it.
  std::string load_refusal(const std::string& key, Json value) {
    create()->save(folder_.path());
    const fs::path path = folder_ / "adapter_config.json";
    Json config = parse_json(read_file(path, 1 << 20));
    config.set(key, std::move(value));
    write_file_atomic(path, config.dump());
    return load_refusal();
  }
  std::string load_refusal() {
    try {
      LoraAdapter::load(folder_.path(), *decoder_);
    } catch (const Error& e) {
      EXPECT_NE(e.hint(), "");
      std::string text = e.what();
      const std::string root = folder_.path().string();
      for (size_t at; (at = text.find(root)) != text.npos;) text.replace(at, root.size(), "HERE");
      return text;
    }
    return "no error";
  }

  std::vector<float> losses(LoraAdapter* adapter) {
    const auto graph = build_graph(*decoder_, adapter, GraphUse::kLoss, 64);
    Exec exec(graph->graph, device_);
    exec.forward(batch_);
    return exec.token_losses;
  }

  std::pair<std::string, std::string> bytes_of(const LoraAdapter& adapter) {
    const TemporaryFolder folder;
    adapter.save(folder.path());
    return {read_file(folder / "adapter_model.safetensors", 1 << 24),
            read_file(folder / "adapter_config.json", 1 << 20)};
  }

  TemporaryFolder folder_;
  Device device_{2};
  std::unique_ptr<Decoder> decoder_;
  LoraOptions options_;
  Batch batch_ = tiny_batch({tiny_row(1, 19, 40), tiny_row(2, 5, 40)});
};

std::vector<std::string> module_names(LoraAdapter& adapter) {
  std::vector<std::string> names;
  for (const auto& [module, lora] : adapter.layers()) names.push_back(module);
  return names;
}

TEST_F(AdapterTest, StartsAsTheBaseInEveryKind) {
  const std::vector<float> base = losses(nullptr);
  for (const bool use_dora : {false, true}) {
    for (const bool use_rslora : {false, true}) {
      options_.use_dora = use_dora;
      options_.use_rslora = use_rslora;
      options_.modules_to_save = {kEmbedTokens, kLmHead};
      // B = 0, and a row's magnitude over its own norm is 1 to the bit.
      EXPECT_EQ(losses(create().get()), base) << use_dora << use_rslora;
    }
  }
}

// For plans: the same parameters, and no memory.
TEST_F(AdapterTest, ShapesAreThoseOfAnAdapter) {
  options_.use_dora = true;
  options_.modules_to_save = {kEmbedTokens, kLmHead};
  const auto adapter = create();
  const auto shapes = LoraAdapter::shapes(*decoder_, options_);
  const std::vector<Parameter*> real = adapter->parameters();
  const std::vector<Parameter*> planned = shapes->parameters();
  ASSERT_EQ(planned.size(), real.size());
  for (size_t i = 0; i < real.size(); ++i) {
    EXPECT_EQ(planned[i]->name, real[i]->name);
    EXPECT_EQ(planned[i]->value.shape(), real[i]->value.shape());
    EXPECT_EQ(planned[i]->value.dtype(), real[i]->value.dtype());
    EXPECT_EQ(planned[i]->value.data(), nullptr);
  }
}

TEST_F(AdapterTest, AllLinearIsTheListOfAllModulesAndTheEmptyList) {
  const auto by_default = bytes_of(*create());
  options_.target_modules = {kAllLinear};
  EXPECT_EQ(bytes_of(*create()), by_default);
  options_.target_modules = {"up_proj", "q_proj",    "k_proj",   "v_proj",
                             "o_proj",  "gate_proj", "down_proj"};
  EXPECT_EQ(bytes_of(*create()), by_default);
}

TEST_F(AdapterTest, TheFolderNamesExactlyItsOwnLayers) {
  options_.target_modules = {"q_proj", "layers.1.mlp.up_proj"};
  const auto adapter = create();
  EXPECT_EQ(module_names(*adapter), (std::vector<std::string>{"model.layers.0.self_attn.q_proj",
                                                              "model.layers.1.self_attn.q_proj",
                                                              "model.layers.1.mlp.up_proj"}));
  // up_proj alone would name layer 0 as well.
  EXPECT_EQ(adapter->config_json().at("target_modules"),
            Json::array({Json("model.layers.1.mlp.up_proj"), Json("q_proj")}));
}

TEST_F(AdapterTest, PatternsDecideByTheFirstKeyThatMatchesTheEndOfTheName) {
  options_.rank_pattern = {{"layers\\.0\\..*", 2}, {"q_proj", 3}};
  options_.alpha_pattern = {{"self_attn.q_proj", 6}, {"mlp\\.(up|gate)_proj", 1.5}};
  const auto adapter = create();
  const auto expect = [&](const std::string& module, int64_t rank, float scale) {
    const Lora* lora = adapter->find("model.layers." + module);
    ASSERT_NE(lora, nullptr) << module;
    EXPECT_EQ(lora->rank, rank) << module;
    EXPECT_EQ(lora->a.value.dim(0), rank) << module;
    EXPECT_EQ(lora->scale, scale) << module;
  };
  expect("0.self_attn.q_proj", 2, 3.0f);
  expect("1.self_attn.q_proj", 3, 2.0f);
  expect("0.self_attn.k_proj", 2, 4.0f);
  expect("1.self_attn.k_proj", 4, 2.0f);
  expect("0.mlp.up_proj", 2, 0.75f);
  expect("1.mlp.gate_proj", 4, 0.375f);
  expect("1.mlp.down_proj", 4, 2.0f);
}

TEST_F(AdapterTest, PatternsMatchWholeComponentsOnly) {
  const ModulePatterns patterns({"proj", "attn.q_proj", "s.1.self_attn", "^q_proj", "(k|v)_proj"});
  EXPECT_EQ(patterns.first_match("model.layers.1.self_attn.q_proj"), std::nullopt);
  EXPECT_EQ(patterns.first_match("model.layers.1.self_attn.v_proj"), 4u);
  EXPECT_EQ(patterns.first_match("q_proj"), 3u);
  EXPECT_EQ(patterns.first_match("model.layers.1.self_attn.v_proj.x"), std::nullopt);
}

// The pairs of a patterned adapter, copied into layers of one rank padded with zero rows, and the
// patterned alpha folded into B: the same function.
TEST_F(AdapterTest, PatternsComputeWhatAnExplicitAdapterDoes) {
  options_.rank_pattern = {{"q_proj", 2}, {"layers.1.mlp.down_proj", 7}};
  options_.alpha_pattern = {{"v_proj", 32}, {"q_proj", 1}};
  const auto patterned = create_trained();
  LoraOptions plain = options_;
  plain.rank_pattern.clear();
  plain.alpha_pattern.clear();
  plain.rank = 8;
  plain.alpha = 8;
  const auto padded = LoraAdapter::create(*decoder_, plain, 5);
  for (const auto& [module, to] : padded->layers()) {
    const Lora& from = *patterned->find(module);
    std::fill_n(to->a.value.mutable_f32(), to->a.value.numel(), 0.0f);
    std::copy_n(from.a.value.f32(), from.a.value.numel(), to->a.value.mutable_f32());
    for (int64_t i = 0; i < from.bt.value.numel(); ++i) {
      to->bt.value.mutable_f32()[i] = from.bt.value.f32()[i] * from.scale;
    }
  }
  const auto a = losses(patterned.get());
  const auto b = losses(padded.get());
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-5) << i;
  EXPECT_NE(a, losses(nullptr));
}

TEST_F(AdapterTest, ADoraLayerIsItsMergedWeight) {
  options_.use_dora = true;
  const auto adapter = create_trained();
  const auto with_adapter = losses(adapter.get());
  for (const auto& [module, weight] : decoder_->linear_layers()) {
    weight->value = merged_weight(weight->value, *adapter->find(module), device_.kernels());
  }
  const auto without = losses(nullptr);
  for (size_t i = 0; i < without.size(); ++i) EXPECT_NEAR(with_adapter[i], without[i], 2e-5) << i;
}

TEST_F(AdapterTest, SavedAndLoadedAndSavedGivesTheSameBytes) {
  const std::vector<std::function<void()>> kinds{
      [] {},
      [&] { options_.use_rslora = true; },
      [&] { options_.use_dora = true; },
      [&] {
        options_.rank_pattern = {{"q_proj", 2}, {"layers\\.1\\..*", 3}};
      },
      [&] {
        options_.alpha_pattern = {{"v_proj", 2.5}};
      },
      [&] {
        options_.modules_to_save = {kEmbedTokens, kLmHead};
      },
  };
  for (size_t i = 0; i < kinds.size(); ++i) {
    kinds[i]();
    const auto adapter = create_trained();
    adapter->save(folder_.path());
    const auto first = bytes_of(*adapter);
    const auto again = LoraAdapter::load(folder_.path(), *decoder_);
    EXPECT_EQ(bytes_of(*again), first) << i;
    EXPECT_EQ(losses(again.get()), losses(adapter.get())) << i;
    EXPECT_EQ(again->num_parameters(), adapter->num_parameters());
  }
}

TEST_F(AdapterTest, TheFolderHasPeftsNamesAndShapes) {
  options_.use_dora = true;
  options_.target_modules = {"k_proj"};
  options_.modules_to_save = {kEmbedTokens, kLmHead};
  create()->save(folder_.path());
  const auto file = SafetensorsFile::open(folder_ / "adapter_model.safetensors");
  std::map<std::string, std::vector<int64_t>> shapes;
  for (const SafetensorsTensor& t : file.tensors()) {
    EXPECT_EQ(t.dtype, "F32");
    shapes[t.name] = t.shape;
  }
  const std::string k0 = "base_model.model.model.layers.0.self_attn.k_proj.";
  const std::string k1 = "base_model.model.model.layers.1.self_attn.k_proj.";
  const std::map<std::string, std::vector<int64_t>> expected{
      {k0 + "lora_A.weight", {4, 32}},
      {k0 + "lora_B.weight", {16, 4}},
      {k0 + "lora_magnitude_vector", {16}},
      {k1 + "lora_A.weight", {4, 32}},
      {k1 + "lora_B.weight", {16, 4}},
      {k1 + "lora_magnitude_vector", {16}},
      {"base_model.model.model.embed_tokens.weight", {40, 32}},
      {"base_model.model.lm_head.weight", {40, 32}},
  };
  EXPECT_EQ(shapes, expected);
  const Json config = parse_json(read_file(folder_ / "adapter_config.json", 1 << 20));
  EXPECT_EQ(config.at("modules_to_save"), Json::array({Json("embed_tokens"), Json("lm_head")}));
  EXPECT_TRUE(config.at("use_dora").as_bool());
}

TEST_F(AdapterTest, WholeModulesAreCopiesAndLeaveTheBaseAlone) {
  options_.modules_to_save = {kEmbedTokens};
  const std::vector<float> base = losses(nullptr);
  const auto adapter = create_trained();
  adapter->set_trainable();
  EXPECT_NE(losses(adapter.get()), base);
  EXPECT_EQ(losses(nullptr), base);
  EXPECT_FALSE(decoder_->embedding().trains);
  // PEFT leaves the tied head at the base's table unless lm_head is named too.
  EXPECT_EQ(&head_of(*decoder_, adapter.get()), &decoder_->head());
  EXPECT_EQ(&embedding_of(*decoder_, adapter.get()), adapter->embedding());
}

TEST_F(AdapterTest, WholeModulesKeepTheirF32ElementsInBf16) {
  if (!has_bf16_products(isa_tier())) GTEST_SKIP() << "skipped: no bf16 products on this tier";
  decoder_ = Decoder::random(tiny_config(true), DType::kBF16, 3);
  options_.modules_to_save = {kEmbedTokens, kLmHead};
  const auto adapter = create_trained();
  EXPECT_EQ(adapter->head()->value.dtype(), DType::kBF16);
  adapter->save(folder_.path());
  const auto again = LoraAdapter::load(folder_.path(), *decoder_);
  EXPECT_EQ(bytes_of(*again), bytes_of(*adapter));
  again->set_trainable();
  EXPECT_EQ(bytes_of(*again), bytes_of(*adapter));
  const Tensor rounded = adapter->head()->master.cast(DType::kBF16);
  EXPECT_EQ(std::memcmp(again->head()->value.data(), rounded.data(), rounded.size_bytes()), 0);
}

TEST_F(AdapterTest, HalfPrecisionTensorsOfOthersAreRead) {
  const auto adapter = create_trained();
  std::vector<Tensor> halves;
  std::vector<SafetensorsTensor> views;
  adapter->save(folder_.path());
  {
    const auto file = SafetensorsFile::open(folder_ / "adapter_model.safetensors");
    for (const SafetensorsTensor& t : file.tensors()) {
      Tensor wide = Tensor::zeros(t.shape, DType::kF32);
      std::memcpy(wide.mutable_data(), t.bytes.data(), t.bytes.size());
      halves.push_back(wide.cast(DType::kBF16));
      views.push_back({t.name, "BF16", t.shape, {}});
    }
  }
  for (size_t i = 0; i < views.size(); ++i) {
    views[i].bytes = {static_cast<const std::byte*>(halves[i].data()), halves[i].size_bytes()};
  }
  write_safetensors(folder_ / "adapter_model.safetensors", views);
  const auto narrow = LoraAdapter::load(folder_.path(), *decoder_);
  for (const auto& [module, lora] : narrow->layers()) {
    const Tensor expected = adapter->find(module)->a.value.cast(DType::kBF16).cast(DType::kF32);
    EXPECT_EQ(std::memcmp(lora->a.value.data(), expected.data(), expected.size_bytes()), 0);
  }
}

TEST_F(AdapterTest, WhatFitsNoLayerIsRefused) {
  options_.target_modules = {"q_proj", "w_proj"};
  EXPECT_EQ(refusal(), "target module \"w_proj\" names no linear layer of the base");
  options_.target_modules = {"q_proj"};
  options_.rank_pattern = {{"q_proj", 2}, {"v_proj", 3}};
  EXPECT_EQ(
      refusal(),
      "rank_pattern: \"v_proj\" matches no layer of the adapter, or only layers of an earlier "
      "key");
  options_.rank_pattern.clear();
  options_.alpha_pattern = {{"layers.7.*", 2}};
  EXPECT_EQ(refusal(),
            "alpha_pattern: \"layers.7.*\" matches no layer of the adapter, or only layers of an "
            "earlier key");
  options_.alpha_pattern = {{"(", 2}};
  EXPECT_NE(refusal().find("the module pattern \"(\" is no regular expression"), std::string::npos);
  options_.alpha_pattern.clear();
  options_.modules_to_save = {"norm"};
  EXPECT_EQ(refusal(), "module \"norm\" cannot be trained whole");
}

TEST_F(AdapterTest, ARankAboveALayersSmallerSideIsRefused) {
  options_.rank = 16;
  EXPECT_EQ(refusal(), "no error");
  options_.rank = 17;
  EXPECT_EQ(refusal(),
            "rank 17 is larger than layer \"model.layers.0.self_attn.k_proj\" of shape [16, 32]");
  options_.rank = 4;
  options_.rank_pattern = {{"layers.1.mlp.up_proj", 33}};
  EXPECT_EQ(refusal(),
            "rank 33 is larger than layer \"model.layers.1.mlp.up_proj\" of shape [48, 32]");
}

TEST_F(AdapterTest, ConfigurationsThatMeanMoreAreRefusedByName) {
  EXPECT_EQ(load_refusal("peft_type", "IA3"),
            "HERE/adapter_config.json: adapter type \"IA3\" is not supported");
  EXPECT_EQ(load_refusal("bias", "all"),
            "HERE/adapter_config.json: \"bias\" is \"all\": trained biases are not supported");
  EXPECT_EQ(load_refusal("init_lora_weights", "pissa_niter_16"),
            "HERE/adapter_config.json: \"init_lora_weights\" is \"pissa_niter_16\", which changes "
            "the base too");
  EXPECT_EQ(load_refusal("trainable_token_indices", Json::array({Json(1)})),
            "HERE/adapter_config.json: \"trainable_token_indices\" is not supported");
  EXPECT_EQ(load_refusal("modules_to_save", Json::array({Json("score")})),
            "HERE/adapter_config.json: \"modules_to_save\" names \"score\"");
  EXPECT_EQ(load_refusal("r", 0), "HERE/adapter_config.json: \"r\" is not a rank from 1 to 4096");
  EXPECT_EQ(load_refusal("rank_pattern", Json::object({{"q_proj", Json("x")}})),
            "HERE/adapter_config.json: \"rank_pattern\": \"q_proj\" is not a rank from 1 to 4096");
  EXPECT_EQ(load_refusal("init_lora_weights", "gaussian"), "no error");
}

TEST_F(AdapterTest, ConfigurationsOfWrongTypesAreRefusedByKey) {
  const std::string file = "HERE/adapter_config.json: ";
  EXPECT_EQ(load_refusal("use_dora", "true"), file + "\"use_dora\" is not true or false");
  EXPECT_EQ(load_refusal("use_rslora", 1), file + "\"use_rslora\" is not true or false");
  EXPECT_EQ(load_refusal("use_rslora", Json()), "no error");
  EXPECT_EQ(load_refusal("modules_to_save", Json::array({Json(1)})),
            file + "\"modules_to_save\" holds what is no name");
  EXPECT_EQ(load_refusal("lora_alpha", Json()), file + "\"lora_alpha\" is not a number below 1e9");
  const std::string refused = load_refusal("rank_pattern", Json::object({{"(", Json(3)}}));
  EXPECT_TRUE(refused.starts_with(file + "the module pattern \"(\" is no regular expression: "))
      << refused;
}

TEST_F(AdapterTest, FilesThatDoNotFitAreRefusedByTensor) {
  const std::string file = "HERE/adapter_model.safetensors: ";
  const std::string q0 = "base_model.model.model.layers.0.self_attn.q_proj.";
  EXPECT_EQ(
      load_refusal("r", 5),
      file + "tensor \"" + q0 + "lora_A.weight\" is F32 [4, 32], this base needs F32 [5, 32]");
  EXPECT_EQ(load_refusal("use_dora", true),
            file + "there is no tensor \"" + q0 +
                "lora_magnitude_vector\", which adapter_config.json asks for");
  EXPECT_EQ(load_refusal("modules_to_save", Json::array({Json("lm_head")})),
            file +
                "there is no tensor \"base_model.model.lm_head.weight\", which adapter_config.json "
                "asks for");

  options_.use_dora = true;
  options_.target_modules = {"q_proj"};
  EXPECT_NE(load_refusal("use_dora", false)
                .find("tensors that fit no layer of this base, as \"" +
                      std::string("base_model.model.model.layers.")),
            std::string::npos);
}

TEST_F(AdapterTest, NumbersThatAreNotFiniteAreRefused) {
  options_.use_dora = true;
  options_.target_modules = {"v_proj"};
  const auto adapter = create();
  adapter->layers()[1].second->dora->magnitude.value.mutable_f32()[3] =
      std::numeric_limits<float>::quiet_NaN();
  adapter->save(folder_.path());
  EXPECT_EQ(load_refusal(),
            "HERE/adapter_model.safetensors: tensor "
            "\"base_model.model.model.layers.1.self_attn.v_proj.lora_magnitude_vector\" holds a "
            "number that is not finite");
}

}  // namespace
}  // namespace dlm
