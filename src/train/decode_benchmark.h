// How fast this machine generates, one sequence, token by token, against how fast it reads memory:
// the weights that a token needs and the keys and values before it are read once a token, so reading
// is the roof, and the share of it what is known as model bandwidth utilization.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/exec.h"
#include "model/decoder.h"
#include "train/spread.h"

namespace dlm {

// Reads one large buffer with all threads. Holds the buffer while it lives.
class ReadBandwidth {
 public:
  // size_bytes 0: 1 GiB, or 512 MiB when memory is short.
  ReadBandwidth(Device& device, uint64_t size_bytes);
  // One pass over the buffer, in bytes a second.
  double run();

 private:
  Device& device_;
  int64_t pieces_;
  std::shared_ptr<std::byte> memory_;
  std::vector<uint64_t> sums_;
};

struct DecodeOptions {
  int64_t prompt_tokens = 32;
  int64_t decode_tokens = 64;
  int64_t runs = 3;
};

struct DecodeResult {
  std::string weights;         // "bf16" or "f32", "int8", "nf4"
  // Weights of the layers and the head, and the adapter's; of experts those that a token takes.
  double bytes_per_token = 0;
  double kv_bytes_per_token = 0;  // keys and values, the mean over the tokens that are generated
  Spread prompt_tokens_per_s;     // the prompt, read at once
  Spread tokens_per_s;            // greedy, with the adapter
  Spread share_of_bandwidth;      // all bytes / time / bandwidth, each with its own readings
};

// `weights` is a name for the result; `adapter` may be null. Every few tokens memory is read once.
DecodeResult measure_decoding(std::string weights, Decoder& decoder, LoraAdapter* adapter,
                              Device& device, ReadBandwidth& bandwidth,
                              const DecodeOptions& options);

}  // namespace dlm
