// What a machine offers, for people and for programs: the first part of `dlm doctor`. Read from the
// kernel's files and from the record of roofs; nothing is measured and no worker is started.
#pragma once

#include <string>
#include <vector>

#include "engine/cpu/isa.h"
#include "support/file.h"
#include "support/json.h"
#include "train/gpus.h"
#include "train/machine.h"
#include "train/roofs.h"

namespace dlm {

struct MachineFacts {
  Processor processor;
  int usable_threads = 0;  // that this process may run on
  int num_threads = 0;     // that it would use
  IsaTier tier = IsaTier::kScalar;
  IsaTier best_tier = IsaTier::kScalar;
  bool is_tier_forced = false;  // by $DLM_ISA
  Memory memory;
  fs::path home;
  uint64_t home_free_bytes = 0;
  fs::path hub_cache;  // may be empty
  uint64_t hub_free_bytes = 0;
  std::vector<Gpu> gpus;
  KnownRoofs roofs;
};
// Throws Error(kUsage) for a bad $DLM_ISA or $DLM_THREADS.
MachineFacts read_machine(int num_threads, const fs::path& home, const fs::path& hub_cache);

// Keys of the Python program's doctor first, null where they are about what this one does not have.
Json capabilities_json(const MachineFacts& facts);
std::string machine_text(const MachineFacts& facts);

}  // namespace dlm
