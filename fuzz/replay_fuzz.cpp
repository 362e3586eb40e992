// Any bytes as a frame of the history, as the map within one, and as its index: what is accepted
// must be written to bytes that read back equal.
#include <cstdint>
#include <cstdlib>

#include "store/replay_index.h"
#include "store/replay_snapshot.h"
#include "support/error.h"

namespace {

template <typename Call>
void expect_error(dlm::ErrorKind kind, Call call) {
  try {
    call();
  } catch (const dlm::Error& error) {
    if (error.kind() != kind) std::abort();
  }
}

void try_map(std::string_view bytes) {
  const dlm::ReplaySnapshot snapshot = dlm::parse_snapshot(bytes);
  if (!(dlm::parse_snapshot(dlm::snapshot_cbor(snapshot)) == snapshot)) std::abort();
  if (!(dlm::decode_frame(dlm::encode_frame(snapshot)) == snapshot)) std::abort();
}

void try_index(std::string_view text) {
  const std::string written = dlm::replay_index_text(dlm::parse_replay_index(text, "fuzz"));
  if (dlm::replay_index_text(dlm::parse_replay_index(written, "fuzz")) != written) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  expect_error(dlm::ErrorKind::kFormat, [&] { try_map(bytes); });
  expect_error(dlm::ErrorKind::kFormat, [&] { dlm::decode_frame(bytes); });
  expect_error(dlm::ErrorKind::kStore, [&] { try_index(bytes); });
  return 0;
}
