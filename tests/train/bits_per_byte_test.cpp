// Bits per byte against the logits of the token-by-token path, softmaxed here in f64.
#include "train/bits_per_byte.h"

#include <gtest/gtest.h>

#include <cmath>

#include "model/generate.h"
#include "temporary_folder.h"
#include "tiny_base.h"

namespace dlm {
namespace {

class MeasureText : public ::testing::Test {
 protected:
  MeasureText() {
    write_tiny_base(folder_.path());
    decoder_ = Decoder::load(folder_.path(), DType::kF32);
  }

  // -log p of ids[1..], each window read alone.
  double nats_by_steps(const std::vector<int32_t>& ids, size_t context) {
    double nats = 0;
    for (size_t at = 0; at + 1 < ids.size(); at += context) {
      const size_t length = std::min(context, ids.size() - 1 - at);
      Generator generator(*decoder_, nullptr, device_, static_cast<int64_t>(length) + 1);
      std::span<const float> logits = generator.prefill(std::span(ids).subspan(at, 1));
      for (size_t i = 0; i < length; ++i) {
        if (i > 0) logits = generator.step(ids[at + i]);
        double sum = 0;
        for (const float logit : logits) sum += std::exp(static_cast<double>(logit));
        nats += std::log(sum) - static_cast<double>(logits[static_cast<size_t>(ids[at + i + 1])]);
      }
    }
    return nats;
  }

  TemporaryFolder folder_;
  Device device_{2};
  std::unique_ptr<Decoder> decoder_;
};

TEST_F(MeasureText, EqualsTheLogitsOfEachStep) {
  const Tokenizer tokenizer = Tokenizer::load(folder_ / "tokenizer.json");
  const std::string text = "The otter swims in the river. Größe: <|im_end|> 42.";
  std::vector<int32_t> ids = {2};  // it has no BOS: the first of its ends
  for (const int32_t id : tokenizer.encode_ordinary(text)) ids.push_back(id);
  for (const size_t context : {size_t{8}, size_t{200}}) {
    const TextMeasure measured = measure_text(*decoder_, tokenizer, {text, "", text},
                                              static_cast<int64_t>(context), device_);
    const double expected = 2 * nats_by_steps(ids, context);
    EXPECT_EQ(measured.tokens, 2 * static_cast<int64_t>(ids.size() - 1));
    EXPECT_EQ(measured.bytes, 2 * text.size());
    EXPECT_NEAR(measured.nats, expected, 1e-4 * expected);
    EXPECT_NEAR(measured.bits_per_byte(),
                expected / std::log(2.0) / static_cast<double>(2 * text.size()), 1e-3);
  }
}

TEST_F(MeasureText, OfNothingIsNothing) {
  const Tokenizer tokenizer = Tokenizer::load(folder_ / "tokenizer.json");
  const TextMeasure measured = measure_text(*decoder_, tokenizer, {}, 64, device_);
  EXPECT_EQ(measured.tokens, 0);
  EXPECT_EQ(measured.bits_per_byte(), 0);
}

}  // namespace
}  // namespace dlm
