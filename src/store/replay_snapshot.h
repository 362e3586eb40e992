// One section as the history keeps it, and its bytes: one map in canonical CBOR (RFC 7049 section
// 3.9, shorter keys first) within one zstd frame. Reading takes any key order and refuses
// everything that the format does not name.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace dlm {

struct ReplaySnapshot {
  std::string section_id;    // 16 lower-case hex digits
  std::string section_type;  // prose, instruction, preference
  std::string content;       // exact
  bool auto_mined = false;
  int64_t first_seen_at = 0;  // Unix seconds
  int64_t last_seen_at = 0;
  std::vector<int64_t> training_runs_seen;

  bool operator==(const ReplaySnapshot&) const = default;
};

// 16 lower-case hex digits.
bool is_section_id(std::string_view text);

std::string snapshot_cbor(const ReplaySnapshot& snapshot);
// Throws Error(kFormat) that says what is wrong.
ReplaySnapshot parse_snapshot(std::string_view cbor);

// What a frame may say it holds: a document's 64 MiB, and what stands around a content.
inline constexpr uint64_t kMaxSnapshotBytes = uint64_t{65} << 20;

std::string encode_frame(const ReplaySnapshot& snapshot);
// Exactly one frame. Throws Error(kFormat): no zstd frame or more than one, a size that is missing
// or above kMaxSnapshotBytes (before any memory is taken), and what parse_snapshot refuses.
ReplaySnapshot decode_frame(std::string_view frame);

}  // namespace dlm
