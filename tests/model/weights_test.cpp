// What a folder of weights must hold, and what is said when it does not.

#include "model/weights.h"

#include <gtest/gtest.h>

#include <cstring>
#include <numeric>

#include "engine/cpu/isa.h"
#include "model/generate.h"
#include "model/lora.h"
#include "model/tiny_decoder.h"
#include "support/error.h"
#include "temporary_folder.h"

namespace dlm {
namespace {

class Weights : public ::testing::Test {
 protected:
  Weights() {
    Decoder::random(tiny_config(true), DType::kBF16, 3)->save(folder_.path());
    const auto file = SafetensorsFile::open(path());
    for (const SafetensorsTensor& t : file.tensors()) {
      data_.push_back(std::vector<std::byte>(t.bytes.begin(), t.bytes.end()));
      tensors_.push_back(t);
    }
  }

  fs::path path() const { return folder_.path() / "model.safetensors"; }
  size_t index_of(const std::string& name) const {
    for (size_t i = 0; i < tensors_.size(); ++i) {
      if (tensors_[i].name == name) return i;
    }
    ADD_FAILURE() << name;
    return 0;
  }
  void add(const std::string& name, size_t elements) {
    data_.push_back(std::vector<std::byte>(elements * 2));
    tensors_.push_back({name, "BF16", {static_cast<int64_t>(elements)}, {}});
  }
  void poison(const std::string& name, size_t element, uint16_t bits) {
    std::memcpy(data_[index_of(name)].data() + 2 * element, &bits, 2);
  }
  std::unique_ptr<Decoder> load(DType dtype = DType::kBF16) {
    for (size_t i = 0; i < tensors_.size(); ++i) tensors_[i].bytes = data_[i];
    write_safetensors(path(), tensors_, {{"format", "pt"}});
    return Decoder::load(folder_.path(), dtype);
  }
  void expect_refused(const std::string& message, DType dtype = DType::kBF16) {
    try {
      load(dtype);
      FAIL() << "accepted";
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::kBase);
      EXPECT_EQ(e.message(), message);
      EXPECT_EQ(e.place().path, folder_.path().string());
    }
  }

  TemporaryFolder folder_;
  std::vector<std::vector<std::byte>> data_;
  std::vector<SafetensorsTensor> tensors_;
};

TEST_F(Weights, NamesAMissingTensor) {
  const size_t i = index_of("model.layers.1.mlp.up_proj.weight");
  tensors_.erase(tensors_.begin() + static_cast<std::ptrdiff_t>(i));
  data_.erase(data_.begin() + static_cast<std::ptrdiff_t>(i));
  expect_refused("the weights have no tensor \"model.layers.1.mlp.up_proj.weight\"");
}

TEST_F(Weights, NamesTheFirstExtraTensor) {
  add("model.layers.0.self_attn.q_proj.bias", 32);
  add("model.layers.2.mlp.up_proj.weight", 8);
  expect_refused(
      "the weights have a tensor \"model.layers.0.self_attn.q_proj.bias\" and 1 more that a model "
      "of "
      "family llama does not use");
}

TEST_F(Weights, LetsHarmlessTensorsPass) {
  add("model.layers.0.self_attn.rotary_emb.inv_freq", 4);
  add("lm_head.weight", 40 * 32);  // the head is tied
  EXPECT_NE(load(), nullptr);
}

TEST_F(Weights, NamesAWrongShape) {
  tensors_[index_of("model.norm.weight")].shape = {4, 8};
  expect_refused("tensor \"model.norm.weight\" has shape [4, 8], config.json asks for [32]");
}

TEST_F(Weights, FindsNanInANorm) {
  poison("model.layers.1.input_layernorm.weight", 5, 0x7fc0);
  expect_refused(
      "tensor \"model.layers.1.input_layernorm.weight\" holds a value that is no finite number, at "
      "element 5");
}

TEST_F(Weights, FindsInfinitiesInMatricesThatAreConverted) {
  poison("model.layers.0.mlp.down_proj.weight", 77, 0xff80);
  expect_refused(
      "tensor \"model.layers.0.mlp.down_proj.weight\" holds a value that is no finite number, at "
      "element 77",
      DType::kF32);
}

// A header of odd length is legal; such matrices are copied, and looked at.
TEST_F(Weights, HalfPrecisionAtOddAddressesIsReadAsItIs) {
  Device device(1);
  const auto load_odd = [&] {
    for (size_t i = 0; i < tensors_.size(); ++i) {
      tensors_[i].dtype = "F16";
      tensors_[i].bytes = data_[i];
    }
    write_safetensors(path(), tensors_, {{"format", "pt"}});
    std::string bytes = read_file(path());
    uint64_t header = 0;
    std::memcpy(&header, bytes.data(), sizeof header);
    bytes.insert(8 + header, header % 2 == 0 ? 1 : 2, ' ');
    header += header % 2 == 0 ? 1 : 2;
    std::memcpy(bytes.data(), &header, sizeof header);
    write_file_atomic(path(), bytes);
    return Decoder::load_to_answer(folder_.path(), {}, DType::kF32, {}, device);
  };
  EXPECT_NE(load_odd(), nullptr);
  poison("model.layers.0.mlp.down_proj.weight", 77, 0x7e00);
  try {
    load_odd();
    FAIL() << "accepted";
  } catch (const Error& e) {
    EXPECT_EQ(e.message(),
              "tensor \"model.layers.0.mlp.down_proj.weight\" holds a value that is no finite "
              "number, at element 77");
  }
}

// Sizes of each family as its checkpoints have them: sums checked against transformers' counts are
// in the registry's tests; here, which tensors exist.
TEST_F(Weights, FollowTheFamily) {
  const auto has = [](const std::string& family, const std::string& name) {
    const ModelConfig config = tiny_family_config(family);
    DecoderWeights weights;
    for (const WeightSlot& slot : weight_slots(config, weights)) {
      if (slot.name == name) return true;
    }
    return false;
  };
  const std::string layer = "model.layers.1.";
  EXPECT_TRUE(has("qwen2", layer + "self_attn.k_proj.bias"));
  EXPECT_FALSE(has("qwen2", layer + "self_attn.o_proj.bias"));
  EXPECT_TRUE(has("qwen3", layer + "self_attn.q_norm.weight"));
  EXPECT_TRUE(has("gemma2", layer + "pre_feedforward_layernorm.weight"));
  EXPECT_TRUE(has("phi3", layer + "self_attn.qkv_proj.weight"));
  EXPECT_FALSE(has("phi3", layer + "self_attn.q_proj.weight"));
  EXPECT_FALSE(has("olmo2", layer + "input_layernorm.weight"));
  EXPECT_TRUE(has("olmo2", layer + "post_feedforward_layernorm.weight"));
  EXPECT_TRUE(has("mixtral", layer + "block_sparse_moe.experts.3.w2.weight"));
  EXPECT_TRUE(has("mixtral", layer + "block_sparse_moe.gate.weight"));
}

// Of a prompt, and of what follows it.
std::vector<float> logits_of(Decoder& decoder, LoraAdapter* adapter, Device& device) {
  Generator generator(decoder, adapter, device, 32);
  std::vector<int32_t> prompt(20);
  std::iota(prompt.begin(), prompt.end(), 1);
  std::vector<float> all;
  std::span<const float> logits = generator.prefill(prompt);
  for (int step = 0; step < 3; ++step) {
    all.insert(all.end(), logits.begin(), logits.end());
    logits = generator.step(argmax(logits));
  }
  return all;
}

TEST(LoadToAnswer, GivesTheLogitsOfConvertedWeights) {
  Device device(2);
  for (const bool tied : {true, false}) {
    TemporaryFolder folder;
    Decoder::random(tiny_config(tied), DType::kBF16, 3)->save(folder.path());
    const auto converted = Decoder::load(folder.path(), DType::kF32);
    const auto as_stored = Decoder::load_to_answer(folder.path(), {}, DType::kF32, {}, device);
    EXPECT_EQ(logits_of(*as_stored, nullptr, device), logits_of(*converted, nullptr, device));
    EXPECT_LT(as_stored->owned_bytes(), converted->owned_bytes());

    LoraOptions options;
    options.rank = 4;
    options.modules_to_save = {"lm_head"};
    if (tied) options.modules_to_save.clear();
    fs::create_directory(folder / "adapter");
    LoraAdapter::create(*converted, options, 5)->save(folder / "adapter");
    const auto base =
        Decoder::load_to_answer(folder.path(), folder / "adapter", DType::kF32, {}, device);
    const auto adapter = LoraAdapter::load(folder / "adapter", *base);
    const auto former = LoraAdapter::load(folder / "adapter", *converted);
    EXPECT_EQ(logits_of(*base, adapter.get(), device), logits_of(*converted, former.get(), device));
  }
}

// Bits of a training step on bf16 weights as they lie are those of copies in f32.
TEST(LoadToTrain, GivesTheGradientsOfConvertedWeights) {
  Device device(2);
  const Batch batch = tiny_batch({tiny_row(1, 33, 40), tiny_row(2, 70, 40)});
  const auto step = [&](Decoder& decoder, const LoraOptions& options) {
    const auto adapter = LoraAdapter::create(decoder, options, 5);
    adapter->set_trainable();
    const auto graph = build_graph(decoder, adapter.get(), GraphUse::kTraining, 256);
    Exec exec(graph->graph, device);
    exec.loss_scale = 1.0f / 64.0f;
    exec.forward(batch);
    exec.backward();
    std::vector<float> all = gradients_of(adapter->parameters());
    all.insert(all.end(), exec.token_losses.begin(), exec.token_losses.end());
    return all;
  };
  for (const bool tied : {true, false}) {
    TemporaryFolder folder;
    Decoder::random(tiny_config(tied), DType::kBF16, 3)->save(folder.path());
    for (const bool whole : {false, true}) {
      LoraOptions options;
      options.rank = 4;
      options.use_dora = tied;
      if (whole) options.modules_to_save = {kEmbedTokens, kLmHead};
      const auto converted = Decoder::load(folder.path(), DType::kF32);
      const auto as_stored = Decoder::load_to_train(folder.path(), DType::kF32, {}, whole, device);
      if (trains_as_stored(DType::kF32, DType::kBF16)) {
        EXPECT_LT(as_stored->owned_bytes(), converted->owned_bytes());
      }
      EXPECT_EQ(step(*as_stored, options), step(*converted, options)) << tied << whole;
    }
  }
}

TEST_F(Weights, ThoseToTrainOnAreSearchedForNan) {
  Device device(1);
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    if (dtype == DType::kBF16 && !has_bf16_products(isa_tier())) continue;
    load();
    EXPECT_NE(Decoder::load_to_train(folder_.path(), dtype, {}, false, device), nullptr);
    poison("model.layers.1.self_attn.q_proj.weight", 5, 0x7fc0);
    load();
    try {
      Decoder::load_to_train(folder_.path(), dtype, {}, false, device);
      FAIL() << "accepted";
    } catch (const Error& e) {
      EXPECT_EQ(e.message(),
                "tensor \"model.layers.1.self_attn.q_proj.weight\" holds a value that is no finite "
                "number, at element 5");
    }
    poison("model.layers.1.self_attn.q_proj.weight", 5, 0);
  }
}

// Matrices that are only mapped are not read before: what they do to an answer shows.
TEST_F(Weights, NanInAMappedMatrixGivesNoAnswer) {
  Device device(1);
  for (const char* name : {"q_proj", "k_proj", "v_proj"}) {
    const std::string tensor = std::string("model.layers.0.self_attn.") + name + ".weight";
    const std::vector<std::byte> before = data_[index_of(tensor)];
    for (size_t i = 0; i < before.size() / 2; ++i) poison(tensor, i, 0x7fc0);
    load();
    const auto decoder = Decoder::load_to_answer(folder_.path(), {}, DType::kF32, {}, device);
    Generator generator(*decoder, nullptr, device, 8);
    EXPECT_THROW(generator.prefill(std::vector<int32_t>{1, 2, 3}), Error) << name;
    data_[index_of(tensor)] = before;
  }
}

TEST_F(Weights, HeadersAloneTellTypeAndMisfits) {
  load();
  ModelConfig config = tiny_config(true);
  EXPECT_EQ(check_weight_files(folder_.path(), config), DType::kBF16);
  config.num_layers = 3;
  EXPECT_THROW(check_weight_files(folder_.path(), config), Error);
  config.num_layers = 1;
  EXPECT_THROW(check_weight_files(folder_.path(), config), Error);
}

}  // namespace
}  // namespace dlm
