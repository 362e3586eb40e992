// Any bytes as manifest.json and as dlm.lock: what is accepted must save to a text that reads back
// equal and saves to the same bytes.
#include <cstdint>
#include <cstdlib>

#include "store/lock_file.h"
#include "store/manifest.h"
#include "support/error.h"

namespace {

void try_manifest(std::string_view text) {
  try {
    const dlm::Manifest manifest = dlm::parse_manifest(text, "fuzz");
    const std::string written = dlm::manifest_text(manifest);
    const dlm::Manifest again = dlm::parse_manifest(written, "fuzz");
    if (!(again == manifest) || dlm::manifest_text(again) != written) std::abort();
  } catch (const dlm::Error& error) {
    if (error.kind() != dlm::ErrorKind::kStore) std::abort();
  }
}

void try_lock_file(std::string_view text) {
  try {
    const dlm::LockFile lock = dlm::parse_lock_file(text, "fuzz");
    const dlm::LockFile again = dlm::parse_lock_file(dlm::lock_file_text(lock), "fuzz");
    if (!(again == lock) || !dlm::compare_lock_files(lock, again).empty()) std::abort();
  } catch (const dlm::Error& error) {
    if (error.kind() != dlm::ErrorKind::kStore) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try_manifest(text);
  try_lock_file(text);
  return 0;
}
