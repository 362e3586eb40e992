// Token rows of texts that were tokenized before, in files of the document's store
// (docs/token-cache.md). An entry is known by a digest of all that its tokens follow from, so it
// cannot be taken for another's. The cache is never needed: what is damaged or missing is tokenized
// again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/token_cache_index.h"
#include "data/token_row.h"
#include "support/file.h"

namespace dlm {

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
  // An absent folder is an empty cache. Keeps no rows.
  explicit TokenCache(fs::path folder);

  using AcceptRow = std::function<bool(const TokenRow&)>;
  using OnRow = std::function<void(TokenRow)>;
  // Calls `on_row` with each row under a key, without ids and sources. False, and no call, when
  // there are none, when they are damaged, or when `accept` refuses one. Counts a hit or a miss.
  bool find(const TokenCacheKey& key, const AcceptRow& accept, const OnRow& on_row);

  struct Fresh {
    TokenCacheKey key;
    size_t number;  // by which `rows_of` knows its rows
  };
  using RowsOf = std::function<std::vector<TokenRow>(size_t number)>;
  // Adds `fresh`, asking for the rows of one after another, and marks what find() found as used at
  // `now` (Unix seconds), durably. Entries that were used longest ago give way when the cache would
  // outgrow max_bytes. False, and nothing happens, when another process is writing. Throws
  // Error(kIo).
  bool save(std::span<const Fresh> fresh, const RowsOf& rows_of, int64_t max_bytes, int64_t now);

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
  // What is decided by, of each entry.
  struct Life {
    int64_t last_used;
    uint64_t bytes;
    bool is_kept = true;
  };

  void read_index();
  // The entry of that key, when it is whole and its rows are accepted.
  std::optional<size_t> find_whole(const TokenCacheKey& key, const AcceptRow& accept);
  std::vector<TokenCacheKey> keys_where(const std::vector<bool>& marked) const;
  std::vector<Life> lives() const;
  // Leaves the entries that are kept, and those of `added` if any, in one file.
  void rewrite(const std::vector<Life>& lives, const fs::path& added);
  // Of the kept entries, and those of `fresh`, used at `now`.
  void write_uses(const std::vector<Life>& lives, std::span<const TokenCacheKey> fresh,
                  int64_t now) const;

  fs::path folder_;
  TokenCacheIndex index_;
  std::vector<bool> found_;    // by find(), of the index's entries
  std::vector<bool> damaged_;  // their payloads are
  int64_t hits_ = 0;
  int64_t misses_ = 0;
  std::vector<std::string> warnings_;
};

}  // namespace dlm
