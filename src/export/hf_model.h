// A base with its adapter worked in, as a folder that transformers loads: the base's own files,
// types and order of tensors. Memory stays near one matrix.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "engine/exec.h"
#include "support/file.h"

namespace dlm {

// Bytes of the weights that will be written.
uint64_t hf_model_bytes(const fs::path& base);

// `out` exists. Throws Error(kExport) for what the layout cannot hold: a head of its own where the
// base ties it. `on_progress` gets bytes written and all bytes.
void write_hf_model(const fs::path& base, const fs::path& adapter, const fs::path& out,
                    Device& device, const std::function<void(uint64_t, uint64_t)>& on_progress);

// Copies the files of `names` that `from` has.
void copy_files(const fs::path& from, const fs::path& to, const std::vector<std::string>& names);
// All of a base's files, weights too.
void copy_base(const fs::path& base, const fs::path& out);
// The base's files beside its weights: configuration and tokenizer.
const std::vector<std::string>& hf_side_files();

}  // namespace dlm
