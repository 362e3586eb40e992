// Documents that ask for other adapters than plain LoRA on all layers: what is committed can be
// prompted with, and is the same for any number of threads.

#include <cstring>

#include "infer/session.h"
#include "train_fixture.h"

namespace dlm {
namespace {

class AdapterKindsTest : public TrainTest {
 protected:
  // Trains `training` with one and with three threads; the second run's version must equal the
  // first's. Returns the adapter as a prompt would load it.
  std::unique_ptr<Decoder> train_twice(const std::string& training) {
    write_document("  num_epochs: 4\n" + training, kThreePairs);
    const TrainResult first = train();
    EXPECT_TRUE(first.trained);
    request_.num_threads = 3;
    const TrainResult second = train();
    EXPECT_EQ(second.adapter_sha256, first.adapter_sha256);
    auto decoder = Decoder::load(bases().own_folder / kTinyBaseKey, DType::kF32);
    adapter_ = LoraAdapter::load(second.adapter_path, *decoder);
    return decoder;
  }

  std::unique_ptr<LoraAdapter> adapter_;
};

TEST_F(AdapterKindsTest, DoraTrainsItsMagnitudesAndAnswers) {
  const auto decoder = train_twice("  adapter: dora\n");
  ASSERT_TRUE(adapter_->options().use_dora);
  const auto untrained = LoraAdapter::create(*decoder, adapter_->options(), 42);
  int64_t moved = 0;
  for (const auto& [module, lora] : adapter_->layers()) {
    const Tensor& before = untrained->find(module)->dora->magnitude.value;
    const Tensor& after = lora->dora->magnitude.value;
    moved += std::memcmp(before.data(), after.data(), after.size_bytes()) != 0 ? 1 : 0;
  }
  EXPECT_EQ(moved, static_cast<int64_t>(adapter_->layers().size()));

  Device device(2);
  Base base;
  base.folder = bases().own_folder / kTinyBaseKey;
  const auto session = Session::open(base, store().adapter() / "versions/v0002", device);
  AnswerOptions options;
  options.max_tokens = 4;
  EXPECT_GT(session->answer("What swims in the river?", options).prompt_tokens, 0);
}

TEST_F(AdapterKindsTest, EmbeddingAndHeadAreTrainedWhole) {
  const auto decoder = train_twice("  target_modules: [q_proj, embed_tokens, lm_head]\n");
  EXPECT_EQ(adapter_->layers().size(), static_cast<size_t>(decoder->config().num_layers));
  ASSERT_NE(adapter_->embedding(), nullptr);
  ASSERT_NE(adapter_->head(), nullptr);
  const auto differs = [](const Parameter& trained, const Parameter& base) {
    return std::memcmp(trained.value.data(), base.value.data(), base.value.size_bytes()) != 0;
  };
  EXPECT_TRUE(differs(*adapter_->embedding(), decoder->embedding()));
  EXPECT_TRUE(differs(*adapter_->head(), decoder->head()));
}

TEST_F(AdapterKindsTest, ARankAboveALayerIsRefusedAndCommitsNothing) {
  write_document("  lora_r: 256\n", kThreePairs);
  EXPECT_NE(fault().find("rank 256 is larger than layer \"model.layers.0."), std::string::npos);
  EXPECT_EQ(kind_, ErrorKind::kTrain);
  EXPECT_FALSE(fs::exists(store().adapter() / "versions/v0001"));
}

}  // namespace
}  // namespace dlm
