// Any bytes as JSON: what parses is written and must read back equal, in both layouts and both
// encodings.
#include <cstdint>
#include <cstdlib>

#include "support/error.h"
#include "support/json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  dlm::JsonLimits limits;
  limits.allow_nan_words = size % 2 == 1;
  try {
    const dlm::Json json = dlm::parse_json(text, "fuzz", limits);
    for (const std::string& written :
         {json.dump(), json.dump(-1, true), json.dump(2), json.dump(2, true)}) {
      if (!(dlm::parse_json(written) == json)) std::abort();
    }
    const std::string sorted = json.dump_sorted(2);
    if (dlm::parse_json(sorted).dump_sorted(2) != sorted) std::abort();
  } catch (const dlm::Error& error) {
    if (error.kind() != dlm::ErrorKind::kFormat) std::abort();
  }
  return 0;
}
