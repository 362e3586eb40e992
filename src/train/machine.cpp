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

// The value of a line "Key:   123 kB" of one of the kernel's tables, in bytes, or 0.
uint64_t bytes_in_table(const fs::path& path, std::string_view key) {
  uint64_t kib = 0;
  try {
    const std::string text = read_file(path, size_t{1} << 20);
    for (const std::string_view line : split(text, '\n')) {
      if (!line.starts_with(key)) continue;
      const std::string_view digits = trim(line.substr(key.size()));
      std::from_chars(digits.data(), digits.data() + digits.size(), kib);
    }
  } catch (const Error&) {
    return 0;
  }
  return kib * 1024;
}

}  // namespace

uint64_t resident_bytes() {
  return bytes_in_table("/proc/self/status", "VmRSS:");
}

uint64_t peak_resident_bytes() {
  return bytes_in_table("/proc/self/status", "VmHWM:");
}

uint64_t available_memory_bytes() {
  uint64_t available = bytes_in_table("/proc/meminfo", "MemAvailable:");
  if (available == 0) return 0;
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
