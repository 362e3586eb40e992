// One core's rate of the row kernels on every tier of this processor, on lines of 1,536 numbers
// that stay in the cache. Counter: numbers a second.

#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "engine/cpu/kernels.h"

namespace dlm {
namespace {

constexpr int64_t kCols = 1536;
constexpr int64_t kRank = 8;
constexpr int64_t kRows = 64;

struct Buffers {
  std::vector<float> x, w, y, low;
  std::vector<BF16> a, b, c;
  Buffers()
      : x(kRows * kCols, 0.5f),
        w(kRank * kCols, 0.25f),
        y(kRows * kCols),
        low(kRows * kRank, 0.125f),
        a(kRows * kCols, to_bf16(0.5f)),
        b(a),
        c(a) {}
};

template <class Body>
void add(const std::string& name, IsaTier tier, int64_t numbers, Body body) {
  benchmark::RegisterBenchmark((name + "/" + isa_name(tier)).c_str(), [=](benchmark::State& state) {
    Buffers buffers;
    for (auto _ : state) {
      body(kernels(tier), buffers);
      benchmark::ClobberMemory();
    }
    state.counters["numbers"] = benchmark::Counter(static_cast<double>(numbers),
                                                   benchmark::Counter::kIsIterationInvariantRate);
  });
}

bool register_all() {
  for (const IsaTier tier : supported_isa_tiers()) {
    if (tier > IsaTier::kAvx512Bf16) continue;  // which share its kernels
    add("rmsnorm", tier, kCols, [](const Kernels& k, Buffers& b) {
      k.bf16.rmsnorm(b.x.data(), b.w.data(), 1e-5f, kCols, b.a.data());
    });
    add("rmsnorm_backward", tier, kCols, [](const Kernels& k, Buffers& b) {
      k.bf16.rmsnorm_backward(b.a.data(), b.x.data(), b.w.data(), 1.0f, kCols, b.y.data());
    });
    add("silu_mul", tier, kCols, [](const Kernels& k, Buffers& b) {
      k.bf16.silu_mul(b.a.data(), b.b.data(), kCols, b.c.data());
    });
    add("silu_mul_backward", tier, kCols, [](const Kernels& k, Buffers& b) {
      k.bf16.silu_mul_backward(b.a.data(), b.b.data(), b.c.data(), kCols, b.c.data() + kCols,
                               b.c.data() + 2 * kCols);
    });
    add("softmax", tier, kCols, [](const Kernels& k, Buffers& b) {
      k.bf16.softmax(b.x.data(), kCols, kCols, 0.125f, b.a.data());
    });
    add("cross_entropy", tier, kCols, [](const Kernels& k, Buffers& b) {
      k.bf16.cross_entropy(b.x.data(), kCols, 7, 1.0f, b.a.data());
    });
    add("from_f32", tier, kCols,
        [](const Kernels& k, Buffers& b) { k.bf16.from_f32(b.x.data(), kCols, b.a.data()); });
    add("rank_project", tier, kRows * kCols, [](const Kernels& k, Buffers& b) {
      k.bf16.rank_project(b.a.data(), kRows, kCols, kCols, b.w.data(), kCols, kRank, 1.0f,
                          b.low.data());
    });
    add("rank_outer", tier, kRows * kCols, [](const Kernels& k, Buffers& b) {
      k.bf16.rank_outer(b.a.data(), kRows, kCols, kCols, b.low.data(), kRank, b.y.data(), kCols);
    });
    add("rank_expand", tier, kRows * kCols, [](const Kernels& k, Buffers& b) {
      k.rank_expand(b.y.data(), kRows, kCols, kCols, b.low.data(), b.w.data(), kCols, kRank);
    });
    add("dropout", tier, kCols, [](const Kernels& k, Buffers& b) {
      k.bf16.dropout(b.a.data(), kCols, 42, 0, 0.1f, b.c.data());
    });
    add("adamw", tier, kCols, [](const Kernels& k, Buffers& b) {
      k.adamw(b.y.data(), b.w.data(), b.y.data() + kCols, b.y.data() + 2 * kCols, kCols, 1e-3f,
              0.9f, 0.999f, 1e-8f, 0.0f, 0.1f, 0.1f, 1.0f);
    });
  }
  return true;
}

const bool kRegistered = register_all();

}  // namespace
}  // namespace dlm
