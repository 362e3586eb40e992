#include "model/generate.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "engine/random.h"
#include "support/elementary.h"
#include "support/error.h"

namespace dlm {

Generator::Generator(Decoder& decoder, LoraAdapter* adapter, Device& device, int64_t capacity)
    : sequence_(decoder, adapter, device, std::vector<SequenceRoom>{{capacity, false}}),
      logits_(static_cast<size_t>(decoder.config().vocab_size)) {}

std::span<const float> Generator::prefill(std::span<const int32_t> prompt) {
  sequence_.cut(0, 0);
  return extend(prompt);
}

std::span<const float> Generator::step(int32_t token) {
  return extend({&token, 1});
}

std::span<const float> Generator::extend(std::span<const int32_t> tokens) {
  sequence_.append(0, tokens);
  sequence_.read();
  sequence_.logits(0, sequence_.length(0) - 1, 1, logits_.data());
  return logits_;
}

int32_t argmax(std::span<const float> logits) {
  return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

int32_t sample(std::span<const float> logits, const SamplingOptions& options, int64_t position) {
  if (options.temperature <= 0) return argmax(logits);
  std::vector<int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    return logits[static_cast<size_t>(a)] > logits[static_cast<size_t>(b)];
  });
  if (options.top_k > 0 && options.top_k < static_cast<int64_t>(order.size())) {
    order.resize(static_cast<size_t>(options.top_k));
  }
  const double top = static_cast<double>(logits[static_cast<size_t>(order[0])]);
  std::vector<double> weights;
  double total = 0;
  for (const int32_t token : order) {
    const double logit = static_cast<double>(logits[static_cast<size_t>(token)]);
    // Below e^-700 a token is never drawn.
    const double exponent = (logit - top) / options.temperature;
    weights.push_back(exponent < -700 ? 0.0 : exact_exp(exponent));
    total += weights.back();
  }
  double kept = 0;
  size_t count = 0;
  while (count < weights.size() && (count == 0 || kept < options.top_p * total)) {
    kept += weights[count++];
  }
  double draw = uniform(random_key({options.seed, static_cast<uint64_t>(position)})) * kept;
  for (size_t i = 0; i < count; ++i) {
    draw -= weights[i];
    if (draw < 0) return order[i];
  }
  return order[count - 1];
}

Generation generate(Generator& generator, std::span<const int32_t> prompt, int64_t max_tokens,
                    std::span<const int32_t> stop_tokens, const SamplingOptions& options,
                    const std::function<bool(int32_t)>& on_token) {
  Generation out;
  std::span<const float> logits = generator.prefill(prompt);
  while (static_cast<int64_t>(out.tokens.size()) < max_tokens) {
    const int32_t token = sample(logits, options, static_cast<int64_t>(out.tokens.size()));
    if (std::find(stop_tokens.begin(), stop_tokens.end(), token) != stop_tokens.end()) {
      out.stopped = true;
      out.stop_token = token;
      return out;
    }
    out.tokens.push_back(token);
    if (on_token && !on_token(token)) return out;
    if (generator.length() >= generator.capacity()) return out;
    if (static_cast<int64_t>(out.tokens.size()) < max_tokens) logits = generator.step(token);
  }
  return out;
}

}  // namespace dlm
