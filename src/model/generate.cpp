#include "model/generate.h"

#include <algorithm>
#include <vector>

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
