// Zip by the PKWARE application note: local headers with data, a central directory, an end record,
// and the 64-bit forms of each. Numbers of archives that are read are checked before use.
#include "formats/zip_store.h"

#include <cstring>
#include <optional>

#include "formats/crc32.h"
#include "support/error.h"

namespace dlm {
namespace {

constexpr uint32_t kLocalMark = 0x04034b50, kCentralMark = 0x02014b50, kEndMark = 0x06054b50;
constexpr uint32_t kEnd64Mark = 0x06064b50, kLocator64Mark = 0x07064b50;
constexpr size_t kLocalSize = 30, kCentralSize = 46, kEndSize = 22, kEnd64Size = 56;
constexpr size_t kLocator64Size = 20;
constexpr uint16_t kZip64Extra = 0x0001;
constexpr uint16_t kPaddingExtra = 0x4246;  // "FB", as torch marks its padding
constexpr size_t kAlignment = 64;
constexpr uint16_t kDateOf1980 = 0x0021;  // 1 January 1980, the first that zip knows
constexpr uint32_t kAllOnes32 = 0xFFFFFFFF;
constexpr size_t kMostEntries = 1 << 20;

template <typename T>
void append(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

}  // namespace

ZipStoreWriter::ZipStoreWriter(const fs::path& path, uint64_t zip64_from)
    : file_(path), zip64_from_(zip64_from) {}

void ZipStoreWriter::add(const std::string& name, std::string_view bytes) {
  add(name, std::as_bytes(std::span(bytes)));
}

void ZipStoreWriter::add(const std::string& name, std::span<const std::byte> bytes) {
  check(name.size() < 0xFFFF, "the name of a zip entry is too long");
  written_.push_back({name, crc32(bytes), bytes.size(), position_});
  const bool is_large = bytes.size() >= zip64_from_;
  std::string extra;
  if (is_large) {
    append(extra, kZip64Extra);
    append(extra, uint16_t{16});
    append(extra, uint64_t{bytes.size()});
    append(extra, uint64_t{bytes.size()});
  }
  const uint64_t unpadded = position_ + kLocalSize + name.size() + extra.size() + 4;
  const uint64_t padding = (kAlignment - unpadded % kAlignment) % kAlignment;
  append(extra, kPaddingExtra);
  append(extra, static_cast<uint16_t>(padding));
  extra.append(padding, 'Z');

  const uint32_t size = is_large ? kAllOnes32 : static_cast<uint32_t>(bytes.size());
  std::string header;
  append(header, kLocalMark);
  append(header, static_cast<uint16_t>(is_large ? 45 : 20));  // version needed
  append(header, uint16_t{0});                                // flags
  append(header, uint16_t{0});                                // stored
  append(header, uint16_t{0});                                // time
  append(header, kDateOf1980);
  append(header, written_.back().crc);
  append(header, size);
  append(header, size);
  append(header, static_cast<uint16_t>(name.size()));
  append(header, static_cast<uint16_t>(extra.size()));
  write(header + name + extra);
  file_.write(bytes);
  position_ += bytes.size();
}

void ZipStoreWriter::finish() {
  const uint64_t directory = position_;
  for (const Written& entry : written_) {
    const bool is_large = entry.size >= zip64_from_;
    const bool is_far = entry.offset >= zip64_from_;
    std::string extra;
    if (is_large || is_far) {
      append(extra, kZip64Extra);
      append(extra, static_cast<uint16_t>((is_large ? 16 : 0) + (is_far ? 8 : 0)));
      if (is_large) append(extra, entry.size);
      if (is_large) append(extra, entry.size);
      if (is_far) append(extra, entry.offset);
    }
    const auto version = static_cast<uint16_t>(extra.empty() ? 20 : 45);
    const uint32_t size = is_large ? kAllOnes32 : static_cast<uint32_t>(entry.size);
    std::string record;
    append(record, kCentralMark);
    append(record, version);  // made by
    append(record, version);  // needed
    append(record, uint16_t{0});
    append(record, uint16_t{0});
    append(record, uint16_t{0});
    append(record, kDateOf1980);
    append(record, entry.crc);
    append(record, size);
    append(record, size);
    append(record, static_cast<uint16_t>(entry.name.size()));
    append(record, static_cast<uint16_t>(extra.size()));
    append(record, uint16_t{0});  // comment
    append(record, uint16_t{0});  // disk
    append(record, uint16_t{0});  // internal attributes
    append(record, uint32_t{0});  // external attributes
    append(record, is_far ? kAllOnes32 : static_cast<uint32_t>(entry.offset));
    write(record + entry.name + extra);
  }
  const uint64_t directory_size = position_ - directory;
  const uint64_t count = written_.size();
  const bool is_large =
      directory >= zip64_from_ || directory_size >= zip64_from_ || count >= 0xFFFF;
  if (is_large) {
    const uint64_t end64 = position_;
    std::string record;
    append(record, kEnd64Mark);
    append(record, uint64_t{kEnd64Size - 12});
    append(record, uint16_t{45});
    append(record, uint16_t{45});
    append(record, uint32_t{0});
    append(record, uint32_t{0});
    append(record, count);
    append(record, count);
    append(record, directory_size);
    append(record, directory);
    append(record, kLocator64Mark);
    append(record, uint32_t{0});
    append(record, end64);
    append(record, uint32_t{1});
    write(record);
  }
  std::string end;
  append(end, kEndMark);
  append(end, uint32_t{0});  // disks
  append(end, static_cast<uint16_t>(is_large ? 0xFFFF : count));
  append(end, static_cast<uint16_t>(is_large ? 0xFFFF : count));
  append(end, is_large ? kAllOnes32 : static_cast<uint32_t>(directory_size));
  append(end, is_large ? kAllOnes32 : static_cast<uint32_t>(directory));
  append(end, uint16_t{0});  // comment
  write(end);
  file_.commit();
}

void ZipStoreWriter::write(const std::string& bytes) {
  file_.write(bytes);
  position_ += bytes.size();
}

namespace {

class Reader {
 public:
  Reader(std::span<const std::byte> archive, const fs::path& path)
      : archive_(archive), path_(path) {}

  std::vector<ZipEntry> read() const {
    const Directory directory = find_directory();
    std::vector<ZipEntry> entries;
    uint64_t at = directory.offset;
    for (uint64_t i = 0; i < directory.count; ++i) {
      if (number<uint32_t>(at) != kCentralMark) fail("its directory is broken");
      const auto name_size = number<uint16_t>(at + 28);
      const auto extra_size = number<uint16_t>(at + 30);
      const auto comment_size = number<uint16_t>(at + 32);
      entries.push_back(read_entry(at, name_size, extra_size));
      at += kCentralSize + name_size + extra_size + comment_size;
    }
    return entries;
  }

 private:
  struct Directory {
    uint64_t offset;
    uint64_t count;
  };

  [[noreturn]] void fail(const std::string& message) const {
    throw Error(ErrorKind::kFormat, "cannot read the zip archive: " + message,
                "the file is cut off or damaged, or no zip archive", {path_.string()});
  }

  std::span<const std::byte> part(uint64_t offset, uint64_t size) const {
    if (offset > archive_.size() || size > archive_.size() - offset) fail("it is cut off");
    return archive_.subspan(offset, size);
  }

  template <typename T>
  T number(uint64_t offset) const {
    T value;
    std::memcpy(&value, part(offset, sizeof value).data(), sizeof value);
    return value;
  }

  // The end record lies at the very end, since archives with comments are not read.
  Directory find_directory() const {
    if (archive_.size() < kEndSize) fail("it is cut off");
    const uint64_t end = archive_.size() - kEndSize;
    if (number<uint32_t>(end) != kEndMark) fail("it has no end record");
    Directory directory{number<uint32_t>(end + 16), number<uint16_t>(end + 10)};
    if (end >= kLocator64Size && number<uint32_t>(end - kLocator64Size) == kLocator64Mark) {
      const auto end64 = number<uint64_t>(end - kLocator64Size + 8);
      part(end64, kEnd64Size);
      if (number<uint32_t>(end64) != kEnd64Mark) fail("its 64-bit end record is broken");
      directory = {number<uint64_t>(end64 + 48), number<uint64_t>(end64 + 32)};
    }
    if (directory.count > kMostEntries) fail("it has too many entries");
    return directory;
  }

  ZipEntry read_entry(uint64_t at, uint64_t name_size, uint64_t extra_size) const {
    const auto name = part(at + kCentralSize, name_size);
    ZipEntry entry{std::string(reinterpret_cast<const char*>(name.data()), name.size()), {}};
    if (number<uint16_t>(at + 10) != 0 || number<uint16_t>(at + 8) & 1) {
      fail("the entry " + entry.name + " is compressed or encrypted");
    }
    uint64_t packed = number<uint32_t>(at + 20), size = number<uint32_t>(at + 24);
    uint64_t offset = number<uint32_t>(at + 42);
    uint64_t extra = at + kCentralSize + name_size;
    const uint64_t extra_end = extra + extra_size;
    while (extra + 4 <= extra_end) {
      const auto kind = number<uint16_t>(extra);
      const uint64_t next = extra + 4 + number<uint16_t>(extra + 2);
      if (next > extra_end) fail("its directory is broken");
      extra += 4;
      if (kind == kZip64Extra) {
        for (uint64_t* value : {&size, &packed, &offset}) {
          if (*value != kAllOnes32) continue;
          if (extra + 8 > next) fail("its directory is broken");
          *value = number<uint64_t>(extra);
          extra += 8;
        }
      }
      extra = next;
    }
    if (packed != size) fail("the entry " + entry.name + " has two sizes");
    part(offset, kLocalSize);
    if (number<uint32_t>(offset) != kLocalMark)
      fail("the entry " + entry.name + " is not in place");
    const uint64_t data =
        offset + kLocalSize + number<uint16_t>(offset + 26) + number<uint16_t>(offset + 28);
    entry.bytes = part(data, size);
#ifndef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION  // a fuzzer cannot guess checksums
    if (crc32(entry.bytes) != number<uint32_t>(at + 16)) {
      fail("the entry " + entry.name + " has a wrong checksum");
    }
#endif
    return entry;
  }

  std::span<const std::byte> archive_;
  const fs::path& path_;
};

}  // namespace

std::vector<ZipEntry> read_zip_store(std::span<const std::byte> archive, const fs::path& path) {
  return Reader(archive, path).read();
}

}  // namespace dlm
