#include "train/short_rows_benchmark.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>

#include "engine/random.h"
#include "train/memory_plan.h"

namespace dlm {

namespace {

constexpr size_t kRows = 16;
constexpr size_t kRowsOfABatch = 8;
constexpr int64_t kMostTokens = 512;
constexpr int64_t kBatchTokens = 1024;

// Batches of up to 1,024 tokens of rows with such lengths; every token has a label, and so logits.
std::vector<Batch> batches_of(const std::vector<int64_t>& lengths, int64_t vocab) {
  std::vector<Batch> batches(1);
  for (size_t r = 0; r < lengths.size(); ++r) {
    std::vector<int32_t> tokens;
    for (int64_t t = 0; t < lengths[r]; ++t) {
      const uint64_t hash = random_key({r, static_cast<uint64_t>(t)});
      tokens.push_back(static_cast<int32_t>(hash % static_cast<uint64_t>(vocab)));
    }
    const int64_t before = batches.back().num_tokens();
    if (before > 0 && before + lengths[r] > kBatchTokens) batches.emplace_back();
    batches.back().add_row(tokens, tokens, r);
  }
  return batches;
}

std::vector<int64_t> padded(std::vector<int64_t> lengths) {
  for (size_t first = 0; first < lengths.size(); first += kRowsOfABatch) {
    const auto begin = lengths.begin() + static_cast<std::ptrdiff_t>(first);
    const size_t size = std::min(kRowsOfABatch, lengths.size() - first);
    const auto end = begin + static_cast<std::ptrdiff_t>(size);
    std::fill(begin, end, *std::max_element(begin, end));
  }
  return lengths;
}

}  // namespace

std::vector<int64_t> short_row_lengths(size_t count, int64_t most) {
  std::vector<int64_t> lengths;
  for (size_t i = 0; i < count; ++i) {
    const double u = uniform(random_key({11, i}));
    lengths.push_back(std::clamp<int64_t>(std::llround(-64.0 * std::log1p(-u)), 8, most));
  }
  return lengths;
}

ShortRowsResult measure_short_rows(Decoder& decoder, LoraAdapter& adapter, Device& device,
                                   int64_t runs) {
  const int64_t most = std::min(kMostTokens, decoder.config().max_positions);
  const std::vector<int64_t> lengths = short_row_lengths(kRows, most);
  const auto real =
      static_cast<double>(std::accumulate(lengths.begin(), lengths.end(), int64_t{0}));
  const int64_t vocab = decoder.config().vocab_size;
  const std::vector<Batch> packed_batches = batches_of(lengths, vocab);
  const std::vector<Batch> padded_batches = batches_of(padded(lengths), vocab);
  const auto graph = build_graph(decoder, &adapter, GraphUse::kTraining, most,
                                 unlimited_recompute(device.preferred_dtype()));
  Exec exec(graph->graph, device);
  exec.loss_scale = 1.0f / static_cast<float>(real);
  const auto rate = [&](const std::vector<Batch>& batches) {
    const auto begin = std::chrono::steady_clock::now();
    for (const Batch& batch : batches) {
      exec.forward(batch);
      exec.backward();
    }
    return real / std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  };
  rate(packed_batches);  // compiles the kernels of these shapes
  rate(padded_batches);
  std::vector<double> rates, padded_rates;
  for (int64_t i = 0; i < runs; ++i) {
    rates.push_back(rate(packed_batches));
    padded_rates.push_back(rate(padded_batches));
  }
  ShortRowsResult result;
  result.mean_row_tokens = real / static_cast<double>(kRows);
  result.longest_row_tokens = *std::max_element(lengths.begin(), lengths.end());
  result.tokens_per_s = spread_of(std::move(rates));
  result.padded_tokens_per_s = spread_of(std::move(padded_rates));
  return result;
}

}  // namespace dlm
