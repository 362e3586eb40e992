// Any bytes as a torch archive: reading ends in a value whose tensors lie inside of the input, or
// in an Error.
#include <cstdint>
#include <cstdlib>

#include "formats/torch_pt.h"
#include "support/error.h"

namespace {

size_t sum_of(const dlm::TorchValue& value) {
  size_t total = 0;
  if (const auto* tensor = std::get_if<dlm::TorchTensor>(&value.variant())) {
    for (std::byte byte : tensor->bytes) total += std::to_integer<size_t>(byte);
  } else if (const auto* list = std::get_if<dlm::TorchValue::List>(&value.variant())) {
    for (const dlm::TorchValue& item : *list) total += sum_of(item);
  } else if (const auto* dict = std::get_if<dlm::TorchValue::Dict>(&value.variant())) {
    for (const auto& [key, item] : *dict) total += key.size() + sum_of(item);
  }
  return total;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span<const std::byte> bytes(reinterpret_cast<const std::byte*>(data), size);
  try {
    static volatile size_t sink = 0;
    sink = sink + sum_of(dlm::parse_torch_pt(bytes, "fuzz"));
  } catch (const dlm::Error& error) {
    if (error.kind() != dlm::ErrorKind::kFormat) std::abort();
  }
  return 0;
}
