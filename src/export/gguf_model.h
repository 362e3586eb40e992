// A base, with an adapter worked in or without one, written as a GGUF model; and an adapter alone
// as a GGUF LoRA. Memory stays near one tensor: rows are read, merged, quantized and written in
// pieces.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "engine/exec.h"
#include "export/gguf_tokenizer.h"
#include "export/mixture.h"
#include "formats/imatrix.h"
#include "support/file.h"

namespace dlm {

struct GgufModelRequest {
  fs::path base;              // folder with config.json, tokenizer.json and safetensors
  fs::path adapter;           // empty: the base alone; else merged in f32 before quantizing
  double adapter_weight = 1;  // factor on the adapter's own scale
  Quant quant = Quant::kQ4_K_M;
  const Imatrix* imatrix = nullptr;  // may be null
  std::string name;                  // general.name
  std::string license;               // general.license, may be empty
  std::string chat_template;         // written where the base has none; may be empty
  // Of this base and template where they were read already; null: to read.
  std::shared_ptr<const GgufTokenizer> tokenizer;
  fs::path out;
  // Called from the calling thread with bytes written and the whole file's bytes.
  std::function<void(uint64_t, uint64_t)> on_progress;
};

struct GgufModelReport {
  std::string sha256;  // of the file, hex
  uint64_t file_bytes = 0;
  int64_t num_tensors = 0;
};

// What is known of the file before any weight is read.
struct GgufModelOutline {
  uint64_t file_bytes = 0;
  bool adds_bos = false;  // run times put a BOS token before every text
  std::shared_ptr<const GgufTokenizer> tokenizer;
};
// Throws Error(kBase) for what the format cannot hold.
GgufModelOutline outline_gguf_model(const GgufModelRequest& request);

// Throws Error(kBase) for what the format cannot hold (named), Error(kIo). Nothing is left behind
// on failure. The same inputs give the same bytes at any thread count; without an adapter on any
// processor, with one on any that has fused multiply-adds.
GgufModelReport write_gguf_model(const GgufModelRequest& request, Device& device);

// The adapter as a GGUF LoRA for the base's file. rsLoRA and patterns are folded into the numbers;
// DoRA and whole trained modules are refused with Error(kUsage) whose hint is --merged.
GgufModelReport write_gguf_adapter(const fs::path& base, const fs::path& adapter,
                                   const std::string& name, const fs::path& out);

}  // namespace dlm
