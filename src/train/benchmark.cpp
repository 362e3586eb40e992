#include "train/benchmark.h"

#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <functional>

#include "engine/adamw.h"
#include "engine/cpu/gemm.h"
#include "model/decoder.h"
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

// Starts the count of peak_resident_bytes() over; false when the system does not allow it.
bool reset_peak_rss() {
  malloc_trim(0);
  std::FILE* file = std::fopen("/proc/self/clear_refs", "w");
  if (file == nullptr) return false;
  const bool written = std::fputs("5", file) >= 0;
  return std::fclose(file) == 0 && written;
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
        graph_(build_graph(decoder, &adapter, GraphUse::kTraining, row_tokens,
                           unlimited_recompute(device.preferred_dtype()))),
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

void measure_qlora(const ModelConfig& shapes, Device& device, const BenchmarkOptions& options,
                   BenchmarkResult& result) {
  const auto decoder = Decoder::tiled(shapes, device.preferred_dtype());
  decoder->quantize(BaseFormat::qlora(), device);
  const bool is_reset = reset_peak_rss();
  LoraOptions lora;
  lora.rank = options.rank;
  const auto adapter = LoraAdapter::create(*decoder, lora, 1);
  adapter->set_trainable();
  Step step(*decoder, *adapter, device, options.rows,
            std::min(options.row_tokens, shapes.max_positions));
  step.run();
  std::vector<double> speeds;
  for (int64_t i = 0; i < options.pairs; ++i) {
    speeds.push_back(static_cast<double>(result.tokens_per_step) / step.run());
  }
  result.qlora_tokens_per_s = spread_of(std::move(speeds));
  if (is_reset) result.qlora_peak_rss_mb = static_cast<double>(peak_resident_bytes()) / 1048576.0;
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
  in.longest_row = row_tokens;
  in.step_tokens = tokens;
  return MemoryModel(in).needs(tokens, unlimited_recompute(dtype)).total();
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
  const double weights = d(c.num_linear_weights_a_token());
  StepFlops flops;
  flops.linear = 2 * tokens * (2 * (weights + head) - lowest);
  // Inputs and outputs of the seven layers (of experts those that a token takes), each met by A or
  // B twice forward-and-back and once more for the gradient of the input: x A^T, dA and dx; h B, dB
  // and dh.
  const double mlps = c.num_experts > 0 ? d(c.experts_per_token) : 1;
  const double inputs = 3 * hidden + q + mlps * (2 * hidden + ffn);
  const double outputs = (q + 2 * kv) + hidden + mlps * (2 * ffn + hidden);
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
  // As a run holds a base whose files are in bf16, as nearly all are.
  auto decoder = Decoder::tiled(shapes, dtype, held_type(dtype, DType::kBF16));
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
  result.short_rows = measure_short_rows(*decoder, *adapter, device, 3);
  // The headline compares the two medians; the spread is that of the pairs.
  result.train_share_of_roof.median = result.flops.total() * result.train_tokens_per_s.median /
                                      static_cast<double>(tokens) /
                                      (result.gemm_roof_gflops.median * 1e9);
  const int64_t prompt =
      std::clamp<int64_t>(shapes.max_positions - options.decode_tokens, 1, options.prompt_tokens);
  const DecodeOptions decode{prompt, options.decode_tokens, options.decode_runs};
  {
    ReadBandwidth bandwidth(device, options.read_bytes);
    std::vector<double> readings;
    for (int round = 0; round < 5; ++round) readings.push_back(bandwidth.run() / 1e9);
    result.read_bandwidth_gbs = spread_of(std::move(readings));
    result.decoding.push_back(
        measure_decoding(result.dtype, *decoder, adapter.get(), device, bandwidth, decode));
    result.decode_tokens_per_s = result.decoding[0].tokens_per_s;
    for (const auto& [name, format] :
         {std::pair{"int8", BaseFormat::int8()}, std::pair{"nf4", BaseFormat::nf4()}}) {
      const auto quantized = Decoder::tiled(shapes, dtype);
      quantized->quantize(format, device);
      result.decoding.push_back(
          measure_decoding(name, *quantized, adapter.get(), device, bandwidth, decode));
    }
  }
  decoder.reset();
  measure_qlora(shapes, device, options, result);
  return result;
}

}  // namespace dlm
