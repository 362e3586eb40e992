// What the writer wrote, read by the way that shares nothing with it: every family's reference
// logits must come out of its file, with the adapter as a LoRA file and worked in.
#include <gtest/gtest.h>

#include <cmath>

#include "engine/head.h"
#include "export/gguf_model.h"
#include "formats/gguf.h"
#include "model/decoder.h"
#include "model/generate.h"
#include "model/golden.h"
#include "temporary_folder.h"
#include "tiny_tokenizer.h"

namespace dlm {
namespace {

// The checkpoint with a tokenizer of as many tokens as it has rows.
void copy_base(const fs::path& from, const fs::path& to, int64_t vocab) {
  write_tiny_tokenizer(to);
  for (const char* name : {"config.json", "model.safetensors"}) fs::copy(from / name, to / name);
  BpeTrainerOptions options;
  options.vocab_size = vocab;
  options.special_tokens = {"<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|pad|>"};
  BpeTrainer trainer(options);
  trainer.add("the otter swims in the river and the heron stands in the water of the river");
  write_file_atomic(to / "tokenizer.json", trainer.train().dump(2));
}

class GgufFamily : public testing::TestWithParam<fs::path> {
 protected:
  void SetUp() override {
    config_ = load_model_config(GetParam());
    if (!fs::exists(GetParam() / "model.safetensors") || config_.vocab_size != 272) {
      GTEST_SKIP() << "not in one file, or too few tokens for a tokenizer";
    }
    copy_base(GetParam(), base(), config_.vocab_size);
  }

  fs::path base() const { return folder_ / "base"; }
  fs::path adapter() const { return GetParam() / "adapter_lora_final"; }

  GgufFile write(Quant quant, const fs::path& adapter) {
    GgufModelRequest request;
    request.base = base();
    request.adapter = adapter;
    request.quant = quant;
    request.name = "tiny";
    request.out = folder_ / "model.gguf";
    write_gguf_model(request, device_);
    return GgufFile::open(request.out);
  }

  std::vector<float> logits(Decoder& decoder, LoraAdapter* lora, const Batch& batch) {
    const auto graph = build_graph(decoder, lora, GraphUse::kHidden, 64);
    Exec exec(graph->graph, device_);
    exec.forward(batch);
    std::vector<float> out(static_cast<size_t>(exec.tokens() * config_.vocab_size));
    project_to_vocabulary(exec.data<float>(graph->final), exec.tokens(), decoder.head(),
                          out.data());
    if (const double cap = decoder.config().final_softcap; cap > 0) {
      device_.kernels().softcap(out.data(), static_cast<int64_t>(out.size()), 1.0f,
                                static_cast<float>(cap));
    }
    return out;
  }

  // The largest distance to the reference's logits.
  double distance(const std::vector<float>& ours, const GoldenBatch& batch,
                  std::span<const float> theirs) {
    const auto vocab = static_cast<size_t>(config_.vocab_size);
    double worst = 0;
    for (size_t t = 0; t < batch.kept.size(); ++t) {
      for (size_t v = 0; v < vocab; ++v) {
        const float a = ours[t * vocab + v];
        const float b = theirs[static_cast<size_t>(batch.kept[t]) * vocab + v];
        worst = std::max(worst, std::abs(static_cast<double>(a) - static_cast<double>(b)));
      }
    }
    return worst;
  }

  TemporaryFolder folder_;
  Device device_{1};
  ModelConfig config_;
};

TEST_P(GgufFamily, GivesTheReferenceLogits) {
  const GgufFile file = write(Quant::kF32, {});
  const auto decoder = Decoder::load_gguf(file, DType::kF32);
  const auto golden = SafetensorsFile::open(GetParam() / "golden.safetensors");
  const GoldenBatch batch = read_golden_batch(golden);
  EXPECT_LT(
      distance(logits(*decoder, nullptr, batch.batch), batch, f32_values(golden.at("logits"))),
      2e-4);
}

TEST_P(GgufFamily, GivesThoseOfTheAdapterMergedAndBeside) {
  if (!fs::exists(adapter())) GTEST_SKIP() << "no adapter";
  const auto golden = SafetensorsFile::open(GetParam() / "golden.safetensors");
  const GoldenBatch batch = read_golden_batch(golden);
  const auto trained = Decoder::load(GetParam(), DType::kF32);
  const auto lora = LoraAdapter::load(adapter(), *trained);
  const std::vector<float> wanted = logits(*trained, lora.get(), batch.batch);

  const auto distance_to = [&](const std::vector<float>& ours) {
    double worst = 0;
    for (size_t i = 0; i < ours.size(); ++i) {
      worst =
          std::max(worst, std::abs(static_cast<double>(ours[i]) - static_cast<double>(wanted[i])));
    }
    return worst;
  };
  const GgufFile merged = write(Quant::kF32, adapter());
  const auto one = Decoder::load_gguf(merged, DType::kF32);
  EXPECT_LT(distance_to(logits(*one, nullptr, batch.batch)), 5e-4);

  const GgufFile alone = write(Quant::kF32, {});
  const auto base_decoder = Decoder::load_gguf(alone, DType::kF32);
  write_gguf_adapter(base(), adapter(), "tiny", folder_ / "adapter.gguf");
  const auto beside =
      LoraAdapter::load_gguf(GgufFile::open(folder_ / "adapter.gguf"), *base_decoder);
  // Pairs may be written in half precision.
  EXPECT_LT(distance_to(logits(*base_decoder, beside.get(), batch.batch)), 5e-3);
}

// Few tokens go by the blocks as they lie, the head too.
TEST_P(GgufFamily, StaysNearInEveryQuant) {
  const std::vector<int32_t> ids = {1, 40, 77, 230};
  const auto trained = Decoder::load(GetParam(), DType::kF32);
  Generator reference(*trained, nullptr, device_, 32);
  const auto theirs = reference.prefill(ids);
  for (const Quant quant : {Quant::kF16, Quant::kBF16, Quant::kQ8_0}) {
    const GgufFile file = write(quant, {});
    const auto decoder = Decoder::load_gguf(file, DType::kF32);
    Generator generator(*decoder, nullptr, device_, 32);
    const auto ours = generator.prefill(ids);
    double squares = 0;
    for (size_t v = 0; v < ours.size(); ++v) {
      const double d = static_cast<double>(ours[v]) - static_cast<double>(theirs[v]);
      squares += d * d;
    }
    // The logits' own deviation is about 2.
    EXPECT_LT(std::sqrt(squares / static_cast<double>(ours.size())), 0.25) << quant_name(quant);
  }
}

INSTANTIATE_TEST_SUITE_P(All, GgufFamily, testing::ValuesIn(golden_folders()), golden_name);

}  // namespace
}  // namespace dlm
