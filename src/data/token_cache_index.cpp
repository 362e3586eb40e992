#include "data/token_cache_index.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <memory>
#include <span>
#include <utility>

#include "support/error.h"

namespace dlm {

namespace {

constexpr const char* kSegmentSuffix = ".tokens";
// An offset has the low bits of a place.
constexpr int kOffsetBits = 44;

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

uint64_t head_of(const TokenCacheKey& key) {
  uint64_t head = 0;
  std::memcpy(&head, key.data(), sizeof head);
  return head;
}

// A part of a file that is read a large piece at a time.
class PieceReader {
 public:
  PieceReader(const ReadFile& file, uint64_t begin, uint64_t end, uint64_t piece_bytes)
      : file_(file), end_(end), piece_bytes_(piece_bytes), begin_(begin) {}
  // So many bytes from `offset` on; fewer at the end.
  std::span<const std::byte> at(uint64_t offset, size_t count) {
    if (offset < begin_ || offset + count > begin_ + piece_.size()) {
      begin_ = offset;
      const uint64_t rest = offset < end_ ? end_ - offset : 0;
      piece_ = file_.read_at(offset, std::min(std::max<uint64_t>(piece_bytes_, count), rest));
    }
    const auto bytes = std::as_bytes(std::span(piece_)).subspan(offset - begin_);
    return bytes.first(std::min(count, bytes.size()));
  }

 private:
  const ReadFile& file_;
  uint64_t end_;
  uint64_t piece_bytes_;
  uint64_t begin_;
  std::string piece_;
};

}  // namespace

std::vector<fs::path> token_cache_segments(const fs::path& folder) {
  std::vector<fs::path> segments;
  std::error_code error;
  for (const auto& file : fs::directory_iterator(folder, error)) {
    if (segment_number(file.path()) > 0) segments.push_back(file.path());
  }
  std::sort(segments.begin(), segments.end(), [](const fs::path& a, const fs::path& b) {
    return segment_number(a) < segment_number(b);
  });
  return segments;
}

fs::path next_token_cache_segment(const fs::path& folder) {
  const std::vector<fs::path> segments = token_cache_segments(folder);
  return folder / segment_name(segments.empty() ? 1 : segment_number(segments.back()) + 1);
}

TokenCacheIndex::TokenCacheIndex(const fs::path& folder, std::vector<std::string>& warnings) {
  for (const fs::path& path : token_cache_segments(folder)) {
    try {
      read_file_headers(path, warnings);
    } catch (const Error& e) {
      // Another process may have removed it in between.
      if (path_exists(path)) warnings.push_back(e.what());
    }
  }
  std::sort(slots_.begin(), slots_.end(), [](const Slot& a, const Slot& b) {
    return std::pair(a.key_head, a.place) < std::pair(b.key_head, b.place);
  });
  drop_repeated();
}

void TokenCacheIndex::read_file_headers(const fs::path& path, std::vector<std::string>& warnings) {
  ReadFile opened(path);
  const uint64_t file_size = opened.size();
  files_.push_back({std::move(opened), file_size});
  const ReadFile& file = files_.back().file;
  const auto refuse = [&](const char* what) {
    warnings.push_back(path.filename().string() + " " + what + "; its texts are tokenized again");
    needs_rewrite_ = true;
  };
  const std::string wanted = token_cache_file_header();
  if (file_size < wanted.size() || file.read_at(0, wanted.size()) != wanted) {
    refuse("is no file of this version's token cache");
    return;
  }
  check(file_size < uint64_t{1} << kOffsetBits, "a file of the token cache of 16 TiB");
  constexpr uint64_t kPiece = uint64_t{1} << 14;
  PieceReader reader(file, 0, file_size, kPiece);
  const uint64_t number = uint64_t{files_.size() - 1} << kOffsetBits;
  const size_t before = slots_.size();
  bool is_reserved = false;
  for (uint64_t at = wanted.size(); at < file_size;) {
    const auto header = read_entry_header(reader.at(at, kTokenEntryHeader));
    if (!header || header->payload_bytes > file_size - at ||
        entry_bytes(header->payload_bytes) > file_size - at) {
      refuse("is damaged from an entry on");
      return;
    }
    slots_.push_back({head_of(header->key), number | at});
    at += entry_bytes(header->payload_bytes);
    // As many as the first ones let expect: a list that grows leaves holes of its size in memory.
    if (!is_reserved && at > kPiece) {
      is_reserved = true;
      const double rest = static_cast<double>(file_size) / static_cast<double>(at);
      const auto expected = static_cast<double>(slots_.size() - before) * rest * 1.1;
      slots_.reserve(before + static_cast<size_t>(expected) + 1);
    }
  }
}

bool TokenCacheIndex::is_same_key(const Slot& a, const Slot& b) const {
  try {
    return header_at(a.place).key == header_at(b.place).key;
  } catch (const Error&) {
    return true;  // one of them cannot be read any more; the other is enough
  }
}

void TokenCacheIndex::drop_repeated() {
  size_t kept = 0;
  for (size_t i = 0; i < slots_.size(); ++i) {
    bool stands_later = false;
    for (size_t j = i + 1;
         !stands_later && j < slots_.size() && slots_[j].key_head == slots_[i].key_head; ++j) {
      stands_later = is_same_key(slots_[i], slots_[j]);
    }
    needs_rewrite_ = needs_rewrite_ || stands_later;
    if (!stands_later) slots_[kept++] = slots_[i];
  }
  slots_.resize(kept);
}

std::optional<size_t> TokenCacheIndex::find(const TokenCacheKey& key) const {
  const uint64_t head = head_of(key);
  auto at = std::lower_bound(slots_.begin(), slots_.end(), head,
                             [](const Slot& slot, uint64_t h) { return slot.key_head < h; });
  for (; at != slots_.end() && at->key_head == head; ++at) {
    if (header_at(at->place).key == key) return static_cast<size_t>(at - slots_.begin());
  }
  return std::nullopt;
}

uint64_t TokenCacheIndex::offset_of(uint64_t place) {
  return place & ((uint64_t{1} << kOffsetBits) - 1);
}

const TokenCacheIndex::File& TokenCacheIndex::file_of(uint64_t place) const {
  return files_[place >> kOffsetBits];
}

TokenEntryHeader TokenCacheIndex::header_at(uint64_t place) const {
  const File& in = file_of(place);
  const std::string bytes = in.file.read_at(offset_of(place), kTokenEntryHeader);
  const auto header = read_entry_header(std::as_bytes(std::span(bytes)));
  if (!header || header->payload_bytes > in.size - offset_of(place)) {
    throw Error(ErrorKind::kIo, "a file of the token cache was changed while it was read",
                "run the command again");
  }
  return *header;
}

TokenEntryHeader TokenCacheIndex::header(size_t entry) const {
  return header_at(slots_.at(entry).place);
}

PayloadAt TokenCacheIndex::payload(size_t entry) const {
  const uint64_t place = slots_.at(entry).place;
  const uint64_t begin = offset_of(place) + kTokenEntryHeader;
  constexpr uint64_t kPiece = uint64_t{1} << 18;
  auto reader = std::make_shared<PieceReader>(file_of(place).file, begin,
                                              begin + header_at(place).payload_bytes, kPiece);
  return [reader, begin](size_t offset, size_t count) { return reader->at(begin + offset, count); };
}

std::string TokenCacheIndex::bytes(size_t entry) const {
  const uint64_t place = slots_.at(entry).place;
  return file_of(place).file.read_at(offset_of(place), entry_bytes(header_at(place).payload_bytes));
}

}  // namespace dlm
