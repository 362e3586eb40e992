#include "train/decode_benchmark.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "model/generate.h"
#include "support/error.h"
#include "train/machine.h"

namespace dlm {

namespace {

constexpr int64_t kPieceWords = (int64_t{1} << 20) / 8;
// A machine that is shared may read twice as fast in one moment as in the next.
constexpr int64_t kTokensAReading = 16;

template <class Work>
double seconds_of(const Work& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

uint64_t choose_size(uint64_t size_bytes) {
  if (size_bytes > 0) return size_bytes;
  const bool is_roomy = available_memory_bytes() > (uint64_t{3} << 30);
  return uint64_t{1} << (is_roomy ? 30 : 29);
}

double weight_bytes(Decoder& decoder, const LoraAdapter* adapter) {
  const auto size_of = [](const Parameter& p) {
    return static_cast<double>(p.quantized != nullptr ? p.quantized->size_bytes()
                                                      : p.value.size_bytes());
  };
  const ModelConfig& config = decoder.config();
  double bytes = size_of(decoder.head());
  if (adapter != nullptr) bytes += static_cast<double>(adapter->num_parameters()) * sizeof(float);
  for (const auto& [name, weight] : decoder.linear_layers()) {
    const bool is_of_expert = name.find(".experts.") != std::string::npos;
    const double share = is_of_expert ? static_cast<double>(config.experts_per_token) /
                                            static_cast<double>(config.num_experts)
                                      : 1;
    bytes += share * size_of(*weight);
  }
  return bytes;
}

// What a token at this position reads, its own included.
double kv_bytes(const ModelConfig& config, DType dtype, int64_t position) {
  int64_t lines = 0;
  for (int64_t i = 0; i < config.num_layers; ++i) {
    const int64_t window = config.attention_of(static_cast<size_t>(i)).window;
    lines += window > 0 ? std::min(window, position + 1) : position + 1;
  }
  return static_cast<double>(2 * lines * config.num_kv_heads * config.head_dim) *
         static_cast<double>(dtype_size(dtype));
}

}  // namespace

ReadBandwidth::ReadBandwidth(Device& device, uint64_t size_bytes)
    : device_(device),
      pieces_(
          std::max<int64_t>(1, static_cast<int64_t>(choose_size(size_bytes)) / (kPieceWords * 8))),
      memory_(allocate_aligned(static_cast<size_t>(pieces_ * kPieceWords * 8))),
      sums_(static_cast<size_t>(pieces_)) {
  auto* words = reinterpret_cast<uint64_t*>(memory_.get());
  device_.pool().run(pieces_, [&](int64_t piece, int) {
    std::fill_n(words + piece * kPieceWords, kPieceWords, static_cast<uint64_t>(piece) + 1);
  });
}

double ReadBandwidth::run() {
  const auto* words = reinterpret_cast<const uint64_t*>(memory_.get());
  const double seconds = seconds_of([&] {
    device_.pool().run(pieces_, [&](int64_t piece, int) {
      sums_[static_cast<size_t>(piece)] =
          device_.kernels().sum_words(words + piece * kPieceWords, kPieceWords);
    });
  });
  for (int64_t piece = 0; piece < pieces_; ++piece) {
    check(sums_[static_cast<size_t>(piece)] ==
              static_cast<uint64_t>(kPieceWords) * (static_cast<uint64_t>(piece) + 1),
          "benchmark: memory read back wrong");
  }
  return static_cast<double>(pieces_ * kPieceWords * 8) / seconds;
}

DecodeResult measure_decoding(std::string weights, Decoder& decoder, LoraAdapter* adapter,
                              Device& device, ReadBandwidth& bandwidth,
                              const DecodeOptions& options) {
  Generator generator(decoder, adapter, device, options.prompt_tokens + options.decode_tokens);
  std::vector<int32_t> prompt;
  for (int64_t i = 0; i < options.prompt_tokens; ++i) {
    prompt.push_back(static_cast<int32_t>(i % decoder.config().vocab_size));
  }
  DecodeResult result;
  result.weights = std::move(weights);
  result.bytes_per_token = weight_bytes(decoder, adapter);
  for (int64_t t = 0; t < options.decode_tokens; ++t) {
    result.kv_bytes_per_token +=
        kv_bytes(decoder.config(), decoder.dtype(), options.prompt_tokens + t) /
        static_cast<double>(options.decode_tokens);
  }
  const double bytes = result.bytes_per_token + result.kv_bytes_per_token;
  std::vector<double> prompt_rates;
  std::vector<double> rates;
  std::vector<double> shares;
  for (int64_t i = 0; i < options.runs; ++i) {
    std::span<const float> logits;
    const double prompt_seconds = seconds_of([&] { logits = generator.prefill(prompt); });
    prompt_rates.push_back(static_cast<double>(options.prompt_tokens) / prompt_seconds);
    double seconds = 0, seconds_per_byte = 0;
    for (int64_t t = 0; t < options.decode_tokens; t += kTokensAReading) {
      const int64_t count = std::min(kTokensAReading, options.decode_tokens - t);
      const double share = static_cast<double>(count) / static_cast<double>(options.decode_tokens);
      seconds_per_byte += share / bandwidth.run();
      seconds += seconds_of([&] {
        for (int64_t k = 0; k < count; ++k) logits = generator.step(argmax(logits));
      });
    }
    rates.push_back(static_cast<double>(options.decode_tokens) / seconds);
    shares.push_back(rates.back() * bytes * seconds_per_byte);
  }
  result.prompt_tokens_per_s = spread_of(std::move(prompt_rates));
  result.tokens_per_s = spread_of(std::move(rates));
  result.share_of_bandwidth = spread_of(std::move(shares));
  return result;
}

}  // namespace dlm
