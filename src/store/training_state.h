// The training state of a version: training_state.pt with the digest of its bytes beside it. The
// digest finds damage by disks and copies; it is no protection against people.
#pragma once

#include "formats/torch_pt.h"
#include "support/file.h"

namespace dlm {

// Writes both files into the folder of a pending version.
void write_training_state(const fs::path& version, const TorchValue& state);

// Throws Error(kStore) when a file is missing or the digest differs, Error(kFormat) for a state of
// another program. Tensors refer to the mapped file.
TorchValue read_training_state(const fs::path& version);

// The same two files under any names.
void write_state_files(const fs::path& path, const fs::path& hash_path, const TorchValue& state);
TorchValue read_state_files(const fs::path& path, const fs::path& hash_path);

}  // namespace dlm
