// What 8 and 4 bits cost the bundled base: how far its next-token distributions move on English
// text, and that quantized sessions answer.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "infer/session.h"
#include "temporary_folder.h"

namespace dlm {
namespace {

constexpr const char* kText =
    "The old house stood at the end of the lane, and nobody had lived in it since the winter when "
    "the river came over its banks. In the morning the boys went down to the water to see whether "
    "the boat was still there. It was half full of rain, but it would float, and before noon they "
    "had taken it across to the island. There they found a fire that had burned out, a broken jar, "
    "and the marks of a man's boots in the sand. \"He was here last night,\" said the elder, \"and "
    "he "
    "cannot be far away.\" They waited until the evening, and when the moon rose they saw a light "
    "between the trees.";

class QuantizedAccuracy : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(DLM_SOURCE_ROOT) / "assets" / "dlm-nano";
    ASSERT_TRUE(path_exists(folder_ / "model.safetensors")) << "the bundled base has no weights";
    tokens_ = ChatFormat::load(folder_).tokenizer().encode(kText, true);
    ASSERT_GT(tokens_.size(), 100u);
  }

  // log p of the whole vocabulary after each token of the text.
  std::vector<std::vector<double>> log_probabilities(const BaseFormat& format) {
    const auto decoder = Decoder::load(folder_, device_.preferred_dtype(), format, device_);
    Generator generator(*decoder, nullptr, device_, static_cast<int64_t>(tokens_.size()));
    std::vector<std::vector<double>> all;
    for (size_t t = 0; t < tokens_.size(); ++t) {
      const auto logits =
          t == 0 ? generator.prefill(std::span(tokens_).first(1)) : generator.step(tokens_[t]);
      double total = 0;
      for (const float x : logits) total += std::exp(static_cast<double>(x));
      std::vector<double> line;
      for (const float x : logits) line.push_back(static_cast<double>(x) - std::log(total));
      all.push_back(std::move(line));
    }
    return all;
  }

  struct Cost {
    double divergence = 0;  // mean of KL(full || quantized) over the tokens, in nats
    double same_top = 0;    // share of tokens with the same likeliest successor
  };
  Cost cost_of(const BaseFormat& format) {
    if (full_.empty()) full_ = log_probabilities({});
    const auto quantized = log_probabilities(format);
    Cost cost;
    for (size_t t = 0; t < full_.size(); ++t) {
      for (size_t v = 0; v < full_[t].size(); ++v) {
        cost.divergence += std::exp(full_[t][v]) * (full_[t][v] - quantized[t][v]);
      }
      cost.same_top +=
          std::max_element(full_[t].begin(), full_[t].end()) - full_[t].begin() ==
          std::max_element(quantized[t].begin(), quantized[t].end()) - quantized[t].begin();
    }
    cost.divergence /= static_cast<double>(full_.size());
    cost.same_top /= static_cast<double>(full_.size());
    // In the report of --gtest_output, for whoever moves the bounds.
    RecordProperty(format.head ? "divergence_of_all" : "divergence_of_layers",
                   std::to_string(cost.divergence));
    RecordProperty(format.head ? "same_top_of_all" : "same_top_of_layers",
                   std::to_string(cost.same_top));
    return cost;
  }

  fs::path folder_;
  Device device_{2};
  std::vector<int32_t> tokens_;
  std::vector<std::vector<double>> full_;
};

// About twice what was measured with the committed weights: 0.00006 nats and 99.3% for 8 bits,
// 0.0033 and 95.6% for 4.
TEST_F(QuantizedAccuracy, EightBitsHardlyShow) {
  const Cost cost = cost_of(BaseFormat::int8());
  EXPECT_LT(cost.divergence, 0.00015);
  EXPECT_GT(cost.same_top, 0.97);
}

TEST_F(QuantizedAccuracy, FourBitsCostLittle) {
  const Cost layers = cost_of(BaseFormat::qlora());
  EXPECT_LT(layers.divergence, 0.007);
  EXPECT_GT(layers.same_top, 0.9);
  const Cost all = cost_of(BaseFormat::nf4());
  EXPECT_LT(all.divergence, 0.007);
  EXPECT_GT(all.same_top, 0.9);
}

TEST_F(QuantizedAccuracy, QuantizedSessionsAnswerGreedilyAndSampled) {
  for (const BaseWeights weights : {BaseWeights::kInt8, BaseWeights::kNF4}) {
    const auto session = Session::open({"dlm-nano", folder_, {}}, {}, device_, weights);
    AnswerOptions options;
    options.max_tokens = 24;
    const Answer greedy = session->answer("Tell me about the sea.", options);
    EXPECT_GT(greedy.answer_tokens, 2);
    options.sampling.temperature = 0.8;
    options.sampling.seed = 3;
    const Answer sampled = session->answer("Tell me about the sea.", options);
    EXPECT_EQ(sampled.text, session->answer("Tell me about the sea.", options).text);
    EXPECT_NE(sampled.text, greedy.text);
  }
}

TEST(TrainedOn4Bits, IsReadFromTheRunAndElseFromTheVersions) {
  const TemporaryFolder folder;
  const auto write = [&](const char* name, const char* text) {
    write_file_atomic(folder / name, text);
  };
  EXPECT_FALSE(was_trained_on_4_bits(folder.path())) << "an adapter of another program";
  write("pinned_versions.json", R"({"bitsandbytes": null, "torch": "2.1"})");
  EXPECT_FALSE(was_trained_on_4_bits(folder.path()));
  write("pinned_versions.json", R"({"bitsandbytes": "0.43"})");
  EXPECT_TRUE(was_trained_on_4_bits(folder.path()));
  write("training_run.json", "{broken");
  EXPECT_TRUE(was_trained_on_4_bits(folder.path()));
  write("training_run.json", R"({"use_qlora": "yes"})");
  EXPECT_TRUE(was_trained_on_4_bits(folder.path())) << "not a truth value";
  write("training_run.json", R"({"use_qlora": false})");
  EXPECT_FALSE(was_trained_on_4_bits(folder.path()));
  write("training_run.json", R"({"use_qlora": true})");
  write("pinned_versions.json", "[]");
  EXPECT_TRUE(was_trained_on_4_bits(folder.path()));
}

}  // namespace
}  // namespace dlm
