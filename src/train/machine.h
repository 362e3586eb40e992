// What this machine offers to a training run, read from the kernel's files or measured in a
// fraction of a second.
#pragma once

#include <cstdint>
#include <string>

#include "engine/exec.h"
#include "support/file.h"

namespace dlm {

// Bytes. What cannot be told is 0.
struct Memory {
  uint64_t total = 0;      // of the machine
  uint64_t limit = 0;      // the least that a control group of this process allows; 0: none
  uint64_t available = 0;  // that a process can still take, within that limit
};
// `root` is where /proc and /sys lie; a folder of their likeness in tests, as below.
Memory read_memory(const fs::path& root = "/");
uint64_t available_memory_bytes();

// Memory that this process holds now, and the most that it ever held. 0 when the system does not
// say.
uint64_t resident_bytes();
// Gives memory that was freed back to the system, which the allocator may have kept for later.
void return_freed_memory();
uint64_t peak_resident_bytes();

struct Processor {
  std::string name;
  int num_cores = 0;    // of the machine, each counted once
  int num_threads = 0;  // of the machine: what the system schedules on
};
Processor read_processor(const fs::path& root = "/");

// Rate of matrix products on all workers, in 1e9 operations a second, from about 50 ms of work.
double measure_gflops(Device& device, DType dtype);

}  // namespace dlm
