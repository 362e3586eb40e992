// The older form of importance matrices, .dat: mean squares times a number of chunks, so that
// neither tokens nor stacked matrices can be told apart when it is read.
#pragma once

#include <cstddef>
#include <span>

#include "formats/imatrix.h"

namespace dlm {

// Throws Error(kFormat). Each entry is one line of all its columns; its count is the file's number
// of chunks, which gives the same importance.
Imatrix parse_imatrix_dat(std::span<const std::byte> bytes, const fs::path& path);

}  // namespace dlm
