#include "model/generate.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "engine/few_tokens.h"
#include "engine/random.h"
#include "support/elementary.h"
#include "support/error.h"

namespace dlm {

Generator::Generator(Decoder& decoder, LoraAdapter* adapter, Device& device, int64_t capacity)
    : decoder_(decoder),
      head_(head_of(decoder, adapter)),
      device_(device),
      cache_(make_kv_cache(decoder, capacity)),
      graph_(build_generation_graph(decoder, adapter, cache_)),
      exec_(graph_->graph, device),
      logits_(static_cast<size_t>(decoder.config().vocab_size)) {}

std::span<const float> Generator::prefill(std::span<const int32_t> prompt) {
  length_ = 0;
  text_.clear();
  return extend(prompt);
}

std::span<const float> Generator::step(int32_t token) {
  return extend({&token, 1});
}

// Where the rotation depends on the length (longrope, dynamic), crossing its limit makes the cached
// keys worthless: the whole text is read again.
std::span<const float> Generator::extend(std::span<const int32_t> tokens) {
  const ModelConfig& config = decoder_.config();
  text_.insert(text_.end(), tokens.begin(), tokens.end());
  const auto length = static_cast<int64_t>(text_.size());
  const bool is_stale = length_ > 0 && length <= cache_.capacity &&
                        config.rope_variant(length) != config.rope_variant(length_);
  if (!is_stale) return run(tokens);
  length_ = 0;
  return run(text_);
}

std::span<const float> Generator::run(std::span<const int32_t> tokens) {
  const auto count = static_cast<int64_t>(tokens.size());
  check(count > 0, "generation needs at least one token");
  if (length_ + count > cache_.capacity) {
    throw Error(ErrorKind::kInference,
                "the text has " + std::to_string(length_ + count) + " tokens, more than the " +
                    std::to_string(cache_.capacity) + " that there is room for",
                "shorten the prompt, or lower --max-tokens");
  }
  batch_.tokens.assign(tokens.begin(), tokens.end());
  batch_.positions.resize(tokens.size());
  std::iota(batch_.positions.begin(), batch_.positions.end(), static_cast<int32_t>(length_));
  batch_.rows = {{0, count, 0}};
  exec_.forward(batch_);
  length_ += count;

  if (decoder_.dtype() == DType::kBF16) {
    project_last<BF16>();
  } else {
    project_last<float>();
  }
  if (const double cap = decoder_.config().final_softcap; cap > 0) {
    device_.kernels().softcap(logits_.data(), static_cast<int64_t>(logits_.size()), 1.0f,
                              static_cast<float>(cap));
  }
  return logits_;
}

template <class T>
void Generator::project_last() {
  constexpr int64_t kRows = 128;
  const Parameter& head = head_;
  const int64_t vocab = head.value.dim(0);
  const int64_t hidden = head.value.dim(1);
  const FewTokens<T> line(exec_.kernels(),
                          exec_.data<T>(graph_->final) + (exec_.tokens() - 1) * hidden, 1, hidden);
  device_.pool().run((vocab + kRows - 1) / kRows, [&](int64_t task, int) {
    const int64_t first = task * kRows;
    const int64_t count = std::min(kRows, vocab - first);
    line.multiply(device_.kernels(), head, first, count, logits_.data() + first, vocab);
  });
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
