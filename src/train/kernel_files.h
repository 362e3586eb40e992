// The small text files in which Linux tells what a machine has.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "support/file.h"

namespace dlm {

// The text of such a file; "" when it is not there or cannot be read.
std::string kernel_text(const fs::path& path);

// The number that a file begins with, decimal or "0x..."; 0 when there is none.
uint64_t kernel_number(const fs::path& path);
// The number behind `key` at the beginning of a line: "MemTotal:   123 kB" gives 123.
uint64_t kernel_number(const fs::path& path, std::string_view key);

}  // namespace dlm
