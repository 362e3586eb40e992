// Finds a base's folder on this machine and checks that its files are whole. A folder has the
// layout of Hugging Face: config.json, *.safetensors, tokenizer.json, tokenizer_config.json.
// Nothing is fetched.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "support/file.h"

namespace dlm {

// Folders that may hold bases, each under its key; empty ones are left out.
struct BaseSearch {
  fs::path own_folder;        // $DLM_BASES
  fs::path installed_folder;  // <program>/../share/dlm/bases
  fs::path built_folder;      // assets/ of the tree that the program was built from

  // Of this process: its environment and the folder of its program.
  static BaseSearch of_process();
  // In the order of search.
  std::vector<fs::path> folders() const;
};

// The folder of a known base, or of one that is named by its path (with a slash in it). Its
// config.json has been read and its files are present and not cut off. Throws Error(kBase): unknown
// key (with the nearest one), not on this machine (with what to do), a missing or broken file (by
// name).
fs::path locate_base(std::string_view key_or_path, const BaseSearch& search);

struct Base {
  std::string key;  // or the path, as it was given
  fs::path folder;
  std::string revision;  // SHA-256 of the weights, 64 hex digits
};

// The same, and the digest of the weights, which reads them whole (about 0.5 s a GiB).
Base open_base(std::string_view key_or_path, const BaseSearch& search);

// SHA-256 of model.safetensors; of several shards: of one line "<name> <sha256>\n" each, by name.
std::string weights_digest(const fs::path& folder);

}  // namespace dlm
