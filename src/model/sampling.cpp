#include "model/sampling.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "engine/cpu/isa.h"
#include "engine/cpu/kernels.h"
#include "engine/random.h"

namespace dlm {

namespace {

// As wide as the compiler's vectors and some more, so that comparisons do not wait for each other.
constexpr size_t kWidth = 32;
constexpr size_t kBlock = 32 * kWidth;

// Of a whole number of widths.
float largest(const float* x, size_t count) {
  float best[kWidth];
  std::copy_n(x, kWidth, best);
  for (size_t i = kWidth; i < count; i += kWidth) {
    for (size_t j = 0; j < kWidth; ++j) best[j] = x[i + j] > best[j] ? x[i + j] : best[j];
  }
  return *std::max_element(best, best + kWidth);
}

// Probabilities of all tokens, f32 [vocab]; top is the largest logit.
std::vector<float> probabilities(std::span<const float> logits, float top, double temperature) {
  std::vector<float> below(logits.begin(), logits.end());
  for (float& logit : below) logit -= top;
  std::vector<float> out(logits.size());
  const auto n = static_cast<int64_t>(logits.size());
  const auto scale = static_cast<float>(std::min(1.0 / temperature, 1e30));
  kernels(isa_tier()).f32.softmax(below.data(), n, n, scale, out.data());
  return out;
}

// Tokens from the likeliest on, sorted as far as somebody asks: mostly a few of very many.
class LikeliestFirst {
 public:
  LikeliestFirst(std::span<const float> logits, float top, double temperature)
      : logits_(logits),
        above_(std::numeric_limits<double>::infinity()),
        top_(static_cast<double>(top)),
        step_(kFirstStep * temperature) {}

  // i is below the number of logits.
  int32_t at(size_t i) {
    while (i >= order_.size()) grow();
    return order_[i];
  }

 private:
  static constexpr double kFirstStep = 4;  // a token is e^4 times likelier than the next ones
  static constexpr int kMostRounds = 6;    // each reaches four times as far as the one before

  double logit(int32_t token) const {
    return static_cast<double>(logits_[static_cast<size_t>(token)]);
  }
  // Appends the tokens of the next range of logits; the last range has no lower end.
  void grow() {
    const bool is_last = ++rounds_ == kMostRounds;
    const double from = is_last ? -std::numeric_limits<double>::infinity() : top_ - step_;
    const auto sorted = static_cast<int64_t>(order_.size());
    for (size_t t = 0; t < logits_.size(); ++t) {
      const double x = static_cast<double>(logits_[t]);
      if (x >= from && x < above_) order_.push_back(static_cast<int32_t>(t));
    }
    std::stable_sort(order_.begin() + sorted, order_.end(),
                     [&](int32_t a, int32_t b) { return logit(a) > logit(b); });
    above_ = from;
    step_ *= 4;
  }

  std::span<const float> logits_;
  std::vector<int32_t> order_;
  double above_;  // tokens with logits from here up are in order
  double top_;    // the largest logit
  double step_;
  int rounds_ = 0;
};

}  // namespace

int32_t argmax(std::span<const float> logits) {
  const size_t whole = logits.size() / kBlock * kBlock;
  size_t best = 0;
  for (size_t i = 0; i < whole; i += kBlock) {
    const float* block = logits.data() + i;
    const float of_block = largest(block, kBlock);
    if (!(of_block > logits[best])) continue;
    best = static_cast<size_t>(std::find(block, block + kBlock, of_block) - logits.data());
  }
  for (size_t i = whole; i < logits.size(); ++i) {
    if (logits[i] > logits[best]) best = i;
  }
  return static_cast<int32_t>(best);
}

int32_t sample(std::span<const float> logits, const SamplingOptions& options, int64_t position) {
  if (options.temperature <= 0) return argmax(logits);
  const float top = logits[static_cast<size_t>(argmax(logits))];
  const std::vector<float> probability = probabilities(logits, top, options.temperature);
  LikeliestFirst tokens(logits, top, options.temperature);
  const auto weight = [&](size_t i) {
    return static_cast<double>(probability[static_cast<size_t>(tokens.at(i))]);
  };
  const bool has_limit = options.top_k > 0 && options.top_k < static_cast<int64_t>(logits.size());
  const size_t most = has_limit ? static_cast<size_t>(options.top_k) : logits.size();
  double total = 0;
  if (has_limit) {
    for (size_t i = 0; i < most; ++i) total += weight(i);
  } else {
    for (const float p : probability) total += static_cast<double>(p);
  }
  // Of how many tokens one is drawn, and what they weigh; all of them need not be sorted for that.
  double kept = total;
  size_t count = most;
  if (options.top_p < 1) {
    kept = 0;
    count = 0;
    while (count < most && (count == 0 || kept < options.top_p * total)) kept += weight(count++);
  }
  double draw = uniform(random_key({options.seed, static_cast<uint64_t>(position)})) * kept;
  int32_t drawn = tokens.at(0);
  for (size_t i = 0; i < count && weight(i) > 0 && draw >= 0; ++i) {
    drawn = tokens.at(i);
    draw -= weight(i);
  }
  return drawn;
}

}  // namespace dlm
