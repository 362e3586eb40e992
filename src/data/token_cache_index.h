// Where the entries of a token cache's files lie: 16 bytes for each, so that a cache of many short
// texts is small beside them. What an entry holds stays on disk.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "data/token_cache_entry.h"
#include "support/file.h"

namespace dlm {

// The files of a cache, in the order in which they were written.
std::vector<fs::path> token_cache_segments(const fs::path& folder);
// The place of the next one.
fs::path next_token_cache_segment(const fs::path& folder);

// Fixed once read: files that are removed or replaced later are still read as they were.
class TokenCacheIndex {
 public:
  TokenCacheIndex() = default;
  // Keeps no payload. What is damaged is left out, with a warning.
  TokenCacheIndex(const fs::path& folder, std::vector<std::string>& warnings);

  // Entries have the numbers [0, size()), in an order that follows from their keys.
  size_t size() const { return slots_.size(); }
  std::optional<size_t> find(const TokenCacheKey& key) const;
  // Throws Error(kIo) when the file was changed underneath.
  TokenEntryHeader header(size_t entry) const;
  // Of the payload, in pieces. Throws what header() throws, as do its calls; holds as long as the
  // index.
  PayloadAt payload(size_t entry) const;
  // Header, payload and padding. Throws Error(kIo).
  std::string bytes(size_t entry) const;

  size_t num_files() const { return files_.size(); }
  // Something is damaged or stands twice.
  bool needs_rewrite() const { return needs_rewrite_; }

 private:
  struct Slot {
    uint64_t key_head;  // the key's first bytes
    uint64_t place;     // number of the file, and offset in it
  };
  struct File {
    ReadFile file;
    uint64_t size;
  };
  static uint64_t offset_of(uint64_t place);
  const File& file_of(uint64_t place) const;
  void read_file_headers(const fs::path& path, std::vector<std::string>& warnings);
  // Of the same keys the last stays.
  void drop_repeated();
  bool is_same_key(const Slot& a, const Slot& b) const;
  TokenEntryHeader header_at(uint64_t place) const;

  std::vector<File> files_;
  std::vector<Slot> slots_;  // by key head, then place
  bool needs_rewrite_ = false;
};

}  // namespace dlm
