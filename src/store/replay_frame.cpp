// Snapshots as zstd frames (RFC 8878): level 3, content size written, neither checksum nor
// dictionary.
#include <zstd.h>

#include "store/replay_snapshot.h"
#include "support/error.h"

namespace dlm {

namespace {

constexpr int kLevel = 3;

[[noreturn]] void refuse(const std::string& reason) {
  throw Error(ErrorKind::kFormat, reason);
}

}  // namespace

std::string encode_frame(const ReplaySnapshot& snapshot) {
  const std::string cbor = snapshot_cbor(snapshot);
  std::string frame(ZSTD_compressBound(cbor.size()), '\0');
  const size_t size = ZSTD_compress(frame.data(), frame.size(), cbor.data(), cbor.size(), kLevel);
  if (ZSTD_isError(size)) throw std::bad_alloc();  // the only way to fail with room enough
  frame.resize(size);
  return frame;
}

ReplaySnapshot decode_frame(std::string_view frame) {
  const unsigned long long claimed = ZSTD_getFrameContentSize(frame.data(), frame.size());
  if (claimed == ZSTD_CONTENTSIZE_ERROR) refuse("it is no zstd frame");
  if (claimed == ZSTD_CONTENTSIZE_UNKNOWN) refuse("the zstd frame does not say its size");
  if (claimed > kMaxSnapshotBytes) {
    refuse("the zstd frame says that it holds " + std::to_string(claimed) + " bytes, more than " +
           std::to_string(kMaxSnapshotBytes));
  }
  if (ZSTD_findFrameCompressedSize(frame.data(), frame.size()) != frame.size()) {
    refuse("it is not exactly one zstd frame");
  }
  std::string cbor(static_cast<size_t>(claimed), '\0');
  const size_t size = ZSTD_decompress(cbor.data(), cbor.size(), frame.data(), frame.size());
  if (ZSTD_isError(size) || size != cbor.size()) refuse("the zstd frame is damaged");
  return parse_snapshot(cbor);
}

}  // namespace dlm
