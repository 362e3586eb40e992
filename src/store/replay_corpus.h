// The history of a document's sections: replay/corpus.zst, frames one behind the other, and
// replay/index.json, which names those that live. Frames are only ever added behind the last living
// one and synced before the index names them, so a kill at any instant leaves the last committed
// history. What the index no longer names is dropped from the file by rewriting both.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "store/replay_index.h"
#include "store/replay_snapshot.h"
#include "store/store_layout.h"
#include "store/store_lock.h"

namespace dlm {

// The state of one instant: another process may go on writing.
class ReplayHistory {
 public:
  // Empty when there is none. Throws Error(kStore) for an index that is no index, Error(kIo).
  static ReplayHistory read(const StoreLayout& store);

  // By section id, each id once (of several frames the last).
  const std::vector<ReplayEntry>& entries() const { return entries_; }
  const ReplayEntry* find(const std::string& section_id) const;

  // Throws Error(kStore) naming section, file and reason: a frame that is cut off or damaged, or
  // that holds another section.
  ReplaySnapshot snapshot(const ReplayEntry& entry) const;
  // The frame's bytes as they lie.
  std::string frame(const ReplayEntry& entry) const;

  uint64_t live_bytes() const;
  uint64_t file_bytes() const;  // with dead frames

 private:
  std::vector<ReplayEntry> entries_;
  std::vector<ReadFile> corpus_;  // one, or none
  fs::path corpus_path_;
};

using ReplayWarning = std::function<void(const std::string&)>;

// Puts the snapshots into the history, in place of former ones of their sections, whose weights
// stay. Bytes behind the last living frame (of a writer that was killed) make room; entries whose
// frames lie beyond the end of the file are dropped with a warning. Throws Error(kIo); the history
// is then as it was.
void append_snapshots(const StoreLayout& store, const std::vector<ReplaySnapshot>& snapshots,
                      const StoreLock& lock, const ReplayWarning& on_warning);

// Rewrites both files with these entries of the history alone: nothing else is left in them. Those
// whose frames are cut off are dropped with a warning. Throws Error(kIo); the history is then as it
// was, or as wanted.
void rewrite_history(const StoreLayout& store, const std::vector<ReplayEntry>& kept,
                     const StoreLock& lock, const ReplayWarning& on_warning);

// Completes or removes what a killed rewrite_history left. Every writer begins with it.
void finish_rewrite(const StoreLayout& store, const StoreLock& lock);

}  // namespace dlm
