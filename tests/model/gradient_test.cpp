// Gradients of every weight of a small random decoder, and of an adapter on it, against finite
// differences of the loss in fp32.

#include <gtest/gtest.h>

#include <cmath>

#include "model/tiny_decoder.h"

namespace dlm {
namespace {

class Gradients : public ::testing::Test {
 protected:
  Gradients() : batch_(tiny_batch({tiny_row(1, 9, 40), tiny_row(2, 5, 40)})), device_(2) {}

  // Sum of the losses of all labelled tokens, times the scale.
  double loss(Decoder& decoder, LoraAdapter* adapter) {
    const auto graph = build_graph(decoder, adapter, GraphUse::kLoss, 1024);
    Exec exec(graph->graph, device_);
    exec.dropout_on = dropout_on_;
    exec.forward(batch_);
    double total = 0;
    for (const float x : exec.token_losses) total += static_cast<double>(x);
    return total * kScale;
  }

  void compute(Decoder& decoder, LoraAdapter* adapter) {
    const auto graph = build_graph(decoder, adapter, GraphUse::kTraining, 1024);
    Exec exec(graph->graph, device_);
    exec.dropout_on = dropout_on_;
    exec.loss_scale = static_cast<float>(kScale);
    exec.forward(batch_);
    exec.backward();
  }

  // Moves each parameter along random directions of +-1: the loss must change by gradient .
  // direction. The step of 2^-10 keeps the third-order term below 1% of the slope; the loss, near
  // 4, has a rounding error near 2e-7, which the step turns into 1e-4.
  void expect_slopes(Decoder& decoder, LoraAdapter* adapter,
                     const std::vector<Parameter*>& parameters, uint64_t directions = 3,
                     float step = 0x1p-10f) {
    compute(decoder, adapter);
    for (Parameter* p : parameters) {
      for (uint64_t direction = 0; direction < directions; ++direction) {
        const int64_t n = p->value.numel();
        float* w = p->trained_elements();
        const std::vector<float> before(w, w + n);
        double slope = 0;
        const auto sign = [&](int64_t i) {
          return random_key({direction, static_cast<uint64_t>(i)}) % 2 == 0 ? 1.0f : -1.0f;
        };
        for (int64_t i = 0; i < n; ++i) slope += static_cast<double>(p->grad.f32()[i] * sign(i));
        double moved[2];
        for (const int way : {0, 1}) {
          for (int64_t i = 0; i < n; ++i) {
            w[i] = before[static_cast<size_t>(i)] + (way == 0 ? step : -step) * sign(i);
          }
          // Only a magnitude says that it moved: DoRA's row norms are constants of the gradient,
          // and stay as they are for A and B.
          if (p->value.shape().size() == 1) p->publish();
          moved[way] = loss(decoder, adapter);
        }
        std::copy(before.begin(), before.end(), w);
        if (p->value.shape().size() == 1) p->publish();
        const double measured = (moved[0] - moved[1]) / (2.0 * static_cast<double>(step));
        const double rounding = 2e-7 / static_cast<double>(step);
        EXPECT_NEAR(slope, measured, rounding + 0.01 * std::abs(measured))
            << p->name << " along direction " << direction;
      }
    }
  }

  static constexpr double kScale = 0.125;
  Batch batch_;
  Device device_;
  bool dropout_on_ = false;
};

// random() draws weights near 0.02, whose layers barely bend the loss: ten times that makes every
// path count.
std::unique_ptr<Decoder> lively_decoder(const ModelConfig& config) {
  auto decoder = Decoder::random(config, DType::kF32, 3);
  for (Parameter* p : decoder->parameters()) {
    if (p->value.shape().size() != 2) continue;
    for (int64_t i = 0; i < p->value.numel(); ++i) p->value.mutable_f32()[i] *= 10.0f;
  }
  return decoder;
}

std::unique_ptr<Decoder> lively_decoder(bool tied) {
  return lively_decoder(tiny_config(tied));
}

TEST_F(Gradients, OfAllWeightsMatchFiniteDifferences) {
  const auto decoder = lively_decoder(false);
  for (Parameter* p : decoder->parameters()) p->make_trainable();
  expect_slopes(*decoder, nullptr, decoder->parameters());
}

TEST_F(Gradients, OfATiedTableAddUpFromInputAndHead) {
  const auto decoder = lively_decoder(true);
  for (Parameter* p : decoder->parameters()) p->make_trainable();
  expect_slopes(*decoder, nullptr, {&decoder->embedding()});
}

// B starts at zero, where A has no gradient; magnitudes at the norms, where rows are not scaled.
std::unique_ptr<LoraAdapter> lively_adapter(Decoder& decoder, LoraOptions options) {
  options.rank = 3;
  auto adapter = LoraAdapter::create(decoder, options, 5);
  uint64_t seed = 0;
  for (const auto& [name, lora] : adapter->layers()) {
    for (int64_t i = 0; i < lora->bt.value.numel(); ++i) {
      lora->bt.value.mutable_f32()[i] = static_cast<float>(0.1 * normal(++seed));
    }
    if (!lora->dora) continue;
    Tensor& magnitude = lora->dora->magnitude.value;
    for (int64_t i = 0; i < magnitude.numel(); ++i) {
      magnitude.mutable_f32()[i] *= static_cast<float>(1 + 0.2 * normal(++seed));
    }
  }
  adapter->set_trainable();
  return adapter;
}

TEST_F(Gradients, OfAnAdapterMatchFiniteDifferences) {
  const auto decoder = lively_decoder(true);
  const auto adapter = lively_adapter(*decoder, {});
  expect_slopes(*decoder, adapter.get(), adapter->parameters());
}

// Fused projections, norms on both sides and of queries and keys, caps, windows, layers without
// rotation, and the path through a router's weights.
TEST_F(Gradients, OfAnAdapterMatchFiniteDifferencesInEveryFamily) {
  for (const std::string_view family : family_names()) {
    SCOPED_TRACE(family);
    ModelConfig config = tiny_family_config(std::string(family));
    // With a choice to make, the loss jumps where the choice changes.
    config.experts_per_token = config.num_experts;
    const auto decoder = lively_decoder(config);
    const auto adapter = lively_adapter(*decoder, {});
    // Norms of small sublayer outputs bend the loss more: a quarter of the step.
    expect_slopes(*decoder, adapter.get(), adapter->parameters(), 1, 0x1p-12f);
  }
}

TEST_F(Gradients, OfDoraMatchFiniteDifferences) {
  const auto decoder = lively_decoder(true);
  LoraOptions options;
  options.use_dora = true;
  const auto adapter = lively_adapter(*decoder, options);
  expect_slopes(*decoder, adapter.get(), adapter->parameters());
}

// Masks depend on (row, position, layer, channel) only, so the moved loss sees the same ones.
TEST_F(Gradients, ThroughDropoutMatchFiniteDifferences) {
  const auto decoder = lively_decoder(true);
  LoraOptions options;
  options.dropout = 0.2;
  for (const bool use_dora : {false, true}) {
    options.use_dora = use_dora;
    const auto adapter = lively_adapter(*decoder, options);
    dropout_on_ = false;
    const double without = loss(*decoder, adapter.get());
    dropout_on_ = true;
    EXPECT_NE(loss(*decoder, adapter.get()), without);
    expect_slopes(*decoder, adapter.get(), adapter->parameters());
  }
}

TEST_F(Gradients, OfWholeEmbeddingAndHeadMatchFiniteDifferences) {
  for (const bool tied : {true, false}) {
    const auto decoder = lively_decoder(tied);
    LoraOptions options;
    options.modules_to_save = {kEmbedTokens, kLmHead};
    const auto adapter = lively_adapter(*decoder, options);
    expect_slopes(*decoder, adapter.get(), {adapter->embedding(), adapter->head()});
    EXPECT_FALSE(decoder->embedding().trains);
  }
}

// 600 labelled tokens of one row: more than the head's gradient takes at once.
TEST_F(Gradients, OfTheHeadOverALongRowMatchFiniteDifferences) {
  const auto decoder = lively_decoder(true);
  LoraOptions options;
  options.modules_to_save = {kLmHead};
  const auto adapter = lively_adapter(*decoder, options);
  batch_ = tiny_batch({tiny_row(3, 4, 40), tiny_row(1, 900, 40), tiny_row(2, 70, 40)});
  ASSERT_GT(batch_.num_labels(), 600);
  expect_slopes(*decoder, adapter.get(), {adapter->head()});
}

TEST_F(Gradients, FrozenWeightsGetNone) {
  const auto decoder = lively_decoder(true);
  const auto adapter = LoraAdapter::create(*decoder, {}, 5);
  adapter->set_trainable();
  compute(*decoder, adapter.get());
  for (const Parameter* p : decoder->parameters()) EXPECT_TRUE(p->grad.empty()) << p->name;
}

TEST_F(Gradients, AddUpOverPasses) {
  const auto decoder = lively_decoder(true);
  const auto adapter = LoraAdapter::create(*decoder, {}, 5);
  adapter->set_trainable();
  batch_ = tiny_batch({tiny_row(1, 9, 40)});
  compute(*decoder, adapter.get());
  const std::vector<float> once = gradients_of(adapter->parameters());
  compute(*decoder, adapter.get());
  const std::vector<float> twice = gradients_of(adapter->parameters());
  // One row a pass: a + a is exact in binary floating point.
  for (size_t i = 0; i < once.size(); ++i) ASSERT_EQ(twice[i], once[i] + once[i]);
}

}  // namespace
}  // namespace dlm
