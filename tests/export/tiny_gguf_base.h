// Folders that a GGUF model can be made of: a golden checkpoint with a tokenizer put beside it.
#pragma once

#include <string>

#include "support/file.h"
#include "support/json.h"

namespace dlm {

// A byte-level tokenizer of three tokens; what the embedding has beyond them is filled up.
inline std::string three_token_json() {
  return R"({"added_tokens":[],"normalizer":null,"pre_tokenizer":{"type":"ByteLevel",)"
         R"("add_prefix_space":false,"trim_offsets":true,"use_regex":true},"post_processor":null,)"
         R"("decoder":{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,)"
         R"("use_regex":true},"model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":["a b"]}})";
}

// Copies config.json and weights of `golden` into `folder`.
inline void write_gguf_base(const fs::path& golden, const fs::path& folder) {
  make_folders(folder);
  for (const fs::directory_entry& entry : fs::directory_iterator(golden)) {
    const std::string name = entry.path().filename().string();
    const bool is_wanted = name == "config.json" || name.starts_with("model");
    if (is_wanted && !fs::exists(folder / name)) {
      write_file_atomic(folder / name, read_file(entry.path()));
    }
  }
  write_file_atomic(folder / "tokenizer.json", three_token_json());
  write_file_atomic(folder / "tokenizer_config.json", "{}");
}

}  // namespace dlm
