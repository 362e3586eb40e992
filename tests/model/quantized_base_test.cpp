// Training and generating on a quantized base: gradients are those of the dequantized base to the
// bit, however the work is split; and a token at a time gives what a whole prompt gives.

#include <gtest/gtest.h>

#include <cmath>

#include "model/generate.h"
#include "model/tiny_decoder.h"
#include "support/error.h"
#include "temporary_folder.h"

namespace dlm {
namespace {

// Wider than a block of 64 in one layer, narrower in the others; weights as large as trained ones.
ModelConfig small_config(bool tied) {
  ModelConfig c = tiny_config(tied);
  c.intermediate_size = 80;
  return c;
}

std::unique_ptr<Decoder> small_decoder(bool tied, DType dtype) {
  auto decoder = Decoder::random(small_config(tied), DType::kF32, 3);
  for (Parameter* p : decoder->parameters()) {
    if (p->value.shape().size() != 2) continue;
    for (int64_t i = 0; i < p->value.numel(); ++i) p->value.mutable_f32()[i] *= 10.0f;
    p->value = p->value.cast(dtype);
  }
  if (dtype == DType::kF32) return decoder;
  const TemporaryFolder folder;
  decoder->save(folder.path());
  return Decoder::load(folder.path(), dtype);
}

// What the quantized weights stand for, as a plain decoder.
void dequantize(Decoder& decoder, const Kernels& kernels) {
  for (Parameter* p : decoder.parameters()) {
    if (p->quantized == nullptr) continue;
    Tensor plain = Tensor::zeros(p->value.shape(), p->value.dtype());
    if (p->value.dtype() == DType::kBF16) {
      p->quantized->dequantize(kernels, 0, plain.dim(0), static_cast<BF16*>(plain.mutable_data()));
    } else {
      p->quantized->dequantize(kernels, 0, plain.dim(0), plain.mutable_f32());
    }
    p->value = plain;
    p->quantized = nullptr;
  }
}

std::unique_ptr<LoraAdapter> small_adapter(Decoder& decoder) {
  LoraOptions options;
  options.rank = 4;
  options.dropout = 0.1;
  auto adapter = LoraAdapter::create(decoder, options, 5);
  uint64_t seed = 0;
  for (auto& [name, lora] : adapter->layers()) {
    for (int64_t i = 0; i < lora->bt.value.numel(); ++i) {
      lora->bt.value.mutable_f32()[i] = static_cast<float>(0.1 * normal(++seed));
    }
  }
  adapter->set_trainable();
  return adapter;
}

struct StepResult {
  std::vector<float> losses;
  std::vector<float> gradients;
};

// Loss and gradients of four rows, in batches of `rows_at_once`.
StepResult step(Decoder& decoder, int num_threads, size_t rows_at_once = 4) {
  Device device(num_threads);
  const auto adapter = small_adapter(decoder);
  const auto graph = build_graph(decoder, adapter.get(), GraphUse::kTraining, 256);
  Exec exec(graph->graph, device);
  exec.dropout_on = true;
  exec.loss_scale = 0.01f;
  std::vector<TinyRow> rows;
  for (const int64_t length : {40, 7, 150, 33}) {
    rows.push_back(tiny_row(rows.size() + 1, length, decoder.config().vocab_size));
  }
  StepResult result;
  for (size_t first = 0; first < rows.size(); first += rows_at_once) {
    const Batch batch =
        tiny_batch({rows.begin() + static_cast<std::ptrdiff_t>(first),
                    rows.begin() + static_cast<std::ptrdiff_t>(first + rows_at_once)});
    exec.forward(batch);
    exec.backward();
    result.losses.insert(result.losses.end(), exec.token_losses.begin(), exec.token_losses.end());
  }
  result.gradients = gradients_of(adapter->parameters());
  return result;
}

void expect_same(const StepResult& a, const StepResult& b) {
  ASSERT_EQ(a.gradients.size(), b.gradients.size());
  EXPECT_EQ(std::memcmp(a.losses.data(), b.losses.data(), a.losses.size() * 4), 0);
  EXPECT_EQ(std::memcmp(a.gradients.data(), b.gradients.data(), a.gradients.size() * 4), 0);
}

std::vector<DType> computing_types(Device& device) {
  std::vector<DType> types{DType::kF32};
  if (device.preferred_dtype() == DType::kBF16) types.push_back(DType::kBF16);
  return types;
}

class QuantizedBase : public ::testing::TestWithParam<QuantFormat> {
 protected:
  BaseFormat layers() const { return {GetParam(), std::nullopt}; }
  Device device_{2};
};

TEST_P(QuantizedBase, GradientsAreThoseOfTheDequantizedBase) {
  for (const DType dtype : computing_types(device_)) {
    for (const bool tied : {true, false}) {
      const auto quantized = small_decoder(tied, dtype);
      const auto before = step(*quantized, 2);
      quantized->quantize(layers(), device_);
      const auto plain = small_decoder(tied, dtype);
      plain->quantize(layers(), device_);
      dequantize(*plain, device_.kernels());
      const auto ours = step(*quantized, 2);
      expect_same(ours, step(*plain, 2));
      EXPECT_NE(ours.losses, before.losses) << "quantizing changes the weights";
      double size = 0;
      for (const float g : ours.gradients) size += std::abs(static_cast<double>(g));
      EXPECT_GT(size, 0);
    }
  }
}

TEST_P(QuantizedBase, ThreadsAndBatchesDoNotShow) {
  const DType dtype = device_.preferred_dtype();
  const auto decoder = small_decoder(true, dtype);
  decoder->quantize(layers(), device_);
  const auto expected = step(*decoder, 1);
  for (const int threads : {2, 3, 4, 8}) expect_same(step(*decoder, threads), expected);
  // Losses and gradients of single rows: f32 products below AVX-512 may differ with the tile.
  if (isa_tier() >= IsaTier::kAvx512) expect_same(step(*decoder, 2, 1), expected);
}

TEST_P(QuantizedBase, LoadingQuantizesAsQuantizingDoes) {
  const TemporaryFolder folder;
  small_decoder(false, DType::kF32)->save(folder.path());  // a bf16 file
  for (const DType dtype : computing_types(device_)) {
    const BaseFormat format{GetParam(), QuantFormat::kInt8};
    const auto loaded = Decoder::load(folder.path(), dtype, format, device_);
    const auto quantized = Decoder::load(folder.path(), dtype);
    quantized->quantize(format, device_);
    const auto ours = loaded->parameters();
    const auto theirs = quantized->parameters();
    ASSERT_EQ(ours.size(), theirs.size());
    for (size_t i = 0; i < ours.size(); ++i) {
      ASSERT_EQ(ours[i]->quantized == nullptr, theirs[i]->quantized == nullptr) << ours[i]->name;
      if (ours[i]->quantized == nullptr) continue;
      EXPECT_TRUE(ours[i]->value.empty());
      std::vector<float> a(static_cast<size_t>(ours[i]->value.numel()));
      std::vector<float> b(a.size());
      ours[i]->quantized->dequantize(device_.kernels(), 0, ours[i]->value.dim(0), a.data());
      theirs[i]->quantized->dequantize(device_.kernels(), 0, ours[i]->value.dim(0), b.data());
      EXPECT_EQ(a, b) << ours[i]->name;
    }
    const size_t head_bytes = loaded->head().quantized->size_bytes();
    EXPECT_GE(head_bytes, static_cast<size_t>(loaded->head().value.numel())) << "8 bits a weight";
    EXPECT_EQ(loaded->embedding().quantized, nullptr);
  }
}

// The logits that follow each prefix of a row, the row given at once or token by token. Both read
// the same quantized weights; a prompt of more than four tokens rounds them to the computing type
// first. f32: sums of at most 80 products in another order. bf16: weights and activations rounded
// at 2^-9 on the way through two layers, logits of about 1.
TEST_P(QuantizedBase, ATokenAtATimeGivesWhatAPromptGives) {
  for (const DType dtype : computing_types(device_)) {
    const auto decoder = small_decoder(true, dtype);
    decoder->quantize({GetParam(), QuantFormat::kInt8}, device_);
    const auto adapter = small_adapter(*decoder);
    const TinyRow row = tiny_row(9, 12, decoder->config().vocab_size);
    Generator stepping(*decoder, adapter.get(), device_, 16);
    Generator whole(*decoder, adapter.get(), device_, 16);
    double worst = 0;
    double largest = 0;
    stepping.prefill(std::span(row.tokens).first(1));
    for (size_t n = 2; n <= row.tokens.size(); ++n) {
      const auto one = stepping.step(row.tokens[n - 1]);
      const auto all = whole.prefill(std::span(row.tokens).first(n));
      for (size_t v = 0; v < one.size(); ++v) {
        worst = std::max(worst, std::abs(static_cast<double>(one[v] - all[v])));
        largest = std::max(largest, std::abs(static_cast<double>(all[v])));
      }
    }
    EXPECT_LT(worst, largest * (dtype == DType::kF32 ? 1e-5 : 0.05));
    EXPECT_GT(largest, 0.1);
  }
}

TEST_P(QuantizedBase, RefusesALossUnderAQuantizedHead) {
  const auto decoder = small_decoder(true, DType::kF32);
  decoder->quantize({GetParam(), QuantFormat::kInt8}, device_);
  EXPECT_THROW(build_graph(*decoder, nullptr, GraphUse::kLoss, 16), Error);
}

INSTANTIATE_TEST_SUITE_P(Formats, QuantizedBase,
                         ::testing::Values(QuantFormat::kInt8, QuantFormat::kNF4),
                         [](const auto& format) {
                           return format.param == QuantFormat::kInt8 ? "int8" : "nf4";
                         });

}  // namespace
}  // namespace dlm
