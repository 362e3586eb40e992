// Token rows of texts that were tokenized before, in files of the document's store
// (docs/token-cache.md). An entry is known by a digest of all that its tokens follow from, so it
// cannot be taken for another's. The cache is never needed: what is damaged or missing is tokenized
// again.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/chat_format.h"
#include "support/file.h"

namespace dlm {

using TokenCacheKey = std::array<std::byte, 32>;

// SHA-256 over the number and lengths of the parts and the parts.
TokenCacheKey token_cache_key(std::span<const std::string_view> parts);

struct TokenCacheSize {
  int64_t entries = 0;
  uint64_t bytes = 0;  // of the files on disk
};

// What one run found, for `dlm cache show`.
struct TokenCacheUse {
  int64_t run_id = 0;
  int64_t hits = 0;
  int64_t misses = 0;
};

// One process's view of the cache, fixed when it is opened; others may use the same folder.
class TokenCache {
 public:
  // An absent folder is an empty cache. Reads headers only.
  explicit TokenCache(fs::path folder);

  // The rows under a key, without ids and sources; none when there are none or they are damaged.
  // Counts a hit or a miss.
  std::optional<std::vector<TokenRow>> find(const TokenCacheKey& key);

  struct Fresh {
    TokenCacheKey key;
    std::span<const TokenRow> rows;
  };
  // Adds `fresh` and marks what find() found as used at `now` (Unix seconds), durably. Entries that
  // were used longest ago give way when the cache would outgrow max_bytes. False, and nothing
  // happens, when another process is writing. Throws Error(kIo).
  bool save(std::span<const Fresh> fresh, int64_t max_bytes, int64_t now);

  // Removes entries that were last used before `time`; returns how many. Throws Error(kLocked) when
  // another process is writing, Error(kIo).
  int64_t remove_unused_since(int64_t time);
  // Removes the cache; returns how many entries it had. Throws as the former.
  int64_t clear();

  const fs::path& folder() const { return folder_; }
  TokenCacheSize size() const;
  int64_t hits() const { return hits_; }
  int64_t misses() const { return misses_; }
  // What was damaged, in words.
  const std::vector<std::string>& warnings() const { return warnings_; }

  // Throws Error(kIo).
  void record_use(int64_t run_id) const;
  // None when there is no record that can be read.
  std::optional<TokenCacheUse> last_use() const;

 private:
  struct Entry {
    std::shared_ptr<const MappedFile> file;
    std::span<const std::byte> bytes;  // with header and padding
    int64_t last_used = 0;
    bool is_damaged = false;
  };
  using Entries = std::map<TokenCacheKey, Entry>;

  void read_segments();
  void read_segment(const fs::path& path);
  void read_uses();
  void write_uses() const;
  fs::path new_segment() const;
  void keep_only(const Entries& kept);

  fs::path folder_;
  std::vector<fs::path> segments_;  // by number
  Entries entries_;
  std::set<TokenCacheKey> found_;
  bool needs_rewrite_ = false;  // something is damaged or stands twice
  int64_t hits_ = 0;
  int64_t misses_ = 0;
  std::vector<std::string> warnings_;
};

}  // namespace dlm
