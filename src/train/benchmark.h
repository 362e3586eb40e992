// How fast this machine trains and prompts a base of given shapes, against what it could do at
// best: `dlm doctor --bench`. Weights are random, so no base has to be there; nothing is written.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/exec.h"
#include "model/config.h"
#include "support/json.h"
#include "train/decode_benchmark.h"
#include "train/short_rows_benchmark.h"
#include "train/spread.h"

namespace dlm {

struct BenchmarkOptions {
  std::string base_key;  // for the report
  int64_t rows = 2;
  int64_t row_tokens = 512;  // or the context, when that is shorter
  int64_t rank = 8;          // LoRA on all seven linear layers
  int64_t pairs = 5;         // measurements of roof and step, in turn
  int64_t prompt_tokens = 32;
  int64_t decode_tokens = 64;
  int64_t decode_runs = 3;
  uint64_t read_bytes = 0;  // size of the buffer read for the bandwidth; 0: 1 GiB, or 512 MiB when
                            // memory is short
};

// Operations of one training step that cannot be left out, a multiply-add counted as two. Computing
// something twice adds nothing.
struct StepFlops {
  double linear = 0;     // forward products and input gradients, the head included
  double lora = 0;       // both low-rank products, forward and backward
  double attention = 0;  // causal half of the scores and sums, and 2.5 times that backward
  double total() const { return linear + lora + attention; }
};
StepFlops step_flops(const ModelConfig& shapes, int64_t rows, int64_t row_tokens, int64_t rank);

struct BenchmarkResult {
  std::string base_key;
  std::string instruction_set;
  std::string onednn_version;
  std::string dtype;
  int threads = 0;
  int64_t tokens_per_step = 0;
  StepFlops flops;
  Spread gemm_roof_gflops;  // the step's base products alone
  std::string roof_layout;  // "file" or "packed"
  int64_t roof_tile_tokens = 0;
  Spread train_tokens_per_s;    // forward, backward and AdamW; every token labelled
  Spread train_share_of_roof;   // needed operations / step time / roof, per pair
  double peak_rss_mb = 0;       // of the process after training, before the roof's buffers exist
  double predicted_rss_mb = 0;  // the same, from the memory plan
  Spread decode_tokens_per_s;   // greedy, with the adapter
  Spread read_bandwidth_gbs;    // all threads reading memory
  // Generation with the weights in the computing type, in 8 bits and in 4.
  std::vector<DecodeResult> decoding;
  // The training step on a base in 4 bits (adapter: qlora), and the most memory that the process
  // held during it; 0 where the system does not let that be measured anew.
  Spread qlora_tokens_per_s;
  double qlora_peak_rss_mb = 0;
  ShortRowsResult short_rows;
};

// Takes some seconds for 100M weights, some minutes for 3B. Throws Error(kTrain) when memory is
// short.
BenchmarkResult run_benchmark(const ModelConfig& shapes, Device& device,
                              const BenchmarkOptions& options);

Json benchmark_json(const BenchmarkResult& result);
std::string benchmark_text(const BenchmarkResult& result);

}  // namespace dlm
