// replay/index.json: which frames of the corpus hold which section. A frame that no entry names is
// dead.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "support/file.h"

namespace dlm {

struct ReplayEntry {
  std::string section_id;  // 16 lower-case hex digits
  uint64_t byte_offset = 0;
  uint64_t length = 0;   // of the frame, from 1
  int64_t added_at = 0;  // Unix seconds: when the section was last seen
  double weight = 1;     // of sampling, finite; 0: never drawn

  uint64_t end() const { return byte_offset + length; }
  bool operator==(const ReplayEntry&) const = default;
};

// Throws Error(kStore) "replay index is corrupt: REASON" with the file as place.
std::vector<ReplayEntry> parse_replay_index(std::string_view text, const fs::path& path);
// Canonical: by section id, equal ids in the order given.
std::string replay_index_text(std::vector<ReplayEntry> entries);

struct Eviction {
  std::vector<ReplayEntry> kept;     // in the order given
  std::vector<ReplayEntry> evicted;  // in the order in which they went
};

// Drops entries that are not protected, those seen last longest ago first (ties: by section id),
// until the frames of the others take at most max_bytes, or none is left to drop.
Eviction evict_until(const std::vector<ReplayEntry>& entries, uint64_t max_bytes,
                     const std::vector<std::string>& protected_ids);

}  // namespace dlm
