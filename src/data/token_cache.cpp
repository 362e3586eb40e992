#include "data/token_cache.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "data/token_cache_entry.h"
#include "support/error.h"
#include "support/file_lock.h"
#include "support/hash.h"
#include "support/json.h"

namespace dlm {

namespace {

// More files than these are made one.
constexpr size_t kMostSegments = 16;
constexpr const char* kSegmentSuffix = ".tokens";
constexpr const char* kUses = "uses";
constexpr const char* kLastRun = "last-run.json";
constexpr size_t kUseBytes = sizeof(TokenCacheKey) + sizeof(int64_t);

std::string segment_name(int64_t number) {
  std::string digits = std::to_string(number);
  return std::string(6 - std::min<size_t>(6, digits.size()), '0') + digits + kSegmentSuffix;
}

// 0 for other files.
int64_t segment_number(const fs::path& path) {
  const std::string stem = path.stem().string();
  if (path.extension() != kSegmentSuffix || stem.empty() || stem.size() > 12 ||
      stem.find_first_not_of("0123456789") != stem.npos) {
    return 0;
  }
  return std::stoll(stem);
}

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
  if (is_folder(folder_)) read_segments();
}

void TokenCache::read_segments() {
  segments_.clear();
  entries_.clear();
  needs_rewrite_ = false;
  std::error_code error;
  for (const auto& file : fs::directory_iterator(folder_, error)) {
    if (segment_number(file.path()) > 0) segments_.push_back(file.path());
  }
  std::sort(segments_.begin(), segments_.end(), [](const fs::path& a, const fs::path& b) {
    return segment_number(a) < segment_number(b);
  });
  for (const fs::path& path : segments_) {
    try {
      read_segment(path);
    } catch (const Error& e) {
      // Another process may have removed it in between.
      if (path_exists(path)) warnings_.push_back(e.what());
    }
  }
  read_uses();
}

void TokenCache::read_segment(const fs::path& path) {
  const std::shared_ptr<const MappedFile> file = MappedFile::open(path);
  std::span<const std::byte> rest = file->bytes();
  const std::string header = token_cache_file_header();
  const auto refuse = [&](const char* what) {
    warnings_.push_back(path.filename().string() + " " + what + "; its texts are tokenized again");
    needs_rewrite_ = true;
  };
  if (rest.size() < header.size() || std::memcmp(rest.data(), header.data(), header.size()) != 0) {
    refuse("is no file of this version's token cache");
    return;
  }
  rest = rest.subspan(header.size());
  while (!rest.empty()) {
    const auto entry = read_entry_header(rest);
    if (!entry || entry->payload_bytes > rest.size() ||
        entry_bytes(entry->payload_bytes) > rest.size()) {
      refuse("is damaged from an entry on");
      return;
    }
    const size_t size = entry_bytes(entry->payload_bytes);
    Entry& place = entries_[entry->key];
    if (place.file) needs_rewrite_ = true;
    place = {file, rest.first(size), entry->written_at, false};
    rest = rest.subspan(size);
  }
}

void TokenCache::read_uses() {
  if (!path_exists(folder_ / kUses)) return;
  std::string bytes;
  try {
    bytes = read_file(folder_ / kUses);
  } catch (const Error&) {
    return;  // then entries are as old as their files say
  }
  if (bytes.size() < 64 || sha256_hex(std::string_view(bytes).substr(64)) != bytes.substr(0, 64)) {
    return;
  }
  for (size_t at = 64; at + kUseBytes <= bytes.size(); at += kUseBytes) {
    TokenCacheKey key;
    int64_t last_used = 0;
    std::memcpy(key.data(), bytes.data() + at, key.size());
    std::memcpy(&last_used, bytes.data() + at + key.size(), sizeof last_used);
    const auto entry = entries_.find(key);
    if (entry != entries_.end()) {
      entry->second.last_used = std::max(entry->second.last_used, last_used);
    }
  }
}

void TokenCache::write_uses() const {
  std::string bytes;
  for (const auto& [key, entry] : entries_) {
    bytes.append(reinterpret_cast<const char*>(key.data()), key.size());
    bytes.append(reinterpret_cast<const char*>(&entry.last_used), sizeof entry.last_used);
  }
  write_file_atomic(folder_ / kUses, sha256_hex(bytes) + bytes);
}

std::optional<std::vector<TokenRow>> TokenCache::find(const TokenCacheKey& key) {
  const auto at = entries_.find(key);
  if (at != entries_.end() && !at->second.is_damaged) {
    Entry& entry = at->second;
    const auto header = read_entry_header(entry.bytes);
    auto rows =
        header ? read_entry(*header, entry.bytes.subspan(kTokenEntryHeader, header->payload_bytes))
               : std::nullopt;
    entry.file->release(entry.bytes);
    if (rows) {
      ++hits_;
      found_.insert(key);
      return rows;
    }
    entry.is_damaged = true;
    warnings_.push_back("an entry of the token cache is damaged; its text is tokenized again");
  }
  ++misses_;
  return std::nullopt;
}

fs::path TokenCache::new_segment() const {
  const int64_t last = segments_.empty() ? 0 : segment_number(segments_.back());
  return folder_ / segment_name(last + 1);
}

bool TokenCache::save(std::span<const Fresh> fresh, int64_t max_bytes, int64_t now) {
  if (fresh.empty() && found_.empty()) return true;
  make_folders(folder_);
  const auto lock = try_lock(folder_);
  if (!lock) return false;
  remove_stale_temporaries(folder_);
  std::set<TokenCacheKey> damaged;
  for (const auto& [key, entry] : entries_) {
    if (entry.is_damaged) damaged.insert(key);
  }
  read_segments();  // what other processes did since
  for (const TokenCacheKey& key : found_) {
    if (const auto entry = entries_.find(key); entry != entries_.end()) {
      entry->second.last_used = now;
    }
  }
  for (const TokenCacheKey& key : damaged)
    needs_rewrite_ = entries_.erase(key) > 0 || needs_rewrite_;

  // The longest unused ones make room; what this run used does not for what it adds.
  uint64_t total = kTokenCacheFileHeader;
  for (const auto& [key, entry] : entries_) total += entry.bytes.size();
  const auto limit = static_cast<uint64_t>(std::max<int64_t>(0, max_bytes));
  std::vector<std::pair<int64_t, TokenCacheKey>> by_age;
  for (const auto& [key, entry] : entries_) {
    by_age.emplace_back(entry.last_used, key);
  }
  std::sort(by_age.begin(), by_age.end());
  size_t oldest = 0;
  const auto drop_oldest = [&] {
    const auto entry = entries_.find(by_age[oldest++].second);
    total -= entry->second.bytes.size();
    entries_.erase(entry);
    needs_rewrite_ = true;
  };
  while (total > limit && oldest < by_age.size()) drop_oldest();

  std::optional<AtomicFile> segment;
  const fs::path path = new_segment();
  for (const Fresh& one : fresh) {
    if (entries_.contains(one.key)) continue;
    const std::string bytes = write_entry(one.key, one.rows, now);
    while (total + bytes.size() > limit && oldest < by_age.size() &&
           !found_.contains(by_age[oldest].second)) {
      drop_oldest();
    }
    if (total + bytes.size() > limit) continue;
    if (!segment) {
      segment.emplace(path);
      segment->write(token_cache_file_header());
    }
    segment->write(bytes);
    total += bytes.size();
  }
  const Entries kept = entries_;
  if (segment) {
    segment->commit();
    segments_.push_back(path);
  }
  if (needs_rewrite_ || segments_.size() > kMostSegments) {
    Entries all = kept;
    if (segment) {
      Entries before = std::exchange(entries_, {});
      read_segment(path);
      all.merge(entries_);
      entries_ = std::move(before);
    }
    keep_only(all);
  } else if (segment) {
    read_segment(path);
  }
  write_uses();
  return true;
}

// Writes `kept` as one segment in the place of all others.
void TokenCache::keep_only(const Entries& kept) {
  const std::vector<fs::path> old = segments_;
  const fs::path path = new_segment();
  if (!kept.empty()) {
    AtomicFile segment(path);
    segment.write(token_cache_file_header());
    for (const auto& [key, entry] : kept) {
      segment.write(entry.bytes);
      entry.file->release(entry.bytes);
    }
    segment.commit();
  }
  // Entries that stand in two segments after a crash here are the same.
  for (const fs::path& segment : old) remove_path(segment);
  segments_.clear();
  if (!kept.empty()) segments_.push_back(path);
  entries_ = kept;
  needs_rewrite_ = false;
}

int64_t TokenCache::remove_unused_since(int64_t time) {
  if (!is_folder(folder_)) return 0;
  const FileLock lock = require_lock(folder_);
  read_segments();
  Entries kept;
  for (const auto& [key, entry] : entries_) {
    if (entry.last_used >= time) kept.emplace(key, entry);
  }
  const auto removed = static_cast<int64_t>(entries_.size() - kept.size());
  if (removed > 0 || needs_rewrite_) {
    keep_only(kept);
    write_uses();
  }
  return removed;
}

int64_t TokenCache::clear() {
  if (!is_folder(folder_)) return 0;
  const FileLock lock = require_lock(folder_);
  read_segments();
  const auto removed = static_cast<int64_t>(entries_.size());
  keep_only({});
  remove_path(folder_ / kUses);
  remove_path(folder_ / kLastRun);
  return removed;
}

TokenCacheSize TokenCache::size() const {
  TokenCacheSize size;
  size.entries = static_cast<int64_t>(entries_.size());
  std::error_code error;
  for (const fs::path& segment : segments_) {
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
