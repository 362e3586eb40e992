// Attention alone and whole training steps on all cores, on random weights. Counter: tokens a
// second. The comparison with the machine's roof is `dlm doctor --bench`.

#include <benchmark/benchmark.h>

#include "bases/registry.h"
#include "engine/adamw.h"
#include "engine/exec.h"
#include "engine/ops.h"
#include "model/decoder.h"
#include "train/memory_plan.h"

namespace dlm {
namespace {

Device& device() {
  static Device all;
  return all;
}

Batch rows_of(int64_t rows, int64_t length) {
  Batch batch;
  for (int64_t r = 0; r < rows; ++r) {
    std::vector<int32_t> tokens;
    for (int64_t t = 0; t < length; ++t) {
      tokens.push_back(static_cast<int32_t>((r * length + t) * 7919 % 8192));
    }
    batch.add_row(tokens, tokens, static_cast<uint64_t>(r));
  }
  return batch;
}

void count_tokens(benchmark::State& state, const Batch& batch) {
  state.counters["tokens"] = benchmark::Counter(static_cast<double>(batch.num_tokens()),
                                                benchmark::Counter::kIsIterationInvariantRate);
}

// An embedding of nine heads of 64 feeds attention through a norm: what is measured is the forward
// pass of attention, and the little that brings its input.
void attention_pass(benchmark::State& state) {
  const DType dtype = device().preferred_dtype();
  const int64_t length = state.range(0);
  constexpr int64_t kHeads = 9;
  constexpr int64_t kHeadDim = 64;
  Parameter table;
  table.value = Tensor::zeros({8192, kHeads * kHeadDim}, dtype);
  Parameter norm;
  norm.value = Tensor::zeros({kHeads * kHeadDim}, DType::kF32);
  Graph graph;
  const ValueId x = rmsnorm(graph, embed(graph, &table, dtype), &norm, 1e-5f, dtype);
  AttentionSpec spec;
  spec.num_heads = kHeads;
  spec.num_kv_heads = kHeads;
  spec.head_dim = kHeadDim;
  spec.scale = 0.125f;
  attention(graph, x, x, x, spec, dtype);
  graph.finish(false);
  Exec exec(graph, device());
  const Batch batch = rows_of(1024 / length, length);
  for (auto _ : state) exec.forward(batch);
  count_tokens(state, batch);
}
BENCHMARK(attention_pass)
    ->Name("attention_forward")
    ->ArgName("row")
    ->RangeMultiplier(2)
    ->Range(64, 1024)
    ->UseRealTime();

void training_step(benchmark::State& state, const char* base) {
  const ModelConfig shapes = shapes_of(*find_base(base));
  const DType dtype = device().preferred_dtype();
  // As a run holds a base whose files are in bf16.
  const auto decoder = Decoder::tiled(shapes, dtype, held_type(dtype, DType::kBF16));
  const auto adapter = LoraAdapter::create(*decoder, {}, 1);
  adapter->set_trainable();
  const int64_t length = state.range(0);
  const auto graph =
      build_graph(*decoder, adapter.get(), GraphUse::kTraining, length, unlimited_recompute(dtype));
  Exec exec(graph->graph, device());
  const Batch batch = rows_of(1024 / length, length);
  exec.loss_scale = 1.0f / static_cast<float>(batch.num_labels());
  AdamW optimizer(adapter->parameters(), AdamWOptions{});
  for (auto _ : state) {
    exec.forward(batch);
    exec.backward();
    optimizer.step(1e-4f, device());
  }
  count_tokens(state, batch);
}
BENCHMARK_CAPTURE(training_step, dlm_nano, "dlm-nano")
    ->ArgName("row")
    ->Arg(64)
    ->Arg(512)
    ->UseRealTime();
BENCHMARK_CAPTURE(training_step, smollm2_135m, "smollm2-135m")
    ->ArgName("row")
    ->Arg(64)
    ->Arg(512)
    ->UseRealTime();

}  // namespace
}  // namespace dlm
