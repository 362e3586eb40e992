// Any bytes as an importance matrix of either form: reading ends in finite importance of every
// entry, or in an Error.
#include <cmath>
#include <cstdint>
#include <cstdlib>

#include "formats/imatrix.h"
#include "support/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span<const std::byte> bytes(reinterpret_cast<const std::byte*>(data), size);
  try {
    const dlm::Imatrix imatrix = dlm::parse_imatrix(bytes, "fuzz");
    if (imatrix.entries.empty()) std::abort();
    for (const auto& [weight, entry] : imatrix.entries) {
      const std::vector<float> importance = imatrix.importance(weight);
      if (importance.size() != entry.sums.size() || importance.empty()) std::abort();
      for (const float value : importance) {
        if (!std::isfinite(value) || value < 0) std::abort();
      }
    }
  } catch (const dlm::Error& error) {
    if (error.kind() != dlm::ErrorKind::kFormat) std::abort();
  }
  return 0;
}
