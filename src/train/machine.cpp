#include "train/machine.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <string>
#include <vector>

#include "engine/cpu/gemm.h"
#include "support/error.h"
#include "support/file.h"
#include "support/text.h"

namespace dlm {

namespace {

// A number at the start of a file of the kernel's, or 0.
uint64_t number_in(const fs::path& path) {
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return 0;
  try {
    const std::string text = read_file(path, 4096);
    uint64_t value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
  } catch (const Error&) {
    return 0;
  }
}

}  // namespace

uint64_t available_memory_bytes() {
  uint64_t available = 0;
  try {
    const std::string text = read_file("/proc/meminfo", 65536);
    for (const std::string_view line : split(text, '\n')) {
      if (!line.starts_with("MemAvailable:")) continue;
      const std::string_view digits = trim(line.substr(13));
      std::from_chars(digits.data(), digits.data() + digits.size(), available);
      available *= 1024;
    }
  } catch (const Error&) {
    return 0;
  }
  const uint64_t limit = number_in("/sys/fs/cgroup/memory.max");
  const uint64_t used = number_in("/sys/fs/cgroup/memory.current");
  if (limit > used && limit > 0) available = std::min(available, limit - used);
  return available;
}

double measure_gflops(Device& device, DType dtype) {
  constexpr int64_t kSize = 256;
  const int workers = device.pool().num_threads();
  const Tensor a = Tensor::zeros({kSize, kSize}, dtype);
  std::vector<Tensor> outputs;
  for (int i = 0; i < workers; ++i) outputs.push_back(Tensor::zeros({kSize, kSize}, DType::kF32));
  GemmShape shape;
  shape.m = shape.n = shape.k = shape.lda = shape.ldb = shape.ldc = kSize;
  shape.input = dtype;
  double best = 0;
  for (int round = 0; round < 5; ++round) {
    constexpr int64_t kRepeats = 16;
    const auto begin = std::chrono::steady_clock::now();
    device.pool().run(workers, [&](int64_t, int worker) {
      for (int64_t i = 0; i < kRepeats; ++i) {
        gemm(shape, a.data(), a.data(), outputs[static_cast<size_t>(worker)].mutable_data());
      }
    });
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    const double operations = 2.0 * kSize * kSize * kSize * kRepeats * workers;
    best = std::max(best, operations / seconds / 1e9);
  }
  return best;
}

}  // namespace dlm
