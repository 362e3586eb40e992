// Any bytes as a GGUF file: reading ends in tensors that lie inside of the input, or in an Error.
// Every name that was read is found again.
#include <cstdint>
#include <cstdlib>

#include "formats/gguf.h"
#include "support/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span<const std::byte> bytes(reinterpret_cast<const std::byte*>(data), size);
  try {
    const dlm::GgufFile file = dlm::GgufFile::parse(bytes, "fuzz");
    size_t total = 0;
    for (const dlm::GgufTensor& tensor : file.tensors()) {
      for (std::byte byte : tensor.bytes) total += std::to_integer<size_t>(byte);
      if (file.find_tensor(tensor.name) != &tensor) std::abort();
    }
    for (const dlm::GgufField& field : file.fields()) {
      if (file.find(field.key) != &field.value) std::abort();
    }
    static volatile size_t sink = 0;
    sink = sink + total + static_cast<size_t>(file.integer("general.file_type", 0));
  } catch (const dlm::Error& error) {
    if (error.kind() != dlm::ErrorKind::kFormat) std::abort();
  }
  return 0;
}
