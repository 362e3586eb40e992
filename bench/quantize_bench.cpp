// One core's rate of encoding GGUF blocks from f32, by type, with and without importance: the
// scalar reference against the kernels of every tier, in one run. Counter: bytes of f32 read a
// second.

#include <benchmark/benchmark.h>

#include <cmath>
#include <string>
#include <vector>

#include "engine/cpu/kernels.h"
#include "engine/random.h"
#include "formats/ggml_blocks.h"

namespace dlm {
namespace {

constexpr int64_t kRows = 32;
constexpr int64_t kColumns = 1536;

struct Rows {
  std::vector<float> x = std::vector<float>(kRows * kColumns);
  std::vector<float> importance = std::vector<float>(kColumns);
  std::vector<std::byte> out = std::vector<std::byte>(kRows * kColumns * sizeof(float));
  // Sums of four uniform numbers, as bell-shaped as weights are; importance in (0, 1).
  Rows() {
    const auto uniform = [](uint64_t i, uint64_t k) {
      return static_cast<float>(random_key({i, k}) >> 40) * 0x1p-24f;
    };
    for (size_t i = 0; i < x.size(); ++i) {
      x[i] = uniform(i, 0) + uniform(i, 1) + uniform(i, 2) + uniform(i, 3) - 2.0f;
    }
    for (size_t i = 0; i < importance.size(); ++i) importance[i] = uniform(i, 4);
  }
};

template <class Body>
void add(const std::string& name, Body body) {
  benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
    Rows rows;
    for (auto _ : state) {
      body(rows);
      benchmark::ClobberMemory();
    }
    state.SetBytesProcessed(state.iterations() * kRows * kColumns *
                            static_cast<int64_t>(sizeof(float)));
  });
}

bool register_all() {
  for (const GgmlType type :
       {GgmlType::kQ8_0, GgmlType::kQ4_0, GgmlType::kQ4_1, GgmlType::kQ5_0, GgmlType::kQ5_1,
        GgmlType::kQ4_K, GgmlType::kQ5_K, GgmlType::kQ6_K, GgmlType::kF16}) {
    for (const bool is_weighted : {false, true}) {
      if (is_weighted && (type == GgmlType::kQ8_0 || type == GgmlType::kF16)) continue;
      const std::string name =
          std::string(ggml_traits(type).name) + (is_weighted ? "_importance/" : "/");
      add(name + "reference", [=](Rows& rows) {
        for (int64_t r = 0; r < kRows; ++r) {
          ggml_quantize_row(type, rows.x.data() + r * kColumns, kColumns,
                            is_weighted ? rows.importance.data() : nullptr,
                            rows.out.data() + r * ggml_row_bytes(type, kColumns));
        }
      });
      for (const IsaTier tier : supported_isa_tiers()) {
        // The scalar tier is the reference; those above AVX-512 share its kernels.
        if (tier == IsaTier::kScalar || tier > IsaTier::kAvx512) continue;
        add(name + isa_name(tier), [=](Rows& rows) {
          kernels(tier).quantize_rows(type, rows.x.data(), kRows, kColumns,
                                      is_weighted ? rows.importance.data() : nullptr,
                                      rows.out.data());
        });
      }
    }
  }
  return true;
}

[[maybe_unused]] const bool registered = register_all();

}  // namespace
}  // namespace dlm
