// The CRC-32 of zip, gzip and PNG (polynomial 0xEDB88320, reflected).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace dlm {

// Of `bytes` after what `before` stands for; 0 stands for nothing.
uint32_t crc32(std::span<const std::byte> bytes, uint32_t before = 0);

}  // namespace dlm
