// What this machine offers to a training run, read or measured in a fraction of a second.
#pragma once

#include <cstdint>

#include "engine/exec.h"

namespace dlm {

// Memory that a process can still take: MemAvailable, or less when a control group limits it. 0
// when it cannot be told.
uint64_t available_memory_bytes();

// Memory that this process holds now, and the most that it ever held. 0 when the system does not
// say.
uint64_t resident_bytes();
uint64_t peak_resident_bytes();

// Rate of matrix products on all workers, in 1e9 operations a second, from about 50 ms of work.
double measure_gflops(Device& device, DType dtype);

}  // namespace dlm
