#include "train/machine.h"

#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <set>
#include <vector>

#include "engine/cpu/gemm.h"
#include "support/error.h"
#include "support/text.h"
#include "train/kernel_files.h"

namespace dlm {

namespace {

// Where a control group of memory says its bounds: version 2, then version 1.
struct GroupFiles {
  const char* folder;
  const char* limit;
  const char* used;
  const char* cached;  // the line of memory.stat
};
constexpr GroupFiles kGroupFiles[] = {
    {"sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"},
    {"sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes",
     "total_inactive_file"},
};

// The groups of this process, "/a/b" for each hierarchy that may bound memory.
std::set<std::string> own_groups(const fs::path& root) {
  std::set<std::string> groups = {"/"};
  const std::string text = kernel_text(root / "proc/self/cgroup");
  for (const std::string_view line : split(text, '\n')) {
    const std::vector<std::string_view> fields = split(line, ':');
    if (fields.size() == 3 && (fields[1].empty() || fields[1] == "memory")) {
      groups.insert(std::string(fields[2]));
    }
  }
  return groups;
}

// A group is bounded by each group that it is in.
void apply_limits(const fs::path& root, const GroupFiles& files, fs::path group, Memory& memory) {
  for (;; group = group.parent_path()) {
    const fs::path folder = root / files.folder / group.relative_path();
    const uint64_t limit = kernel_number(folder / files.limit);
    // Version 1 says "none" as a number beyond all memory.
    if (limit > 0 && limit < memory.total) {
      // Pages of files that nobody used lately are given back when they are wanted.
      const uint64_t used = kernel_number(folder / files.used);
      const uint64_t cached = kernel_number(folder / "memory.stat", files.cached);
      const uint64_t held = used - std::min(used, cached);
      memory.available = std::min(memory.available, limit - std::min(limit, held));
      memory.limit = memory.limit == 0 ? limit : std::min(memory.limit, limit);
    }
    if (!group.has_relative_path()) return;
  }
}

constexpr uint64_t kKiB = 1024;

}  // namespace

Memory read_memory(const fs::path& root) {
  Memory memory;
  memory.total = kKiB * kernel_number(root / "proc/meminfo", "MemTotal:");
  memory.available = kKiB * kernel_number(root / "proc/meminfo", "MemAvailable:");
  for (const std::string& group : own_groups(root)) {
    for (const GroupFiles& files : kGroupFiles) apply_limits(root, files, group, memory);
  }
  return memory;
}

uint64_t available_memory_bytes() {
  return read_memory().available;
}

uint64_t resident_bytes() {
  return kKiB * kernel_number("/proc/self/status", "VmRSS:");
}

void return_freed_memory() {
#if defined(__GLIBC__)
  malloc_trim(0);
#endif
}

uint64_t peak_resident_bytes() {
  return kKiB * kernel_number("/proc/self/status", "VmHWM:");
}

Processor read_processor(const fs::path& root) {
  Processor processor;
  std::set<std::string> cores;
  std::string socket;
  const std::string text = kernel_text(root / "proc/cpuinfo");
  for (const std::string_view line : split(text, '\n')) {
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    const std::string_view key = trim(line.substr(0, colon));
    const std::string value(trim(line.substr(colon + 1)));
    if (key == "processor") ++processor.num_threads;
    if (key == "model name" && processor.name.empty()) processor.name = value;
    if (key == "physical id") socket = value;
    if (key == "core id") cores.insert(socket + ":" + value);
  }
  if (processor.name.empty()) processor.name = "unknown processor";
  processor.num_threads = std::max(1, processor.num_threads);
  processor.num_cores = cores.empty() ? processor.num_threads : static_cast<int>(cores.size());
  return processor;
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
