// The digest is taken from the file as it was written, so that it also covers the writing.
#include "store/training_state.h"

#include "store/store_layout.h"
#include "support/error.h"
#include "support/hash.h"
#include "support/text.h"

namespace dlm {
namespace {

[[noreturn]] void fail(const fs::path& path, const std::string& message) {
  throw Error(ErrorKind::kStore, message,
              "the adapter itself may be sound; train without resuming to start a new state",
              {path.string()});
}

}  // namespace

void write_state_files(const fs::path& path, const fs::path& hash_path, const TorchValue& state) {
  write_torch_pt(path, state);
  write_file_atomic(hash_path, sha256_file_hex(path) + "\n");
}

TorchValue read_state_files(const fs::path& path, const fs::path& hash_path) {
  for (const fs::path& needed : {path, hash_path}) {
    if (!path_exists(needed)) fail(needed, "the training state is not complete: file missing");
  }
  const std::string text = read_file(hash_path, 4096);
  const std::string wanted(trim(text));
  const std::string found = sha256_file_hex(path);
  if (wanted != found) {
    constexpr size_t kShown = 16;
    fail(path, "the training state is damaged: its digest is " + found.substr(0, kShown) +
                   "…, recorded is " + wanted.substr(0, kShown) + "…");
  }
  return read_torch_pt(path);
}

void write_training_state(const fs::path& version, const TorchValue& state) {
  write_state_files(version / kTrainingStateFile, version / kTrainingStateHashFile, state);
}

TorchValue read_training_state(const fs::path& version) {
  return read_state_files(version / kTrainingStateFile, version / kTrainingStateHashFile);
}

}  // namespace dlm
