// A small base as a hub has it: configuration, tokenizer and weights of a decoder of a few values.
#pragma once

#include "formats/safetensors.h"
#include "hub_server.h"
#include "model/decoder.h"
#include "temporary_folder.h"

namespace dlm {

inline constexpr const char* kHubRepository = "tiny-org/tiny-model";

inline HubServer::Files hub_base_files(bool is_sharded = false) {
  const TemporaryFolder folder;
  ModelConfig c;
  c.model_type = "llama";
  c.hidden_size = 64;
  c.intermediate_size = 128;
  c.num_layers = 1;
  c.num_heads = 2;
  c.num_kv_heads = 1;
  c.head_dim = 32;
  c.vocab_size = 320;
  c.max_positions = 64;
  Decoder::random(c, DType::kBF16, 1)->save(folder.path());
  HubServer::Files files;
  files["config.json"] = {read_file(folder / "config.json")};
  files["tokenizer.json"] = {"{\"version\": \"1.0\"}\n"};
  files["tokenizer_config.json"] = {"{}"};
  files["README.md"] = {"# A tiny model\n"};
  files["onnx/model.onnx"] = {"not wanted", true};
  files["pytorch_model.bin"] = {"not wanted either", true};
  const std::string weights = read_file(folder / "model.safetensors");
  if (!is_sharded) {
    files["model.safetensors"] = {weights, true};
    return files;
  }
  std::string map;
  for (const std::string& name : SafetensorsSet::open(folder.path()).names()) {
    map += (map.empty() ? "" : ", ") + ("\"" + name + "\": \"model-00001-of-00001.safetensors\"");
  }
  files["model-00001-of-00001.safetensors"] = {weights, true};
  files["model.safetensors.index.json"] = {"{\"weight_map\": {" + map + "}}"};
  return files;
}

}  // namespace dlm
