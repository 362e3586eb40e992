// Finds a base's folder on this machine and checks that its files are whole. A folder has the
// layout of Hugging Face: config.json, *.safetensors, tokenizer.json, tokenizer_config.json.
// Nothing is fetched (pull.h does that).
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "bases/registry.h"
#include "support/file.h"

namespace dlm {

struct BaseInfo;

// Folders that may hold bases, each under its key; empty ones are left out.
struct BaseSearch {
  fs::path own_folder;        // $DLM_BASES
  fs::path installed_folder;  // <program>/../share/dlm/bases
  fs::path built_folder;      // assets/ of the tree that the program was built from
  fs::path hub_cache;         // of Hugging Face's programs (hub_settings.h); searched last
  // Commits that a document's runs have used, by hf:org/name: they go before what a branch says.
  std::map<std::string, std::string, std::less<>> commits;

  // Of this process: its environment and the folder of its program.
  static BaseSearch of_process();
  // In the order of search; without the cache, whose folders have other names.
  std::vector<fs::path> folders() const;
};

// The folder of a known base, of one on the hub (hf:org/name, hf:org/name@revision), or of one that
// is named by its path (with a slash in it). Its config.json has been read and its files are
// present and not cut off. Throws Error(kBase): unknown key (with the nearest one), not on this
// machine (with what to do), a missing or broken file (by name).
fs::path locate_base(std::string_view key_or_path, const BaseSearch& search);

struct Base {
  std::string key;  // or the path, as it was given
  fs::path folder;
  std::string revision;     // SHA-256 of the weights, 64 hex digits
  std::string commit = {};  // on the hub, where the folder is one of its cache; else empty
};

// The same, and the digest of the weights, which reads them whole (about 0.5 s a GiB).
Base open_base(std::string_view key_or_path, const BaseSearch& search);

// Whether a base is known and lies nowhere, so that fetching it would help.
bool is_absent_base(std::string_view key_or_path, const BaseSearch& search);

// The entry of a text base. Throws Error(kBase) as locate_base() for a key that is not known.
const BaseInfo& require_known_base(std::string_view key);

// Throws Error(kBase) unless that JSON file of a base is there, not empty, and closed by the brace
// that opens it: a copy that was cut off ends elsewhere. What it says is for its reader to check.
void check_base_json(const fs::path& folder, const char* name);
// Throws Error(kBase) unless the folder has all files of a base that this program can run.
void check_base_files(const fs::path& folder);
// The same as an answer.
bool is_whole_base(const fs::path& folder);

// SHA-256 of model.safetensors; of several shards: of one line "<name> <sha256>\n" each, by name.
std::string weights_digest(const fs::path& folder);

}  // namespace dlm
