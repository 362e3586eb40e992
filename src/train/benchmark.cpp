#include "train/benchmark.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>

#include "engine/adamw.h"
#include "engine/cpu/gemm.h"
#include "model/decoder.h"
#include "model/generate.h"
#include "support/error.h"
#include "train/gemm_roof.h"
#include "train/machine.h"
#include "train/memory_plan.h"

namespace dlm {

namespace {

double seconds_of(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// Rows of tokens that walk through the vocabulary, each labelled with the next.
Batch labelled_batch(const ModelConfig& shapes, int64_t rows, int64_t row_tokens) {
  Batch batch;
  for (int64_t r = 0; r < rows; ++r) {
    std::vector<int32_t> tokens;
    std::vector<int32_t> labels;
    for (int64_t t = 0; t < row_tokens; ++t) {
      const auto at = [&](int64_t i) {
        return static_cast<int32_t>((r * row_tokens + i) * 7919 % shapes.vocab_size);
      };
      tokens.push_back(at(t));
      labels.push_back(at(t + 1));
    }
    batch.add_row(tokens, labels, static_cast<uint64_t>(r));
  }
  return batch;
}

// One training step as the training loop takes it: forward, backward, AdamW.
class Step {
 public:
  Step(Decoder& decoder, LoraAdapter& adapter, Device& device, int64_t rows, int64_t row_tokens)
      : device_(device),
        batch_(labelled_batch(decoder.config(), rows, row_tokens)),
        graph_(build_graph(decoder, &adapter, GraphUse::kTraining, row_tokens)),
        exec_(graph_->graph, device),
        optimizer_(adapter.parameters(), AdamWOptions{}) {
    exec_.loss_scale = 1.0f / static_cast<float>(batch_.num_labels());
  }

  double run() {
    return seconds_of([&] {
      exec_.forward(batch_);
      exec_.backward();
      const double norm = optimizer_.step(1e-4f, device_);
      check(std::isfinite(norm), "benchmark: the gradient is not a number");
    });
  }

 private:
  Device& device_;
  Batch batch_;
  std::unique_ptr<DecoderGraph> graph_;
  Exec exec_;
  AdamW optimizer_;
};

Spread measure_decode(Decoder& decoder, LoraAdapter& adapter, Device& device,
                      const BenchmarkOptions& options, int64_t prompt_tokens) {
  Generator generator(decoder, &adapter, device, prompt_tokens + options.decode_tokens);
  std::vector<int32_t> prompt;
  for (int64_t i = 0; i < prompt_tokens; ++i) {
    prompt.push_back(static_cast<int32_t>(i % decoder.config().vocab_size));
  }
  std::vector<double> rates;
  for (int64_t i = 0; i < options.decode_runs; ++i) {
    std::span<const float> logits = generator.prefill(prompt);
    const double seconds = seconds_of([&] {
      for (int64_t t = 0; t < options.decode_tokens; ++t) logits = generator.step(argmax(logits));
    });
    rates.push_back(static_cast<double>(options.decode_tokens) / seconds);
  }
  return spread_of(std::move(rates));
}

// Wrapping sum of 64-bit words, eight at a time, so that nothing but the reading takes time.
uint64_t sum_words(const uint64_t* words, int64_t count) {
  uint64_t lanes[8] = {};
  for (int64_t i = 0; i + 8 <= count; i += 8) {
    for (int64_t l = 0; l < 8; ++l) lanes[l] += words[i + l];
  }
  uint64_t total = 0;
  for (const uint64_t lane : lanes) total += lane;
  return total;
}

Spread measure_read_bandwidth(Device& device, uint64_t size_bytes) {
  if (size_bytes == 0) {
    const bool is_roomy = available_memory_bytes() > (uint64_t{3} << 30);
    size_bytes = uint64_t{1} << (is_roomy ? 30 : 29);
  }
  constexpr int64_t kPieceWords = (int64_t{1} << 20) / 8;
  const int64_t pieces = std::max<int64_t>(1, static_cast<int64_t>(size_bytes) / (kPieceWords * 8));
  const auto memory = allocate_aligned(static_cast<size_t>(pieces * kPieceWords * 8));
  auto* words = reinterpret_cast<uint64_t*>(memory.get());
  std::vector<uint64_t> sums(static_cast<size_t>(pieces));
  device.pool().run(pieces, [&](int64_t piece, int) {
    std::fill_n(words + piece * kPieceWords, kPieceWords, static_cast<uint64_t>(piece) + 1);
  });
  std::vector<double> rates;
  for (int round = 0; round < 5; ++round) {
    const double seconds = seconds_of([&] {
      device.pool().run(pieces, [&](int64_t piece, int) {
        sums[static_cast<size_t>(piece)] = sum_words(words + piece * kPieceWords, kPieceWords);
      });
    });
    rates.push_back(static_cast<double>(pieces * kPieceWords * 8) / seconds / 1e9);
  }
  for (int64_t piece = 0; piece < pieces; ++piece) {
    check(sums[static_cast<size_t>(piece)] ==
              static_cast<uint64_t>(kPieceWords) * (static_cast<uint64_t>(piece) + 1),
          "benchmark: memory read back wrong");
  }
  return spread_of(std::move(rates));
}

// What the plan of a run expects of such a step.
uint64_t predicted_bytes(const ModelConfig& shapes, DType dtype, const LoraOptions& lora,
                         int threads, int64_t tokens, int64_t row_tokens) {
  MemoryInput in;
  in.model = &shapes;
  in.dtype = dtype;
  in.lora = lora;
  in.num_threads = threads;
  in.program_bytes = resident_bytes();
  in.weight_file_bytes = static_cast<uint64_t>(shapes.num_parameters()) * dtype_size(dtype);
  in.longest_row = row_tokens;
  in.step_tokens = tokens;
  return MemoryModel(in).needs(tokens, Recompute::kNothing).total();
}

void check_memory(const ModelConfig& shapes, DType dtype) {
  const uint64_t weights = static_cast<uint64_t>(shapes.num_parameters()) * dtype_size(dtype);
  const uint64_t available = available_memory_bytes();
  if (available > 0 && weights > available / 10 * 9) {
    throw Error(ErrorKind::kTrain,
                "the benchmark needs " + std::to_string(weights >> 20) + " MiB for the weights, " +
                    std::to_string(available >> 20) + " MiB are free",
                "measure a smaller base: --base smollm2-135m");
  }
}

}  // namespace

Spread spread_of(std::vector<double> values) {
  check(!values.empty(), "spread: no values");
  std::sort(values.begin(), values.end());
  const size_t half = values.size() / 2;
  const double median =
      values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
  return {median, values.front(), values.back()};
}

StepFlops step_flops(const ModelConfig& c, int64_t rows, int64_t row_tokens, int64_t rank) {
  const auto d = [](int64_t x) { return static_cast<double>(x); };
  const double tokens = d(rows) * d(row_tokens);
  const double hidden = d(c.hidden_size);
  const double ffn = d(c.intermediate_size);
  const double q = d(c.num_heads) * d(c.head_dim);
  const double kv = d(c.num_kv_heads) * d(c.head_dim);
  const double layers = d(c.num_layers);
  const double head = d(c.vocab_size) * hidden;
  // No adapter lies below q, k and v of the lowest layer, so nobody asks for their input's
  // gradient.
  const double lowest = hidden * (q + 2 * kv);
  const double weights = d(c.num_linear_weights());
  StepFlops flops;
  flops.linear = 2 * tokens * (2 * (weights + head) - lowest);
  // Inputs and outputs of the seven layers, each met by A or B twice forward-and-back and once more
  // for the gradient of the input: x A^T, dA and dx; h B, dB and dh.
  const double inputs = 3 * hidden + q + 2 * hidden + ffn;
  const double outputs = (q + 2 * kv) + hidden + 2 * ffn + hidden;
  flops.lora = 2 * tokens * d(rank) * (3 * layers * (inputs + outputs) - 3 * hidden);
  const double pairs = d(rows) * d(row_tokens) * (d(row_tokens) + 1) / 2;
  flops.attention = 3.5 * 4 * q * layers * pairs;
  return flops;
}

BenchmarkResult run_benchmark(const ModelConfig& shapes, Device& device,
                              const BenchmarkOptions& options) {
  check(options.rows > 0 && options.row_tokens > 0 && options.pairs > 0 &&
            options.decode_runs > 0 && options.prompt_tokens > 0 && options.decode_tokens > 0 &&
            options.rank > 0,
        "benchmark: an option is not positive");
  const DType dtype = device.preferred_dtype();
  check_memory(shapes, dtype);
  const int64_t row_tokens = std::min(options.row_tokens, shapes.max_positions);
  const int64_t tokens = options.rows * row_tokens;
  BenchmarkResult result;
  result.base_key = options.base_key;
  result.instruction_set = isa_name(device.tier());
  result.onednn_version = onednn_version();
  result.dtype = dtype_name(dtype);
  result.threads = device.pool().num_threads();
  result.tokens_per_step = tokens;
  result.flops = step_flops(shapes, options.rows, row_tokens, options.rank);

  LoraOptions lora;
  lora.rank = options.rank;
  result.predicted_rss_mb = static_cast<double>(predicted_bytes(shapes, dtype, lora, result.threads,
                                                                tokens, row_tokens)) /
                            1048576.0;
  const auto decoder = Decoder::tiled(shapes, dtype);
  const auto adapter = LoraAdapter::create(*decoder, lora, 1);
  adapter->set_trainable();
  {
    Step step(*decoder, *adapter, device, options.rows, row_tokens);
    step.run();  // compiles the kernels and takes the memory
    step.run();
    result.peak_rss_mb = static_cast<double>(peak_resident_bytes()) / 1048576.0;

    const int64_t padded = (tokens + kTokenBlock - 1) / kTokenBlock * kTokenBlock;
    GemmRoof roof(step_products(*decoder), padded, dtype, device, available_memory_bytes());
    result.roof_layout = roof.setting().packed ? "packed" : "file";
    result.roof_tile_tokens = roof.setting().tile_tokens;
    std::vector<double> roofs;
    std::vector<double> speeds;
    std::vector<double> shares;
    for (int64_t i = 0; i < options.pairs; ++i) {
      const double roof_rate = roof.flops() / roof.run();
      const double seconds = step.run();
      roofs.push_back(roof_rate / 1e9);
      speeds.push_back(static_cast<double>(tokens) / seconds);
      shares.push_back(result.flops.total() / seconds / roof_rate);
    }
    result.gemm_roof_gflops = spread_of(std::move(roofs));
    result.train_tokens_per_s = spread_of(std::move(speeds));
    result.train_share_of_roof = spread_of(std::move(shares));
  }
  // The headline compares the two medians; the spread is that of the pairs.
  result.train_share_of_roof.median = result.flops.total() * result.train_tokens_per_s.median /
                                      static_cast<double>(tokens) /
                                      (result.gemm_roof_gflops.median * 1e9);
  const int64_t prompt =
      std::clamp<int64_t>(shapes.max_positions - options.decode_tokens, 1, options.prompt_tokens);
  result.decode_tokens_per_s = measure_decode(*decoder, *adapter, device, options, prompt);
  result.read_bandwidth_gbs = measure_read_bandwidth(device, options.read_bytes);
  return result;
}

}  // namespace dlm
