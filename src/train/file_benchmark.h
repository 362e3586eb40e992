// How fast this machine prompts an exported GGUF file: `dlm doctor --bench --gguf FILE`.
#pragma once

#include <string>

#include "engine/exec.h"
#include "support/file.h"
#include "support/json.h"
#include "train/decode_benchmark.h"

namespace dlm {

struct FileBenchmark {
  std::string architecture;
  std::string instruction_set;
  int threads = 0;
  uint64_t file_bytes = 0;
  double open_seconds = 0;  // until the first token could be read
  DecodeResult decoding;
  Spread read_bandwidth_gbs;
};

// Throws what opening the file throws.
FileBenchmark run_file_benchmark(const fs::path& gguf, Device& device);

Json file_benchmark_json(const FileBenchmark& result);
std::string file_benchmark_text(const FileBenchmark& result);

}  // namespace dlm
