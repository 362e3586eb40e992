// Products of one to four tokens with rows of a weight, in every form that a weight is held in:
// bytes of weights a second, from one core's cache (NAME/cache, what the arithmetic allows) and
// from memory on all cores (NAME/memory), where `of_reading` is the share of what plain reading
// reached in the same run.

#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "engine/arena.h"
#include "engine/few_tokens.h"
#include "engine/random.h"
#include "train/decode_benchmark.h"

namespace dlm {
namespace {

constexpr int64_t kTaskRows = 64;
constexpr int64_t kMemoryBytes = int64_t{192} << 20;
constexpr int64_t kCacheBytes = int64_t{256} << 10;

Device& device() {
  static Device d(0);
  return d;
}

// Rows of `type` whose scales are small numbers.
std::shared_ptr<const QuantizedMatrix> make_matrix(GgmlType type, int64_t cols, int64_t bytes) {
  const int64_t rows = bytes / ggml_row_bytes(type, cols) / kTaskRows * kTaskRows;
  const auto memory = allocate_aligned(static_cast<size_t>(rows * ggml_row_bytes(type, cols)));
  // Bytes from 0x30 to 0x37: every scale and every float is a small normal number.
  for (int64_t i = 0; i < rows * ggml_row_bytes(type, cols); ++i) {
    memory.get()[i] = static_cast<std::byte>(0x30 + (i * 2654435761 >> 7) % 8);
  }
  return QuantizedMatrix::from_blocks(type, rows, cols, memory.get(), memory);
}

std::shared_ptr<const QuantizedMatrix> make_matrix(QuantFormat format, int64_t cols,
                                                   int64_t bytes) {
  const int64_t rows = bytes / cols / kTaskRows * kTaskRows;
  Tensor weights = Tensor::zeros({rows, cols}, DType::kBF16);
  auto* w = static_cast<BF16*>(weights.mutable_data());
  for (int64_t i = 0; i < rows * cols; ++i) {
    w[i] = to_bf16(static_cast<float>((i * 2654435761 >> 7) % 255 - 127));
  }
  Arena arena;
  return QuantizedMatrix::quantize(weights, format, "w", device().kernels(), device().pool(),
                                   arena);
}

template <class Type>
void measure(benchmark::State& state, Type type, bool from_memory) {
  const int64_t cols = state.range(0);
  const int64_t tokens = state.range(1);
  const auto matrix = make_matrix(type, cols, from_memory ? kMemoryBytes : kCacheBytes);
  const std::vector<float> x(static_cast<size_t>(tokens * cols), 0.5f);
  const Kernels& k = device().kernels();
  const FewTokens<float> lines(k, x.data(), tokens, cols);
  std::vector<float> y(static_cast<size_t>(matrix->rows() * tokens));
  const auto multiply = [&](int64_t task, int) {
    matrix->multiply(k, task * kTaskRows, kTaskRows, lines.lines(), y.data() + task * kTaskRows,
                     matrix->rows());
  };
  const int64_t tasks = matrix->rows() / kTaskRows;
  double reading = 0;
  if (from_memory) {
    static ReadBandwidth bandwidth(device(), uint64_t{1} << 29);
    reading = bandwidth.run();
  }
  for (auto _ : state) {
    if (from_memory) {
      device().pool().run(tasks, multiply);
    } else {
      for (int64_t task = 0; task < tasks; ++task) multiply(task, 0);
    }
    benchmark::ClobberMemory();
  }
  const auto bytes = static_cast<double>(matrix->size_bytes());
  state.counters["bytes"] =
      benchmark::Counter(bytes, benchmark::Counter::kIsIterationInvariantRate);
  if (from_memory) {
    state.counters["of_reading"] =
        benchmark::Counter(bytes / reading, benchmark::Counter::kIsIterationInvariantRate);
  }
}

template <class Type>
void add(const std::string& name, Type type) {
  for (const bool from_memory : {false, true}) {
    benchmark::RegisterBenchmark(
        (name + (from_memory ? "/memory" : "/cache")).c_str(),
        [=](benchmark::State& state) { measure(state, type, from_memory); })
        ->ArgNames({"cols", "tokens"})
        ->Args({576, 1})
        ->Args({from_memory ? 1536 : 768, 1})
        ->Args({from_memory ? 1536 : 768, 4})
        ->UseRealTime();
  }
}

bool register_all() {
  add("int8", QuantFormat::kInt8);
  add("nf4", QuantFormat::kNF4);
  for (const GgmlType type : {GgmlType::kF32, GgmlType::kF16, GgmlType::kBF16, GgmlType::kQ4_0,
                              GgmlType::kQ4_1, GgmlType::kQ5_0, GgmlType::kQ5_1, GgmlType::kQ8_0,
                              GgmlType::kQ4_K, GgmlType::kQ5_K, GgmlType::kQ6_K}) {
    add(std::string(ggml_traits(type).name), type);
  }
  return true;
}

const bool kRegistered = register_all();

}  // namespace
}  // namespace dlm
