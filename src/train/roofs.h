// The roofs of this machine as they were measured last: how fast it multiplies and how fast it
// reads memory. HOME/roofs.json keeps one record, of the last machine that measured;
// docs/performance.md has its form. Predictions use it; no result of training depends on it.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "engine/exec.h"
#include "support/clock.h"
#include "support/file.h"
#include "support/json.h"

namespace dlm {

// What a rate belongs to: on another one it would be another.
struct RoofKey {
  std::string processor;
  std::string instruction_set;
  int threads = 0;

  friend bool operator==(const RoofKey&, const RoofKey&) = default;
};
// Of this processor and its instruction set in use. Throws Error(kUsage) for a bad $DLM_ISA.
RoofKey roof_key(int num_threads);

struct Roofs {
  RoofKey key;
  std::map<std::string, double> gflops;  // by "bf16" and "fp32": 1e9 operations a second
  double read_gbs = 0;      // all threads reading memory, 1e9 bytes a second; 0: not measured
  std::string measured_at;  // UTC
  std::string measured_by;  // "bench" or "train"
};

fs::path roofs_path(const fs::path& home);

// The record, where there is one for this key; else `note` says why it is not used ("" where there
// is no record).
struct KnownRoofs {
  std::optional<Roofs> roofs;
  std::string note;
};
KnownRoofs read_roofs(const fs::path& home, const RoofKey& key);
// Replaces the record, whoever's it was. Throws Error(kIo).
void write_roofs(const fs::path& home, const Roofs& roofs);
Json roofs_json(const Roofs& roofs);

const char* precision_word(DType dtype);  // "bf16" or "fp32"

// The rate of products for a prediction: of the record, or measured now (about 50 ms), when
// `measured` becomes the record with it.
struct ProductRate {
  double gflops = 0;
  std::optional<Roofs> measured;
};
ProductRate product_rate(const fs::path& home, Device& device, DType dtype, const Clock& clock);

// Rates of both types and of reading, at more length: what `dlm doctor --bench` records.
Roofs measure_roofs(Device& device, double read_gbs, const Clock& clock);

}  // namespace dlm
