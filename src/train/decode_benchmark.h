// How fast this machine generates, one sequence, token by token, against how fast it reads memory:
// every weight is read once a token, so reading is the roof.
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
  double bytes_per_token = 0;  // weights of the layers and the head, and the adapter's
  Spread prompt_tokens_per_s;  // the prompt, read at once
  Spread tokens_per_s;         // greedy, with the adapter
  Spread share_of_bandwidth;   // bytes_per_token / time / bandwidth, each with its own readings
};

// `weights` is a name for the result; `adapter` may be null. Every few tokens memory is read once.
DecodeResult measure_decoding(std::string weights, Decoder& decoder, LoraAdapter* adapter,
                              Device& device, ReadBandwidth& bandwidth,
                              const DecodeOptions& options);

}  // namespace dlm
