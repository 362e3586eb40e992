#include "data/token_cache.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "data/token_cache_entry.h"
#include "support/error.h"
#include "support/file_lock.h"
#include "support/hash.h"
#include "support/interrupt.h"
#include "support/json.h"

namespace dlm {

namespace {

// More files than these are made one.
constexpr size_t kMostSegments = 16;
constexpr const char* kUses = "uses";
constexpr const char* kLastRun = "last-run.json";
constexpr size_t kUseBytes = sizeof(TokenCacheKey) + sizeof(int64_t);

std::optional<FileLock> try_lock(const fs::path& folder) {
  return FileLock::try_acquire(folder / ".lock");
}

FileLock require_lock(const fs::path& folder) {
  if (auto lock = try_lock(folder)) return std::move(*lock);
  throw Error(ErrorKind::kLocked, "another process is writing the token cache",
              "wait until it has finished", {folder.string()});
}

}  // namespace

TokenCacheKey token_cache_key(std::span<const std::string_view> parts) {
  Sha256 hash;
  const auto add_number = [&](uint64_t number) {
    hash.update(std::as_bytes(std::span(&number, 1)));
  };
  add_number(parts.size());
  for (const std::string_view part : parts) {
    add_number(part.size());
    hash.update(part);
  }
  const std::string hex = hash.hex();
  TokenCacheKey key;
  const auto digit = [&](size_t at) {
    return static_cast<unsigned>(hex[at] <= '9' ? hex[at] - '0' : hex[at] - 'a' + 10);
  };
  for (size_t i = 0; i < key.size(); ++i) {
    key[i] = static_cast<std::byte>(digit(2 * i) * 16 + digit(2 * i + 1));
  }
  return key;
}

TokenCache::TokenCache(fs::path folder) : folder_(std::move(folder)) {
  if (is_folder(folder_)) read_index();
}

void TokenCache::read_index() {
  index_ = TokenCacheIndex(folder_, warnings_);
  found_.assign(index_.size(), false);
  damaged_.assign(index_.size(), false);
}

bool TokenCache::find(const TokenCacheKey& key, const AcceptRow& accept, const OnRow& on_row) {
  const auto entry = find_whole(key, accept);
  if (!entry) {
    ++misses_;
    return false;
  }
  ++hits_;
  found_[*entry] = true;
  const bool is_same = read_entry(index_.header(*entry), index_.payload(*entry), [&](TokenRow row) {
    on_row(std::move(row));
    return true;
  });
  if (!is_same) {
    throw Error(ErrorKind::kIo, "a file of the token cache was changed while it was read",
                "run the command again, or use --no-cache", {folder_.string()});
  }
  return true;
}

std::optional<size_t> TokenCache::find_whole(const TokenCacheKey& key, const AcceptRow& accept) {
  std::optional<size_t> entry;
  try {
    entry = index_.find(key);
    if (!entry || damaged_[*entry]) return std::nullopt;
    if (read_entry(index_.header(*entry), index_.payload(*entry), accept)) return entry;
  } catch (const Error& e) {
    if (e.kind() != ErrorKind::kIo) throw;  // else the file was changed underneath
  }
  if (entry) damaged_[*entry] = true;
  warnings_.push_back("an entry of the token cache is damaged; its text is tokenized again");
  return std::nullopt;
}

std::vector<TokenCacheKey> TokenCache::keys_where(const std::vector<bool>& marked) const {
  std::vector<TokenCacheKey> keys;
  for (size_t i = 0; i < marked.size(); ++i) {
    if (!marked[i]) continue;
    try {
      keys.push_back(index_.header(i).key);
    } catch (const Error&) {
      // Its file was changed since; then it is neither used nor dropped.
    }
  }
  return keys;
}

std::vector<TokenCache::Life> TokenCache::lives() const {
  std::vector<Life> lives;
  lives.reserve(index_.size());
  for (size_t i = 0; i < index_.size(); ++i) {
    const TokenEntryHeader header = index_.header(i);
    lives.push_back({header.written_at, entry_bytes(header.payload_bytes)});
  }
  if (!path_exists(folder_ / kUses)) return lives;
  std::string bytes;
  try {
    bytes = read_file(folder_ / kUses);
  } catch (const Error&) {
    return lives;  // then entries are as old as their files say
  }
  if (bytes.size() < 64 || sha256_hex(std::string_view(bytes).substr(64)) != bytes.substr(0, 64)) {
    return lives;
  }
  for (size_t at = 64; at + kUseBytes <= bytes.size(); at += kUseBytes) {
    TokenCacheKey key;
    int64_t last_used = 0;
    std::memcpy(key.data(), bytes.data() + at, key.size());
    std::memcpy(&last_used, bytes.data() + at + key.size(), sizeof last_used);
    if (const auto entry = index_.find(key)) {
      lives[*entry].last_used = std::max(lives[*entry].last_used, last_used);
    }
  }
  return lives;
}

void TokenCache::write_uses(const std::vector<Life>& lives, std::span<const TokenCacheKey> fresh,
                            int64_t now) const {
  std::string bytes;
  const auto add = [&](const TokenCacheKey& key, int64_t last_used) {
    bytes.append(reinterpret_cast<const char*>(key.data()), key.size());
    bytes.append(reinterpret_cast<const char*>(&last_used), sizeof last_used);
  };
  for (size_t i = 0; i < lives.size(); ++i) {
    if (lives[i].is_kept) add(index_.header(i).key, lives[i].last_used);
  }
  for (const TokenCacheKey& key : fresh) add(key, now);
  write_file_atomic(folder_ / kUses, sha256_hex(bytes) + bytes);
}

bool TokenCache::save(std::span<const Fresh> fresh, const RowsOf& rows_of, int64_t max_bytes,
                      int64_t now) {
  const std::vector<TokenCacheKey> found = keys_where(found_), damaged = keys_where(damaged_);
  if (fresh.empty() && found.empty()) return true;
  make_folders(folder_);
  const auto lock = try_lock(folder_);
  if (!lock) return false;
  remove_stale_temporaries(folder_);
  read_index();  // what other processes did since
  bool needs_rewrite = index_.needs_rewrite();
  std::vector<Life> lives = this->lives();
  for (const TokenCacheKey& key : found) {
    const auto entry = index_.find(key);
    if (!entry) continue;
    lives[*entry].last_used = now;
    found_[*entry] = true;
  }
  for (const TokenCacheKey& key : damaged) {
    const auto entry = index_.find(key);
    if (!entry) continue;
    lives[*entry].is_kept = false;
    needs_rewrite = true;
  }

  // The longest unused ones make room; what this run used does not for what it adds.
  uint64_t total = kTokenCacheFileHeader;
  std::vector<size_t> by_age;
  for (size_t i = 0; i < lives.size(); ++i) {
    if (!lives[i].is_kept) continue;
    total += lives[i].bytes;
    by_age.push_back(i);
  }
  std::stable_sort(by_age.begin(), by_age.end(),
                   [&](size_t a, size_t b) { return lives[a].last_used < lives[b].last_used; });
  const auto limit = static_cast<uint64_t>(std::max<int64_t>(0, max_bytes));
  size_t oldest = 0;
  const auto drop_oldest = [&] {
    Life& life = lives[by_age[oldest++]];
    total -= life.bytes;
    life.is_kept = false;
    needs_rewrite = true;
  };
  while (total > limit && oldest < by_age.size()) drop_oldest();

  std::optional<AtomicFile> segment;
  const fs::path path = next_token_cache_segment(folder_);
  std::vector<TokenCacheKey> added;
  for (const Fresh& one : fresh) {
    check_interrupted();
    if (const auto entry = index_.find(one.key); entry && lives[*entry].is_kept) continue;
    const std::string bytes = write_entry(one.key, rows_of(one.number), now);
    while (total + bytes.size() > limit && oldest < by_age.size() && !found_[by_age[oldest]]) {
      drop_oldest();
    }
    if (total + bytes.size() > limit) continue;
    if (!segment) {
      segment.emplace(path);
      segment->write(token_cache_file_header());
    }
    segment->write(bytes);
    added.push_back(one.key);
    total += bytes.size();
  }
  if (segment) segment->commit();
  const size_t num_files = index_.num_files() + (segment ? 1 : 0);
  if (needs_rewrite || num_files > kMostSegments) rewrite(lives, segment ? path : fs::path());
  write_uses(lives, added, now);
  read_index();
  return true;
}

void TokenCache::rewrite(const std::vector<Life>& lives, const fs::path& added) {
  const std::vector<fs::path> old = token_cache_segments(folder_);
  const bool is_any =
      std::any_of(lives.begin(), lives.end(), [](const Life& life) { return life.is_kept; });
  if (is_any || !added.empty()) {
    AtomicFile segment(next_token_cache_segment(folder_));
    segment.write(token_cache_file_header());
    for (size_t i = 0; i < lives.size(); ++i) {
      if (lives[i].is_kept) segment.write(index_.bytes(i));
    }
    if (!added.empty()) {
      const std::shared_ptr<const MappedFile> file = MappedFile::open(added);
      segment.write(file->bytes().subspan(kTokenCacheFileHeader));
    }
    segment.commit();
  }
  // Entries that stand in two segments after a crash here are the same.
  for (const fs::path& segment : old) remove_path(segment);
}

int64_t TokenCache::remove_unused_since(int64_t time) {
  if (!is_folder(folder_)) return 0;
  const FileLock lock = require_lock(folder_);
  read_index();
  std::vector<Life> lives = this->lives();
  int64_t removed = 0;
  for (Life& life : lives) {
    life.is_kept = life.last_used >= time;
    removed += !life.is_kept;
  }
  if (removed > 0 || index_.needs_rewrite()) {
    rewrite(lives, {});
    write_uses(lives, {}, 0);
    read_index();
  }
  return removed;
}

int64_t TokenCache::clear() {
  if (!is_folder(folder_)) return 0;
  const FileLock lock = require_lock(folder_);
  read_index();
  const auto removed = static_cast<int64_t>(index_.size());
  for (const fs::path& segment : token_cache_segments(folder_)) remove_path(segment);
  remove_path(folder_ / kUses);
  remove_path(folder_ / kLastRun);
  read_index();
  return removed;
}

TokenCacheSize TokenCache::size() const {
  TokenCacheSize size;
  size.entries = static_cast<int64_t>(index_.size());
  std::error_code error;
  for (const fs::path& segment : token_cache_segments(folder_)) {
    const auto bytes = fs::file_size(segment, error);
    if (!error) size.bytes += bytes;
  }
  return size;
}

void TokenCache::record_use(int64_t run_id) const {
  const Json record =
      Json::object({{"hits", Json(hits_)}, {"misses", Json(misses_)}, {"run_id", Json(run_id)}});
  write_file_atomic(folder_ / kLastRun, record.dump(2) + "\n");
}

std::optional<TokenCacheUse> TokenCache::last_use() const {
  try {
    if (!path_exists(folder_ / kLastRun)) return std::nullopt;
    const Json record = parse_json(read_file(folder_ / kLastRun, size_t{1} << 16));
    return TokenCacheUse{record.at("run_id").as_int(), record.at("hits").as_int(),
                         record.at("misses").as_int()};
  } catch (const Error&) {
    return std::nullopt;
  }
}

}  // namespace dlm
