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

int64_t Generator::prefill(std::span<const int32_t> prompt, std::span<const int32_t> draft) {
  check(!prompt.empty(), "generation needs at least one token");
  const ModelConfig& config = decoder_.config();
  const auto num_prompt = static_cast<int64_t>(prompt.size());
  const auto num_both = num_prompt + static_cast<int64_t>(draft.size());
  if (config.rope_variant(num_prompt) != config.rope_variant(num_both)) draft = {};
  length_ = 0;
  text_.assign(prompt.begin(), prompt.end());
  text_.insert(text_.end(), draft.begin(), draft.end());
  forward(text_);
  const auto vocab = static_cast<int64_t>(logits_.size());
  const auto num_drafted = static_cast<int64_t>(draft.size());
  std::vector<float> lines(static_cast<size_t>(std::min(num_drafted + 1, kFewTokens) * vocab));
  int64_t accepted = 0;
  for (bool is_end = false; !is_end;) {
    const int64_t count = std::min(num_drafted + 1 - accepted, kFewTokens);
    project(num_prompt - 1 + accepted, count, lines.data());
    for (int64_t m = 0; m < count && !is_end; ++m) {
      const std::span<const float> line(lines.data() + m * vocab, logits_.size());
      is_end = accepted == num_drafted || argmax(line) != draft[static_cast<size_t>(accepted)];
      if (is_end) logits_.assign(line.begin(), line.end());
      accepted += !is_end;
    }
  }
  length_ = num_prompt + accepted;
  text_.resize(static_cast<size_t>(length_));
  return accepted;
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
  forward(tokens);
  project(exec_.tokens() - 1, 1, logits_.data());
  return logits_;
}

void Generator::forward(std::span<const int32_t> tokens) {
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
}

void Generator::project(int64_t first, int64_t count, float* logits) {
  if (decoder_.dtype() == DType::kBF16) {
    project_as<BF16>(first, count, logits);
  } else {
    project_as<float>(first, count, logits);
  }
  if (const double cap = decoder_.config().final_softcap; cap > 0) {
    device_.kernels().softcap(logits, count * static_cast<int64_t>(logits_.size()), 1.0f,
                              static_cast<float>(cap));
  }
}

template <class T>
void Generator::project_as(int64_t first, int64_t count, float* logits) {
  constexpr int64_t kRows = 128;
  const Parameter& head = head_;
  const int64_t vocab = head.value.dim(0);
  const int64_t hidden = head.value.dim(1);
  const FewTokens<T> lines(exec_.kernels(), exec_.data<T>(graph_->final) + first * hidden, count,
                           hidden);
  device_.pool().run((vocab + kRows - 1) / kRows, [&](int64_t task, int) {
    const int64_t row = task * kRows;
    lines.multiply(device_.kernels(), head, row, std::min(kRows, vocab - row), logits + row, vocab);
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

namespace {

// Of a generator that stands behind its prompt and out.tokens.
Generation go_on(Generation out, Generator& generator, int64_t max_tokens,
                 std::span<const int32_t> stop_tokens, const SamplingOptions& options,
                 const std::function<bool(int32_t)>& on_token) {
  std::span<const float> logits = generator.logits();
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

}  // namespace

Generation generate(Generator& generator, std::span<const int32_t> prompt, int64_t max_tokens,
                    std::span<const int32_t> stop_tokens, const SamplingOptions& options,
                    const std::function<bool(int32_t)>& on_token) {
  generator.prefill(prompt);
  return go_on({}, generator, max_tokens, stop_tokens, options, on_token);
}

Generation generate_drafted(Generator& generator, std::span<const int32_t> prompt,
                            std::span<const int32_t> draft, int64_t max_tokens,
                            std::span<const int32_t> stop_tokens) {
  const auto stop =
      std::find_first_of(draft.begin(), draft.end(), stop_tokens.begin(), stop_tokens.end());
  const int64_t room = generator.capacity() - static_cast<int64_t>(prompt.size());
  const int64_t count = std::min({stop - draft.begin(), max_tokens, room});
  draft = draft.first(static_cast<size_t>(std::max<int64_t>(0, count)));
  const int64_t accepted = generator.prefill(prompt, draft);
  Generation out;
  out.tokens.assign(draft.begin(), draft.begin() + accepted);
  return go_on(std::move(out), generator, max_tokens, stop_tokens, {}, {});
}

}  // namespace dlm
