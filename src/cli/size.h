// Sizes of memory as they are written on the command line.
#pragma once

#include <cstdint>
#include <string_view>

namespace dlm {

// "900M", "1.5G", "2GiB", "123456": K, M, G and T are powers of 1,024, with or without B or iB
// behind; at least 1 byte, and less than 2^63. Throws Error(kUsage) that names `option`.
uint64_t parse_size(std::string_view text, std::string_view option);

}  // namespace dlm
