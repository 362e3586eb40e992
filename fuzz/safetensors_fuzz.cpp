// Any bytes as a safetensors file: reading ends in tensors that lie inside of the input, or in an
// Error.
#include <cstdint>
#include <cstdlib>

#include "formats/safetensors.h"
#include "support/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span<const std::byte> bytes(reinterpret_cast<const std::byte*>(data), size);
  try {
    const dlm::SafetensorsFile file = dlm::SafetensorsFile::parse(bytes, "fuzz");
    size_t total = 0;
    for (const dlm::SafetensorsTensor& tensor : file.tensors()) {
      for (std::byte byte : tensor.bytes) total += std::to_integer<size_t>(byte);
      if (file.find(tensor.name) == nullptr) std::abort();
    }
    static volatile size_t sink = 0;
    sink = sink + total;
  } catch (const dlm::Error& error) {
    if (error.kind() != dlm::ErrorKind::kFormat) std::abort();
  }
  return 0;
}
