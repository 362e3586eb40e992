// The choice of the next token against its plain definition: all tokens sorted, in f64.
#include "model/sampling.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <vector>

#include "engine/random.h"

namespace dlm {
namespace {

// As the last layer of a model gives them: most tokens far below a few.
std::vector<float> logits_of(size_t count, uint64_t seed, double spread) {
  std::vector<float> out(count);
  for (size_t i = 0; i < count; ++i) {
    out[i] = static_cast<float>(spread * normal(random_key({seed, i})));
  }
  return out;
}

// What a draw between 0 and 1 takes, and how near it came to taking a neighbour.
struct Choice {
  int32_t token;
  double margin;
};

Choice plain_choice(const std::vector<float>& logits, const SamplingOptions& o, int64_t position) {
  std::vector<int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  const auto logit = [&](int32_t t) { return static_cast<double>(logits[static_cast<size_t>(t)]); };
  std::stable_sort(order.begin(), order.end(),
                   [&](int32_t a, int32_t b) { return logit(a) > logit(b); });
  if (o.top_k > 0) order.resize(std::min(order.size(), static_cast<size_t>(o.top_k)));
  std::vector<double> weights;
  for (const int32_t t : order) {
    weights.push_back(std::exp((logit(t) - logit(order[0])) / o.temperature));
  }
  const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
  double kept = 0;
  size_t count = 0;
  while (count < weights.size() && (count == 0 || kept < o.top_p * total)) kept += weights[count++];
  double draw = uniform(random_key({o.seed, static_cast<uint64_t>(position)})) * kept;
  double margin = draw / total;
  for (size_t i = 0; i < count; ++i) {
    draw -= weights[i];
    margin = std::min(margin, std::abs(draw) / total);
    if (draw < 0) return {order[i], margin};
  }
  return {order[count - 1], margin};
}

TEST(Sampling, TakesWhatThePlainDefinitionTakes) {
  int compared = 0;
  for (const size_t vocab : {1, 40, 1023, 1024, 5000}) {
    for (const double spread : {0.01, 3.0, 60.0}) {
      const std::vector<float> logits = logits_of(vocab, vocab, spread);
      for (const double temperature : {1e-6, 0.3, 1.0, 8.0}) {
        for (const double top_p : {0.0, 0.5, 0.95, 1.0}) {
          for (const int64_t top_k : {0, 1, 30, 100000}) {
            for (int64_t position = 0; position < 5; ++position) {
              const SamplingOptions options{temperature, top_p, top_k, 7};
              const Choice plain = plain_choice(logits, options, position);
              // Rounding to f32 may decide what is nearer than this.
              if (plain.margin < 1e-5) continue;
              ++compared;
              ASSERT_EQ(sample(logits, options, position), plain.token)
                  << vocab << " tokens, spread " << spread << ", temperature " << temperature
                  << ", top_p " << top_p << ", top_k " << top_k << ", position " << position;
            }
          }
        }
      }
    }
  }
  EXPECT_GT(compared, 2000);
}

TEST(Sampling, FollowsTheProbabilities) {
  const std::vector<float> logits{std::log(0.5f), std::log(0.2f), std::log(0.3f)};
  std::map<int32_t, int> drawn;
  constexpr int kDraws = 20000;
  for (int i = 0; i < kDraws; ++i) ++drawn[sample(logits, {1.0, 1.0, 0, 3}, i)];
  EXPECT_NEAR(drawn[0], 0.5 * kDraws, 300);
  EXPECT_NEAR(drawn[1], 0.2 * kDraws, 300);
  EXPECT_NEAR(drawn[2], 0.3 * kDraws, 300);
}

TEST(Sampling, NeverDrawsATokenOfNoProbability) {
  std::vector<float> logits(3000, -2000.0f);
  logits[1234] = 5;
  logits[77] = 4;
  for (int i = 0; i < 1000; ++i) {
    const int32_t token = sample(logits, {1.0, 1.0, 0, 11}, i);
    EXPECT_TRUE(token == 1234 || token == 77) << token;
  }
}

TEST(Sampling, TheSmallestTemperatureIsGreedy) {
  const std::vector<float> logits = logits_of(3000, 5, 1e-3);
  const int32_t best = argmax(logits);
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(sample(logits, {5e-324, 1.0, 0, 1}, i), best);
  }
}

TEST(Argmax, FindsTheFirstOfTheLargestWhereverItIs) {
  for (const size_t count : {1, 31, 1024, 1025, 4096, 5000}) {
    std::vector<float> logits = logits_of(count, 9, 2.0);
    for (size_t at = 0; at < count; at += 1 + count / 37) {
      const float before = logits[at];
      logits[at] = 100;
      logits.back() = 100;  // no earlier one
      EXPECT_EQ(argmax(logits), static_cast<int32_t>(at));
      logits[at] = before;
    }
    std::fill(logits.begin(), logits.end(), -3.0f);
    EXPECT_EQ(argmax(logits), 0);
  }
}

}  // namespace
}  // namespace dlm
