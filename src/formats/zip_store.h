// Zip archives whose entries are stored without compression, the container of torch files. Writes
// them with aligned data and no times, so that the same entries give the same bytes; reads back
// only stored entries. No compression, encryption, comments or split archives.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "support/file.h"

namespace dlm {

class ZipStoreWriter {
 public:
  // Sizes and offsets from `zip64_from` on are written in the 64-bit form; tests lower it.
  explicit ZipStoreWriter(const fs::path& path, uint64_t zip64_from = 0xFFFFFFFF);

  // Data starts at a multiple of 64 bytes, as in the archives that torch writes. Names are ASCII.
  void add(const std::string& name, std::span<const std::byte> bytes);
  void add(const std::string& name, std::string_view bytes);
  // Writes the directory and puts the file in place; without it nothing appears.
  void finish();

 private:
  struct Written {
    std::string name;
    uint32_t crc;
    uint64_t size;
    uint64_t offset;
  };
  void write(const std::string& bytes);

  AtomicFile file_;
  uint64_t zip64_from_;
  uint64_t position_ = 0;
  std::vector<Written> written_;
};

struct ZipEntry {
  std::string name;
  std::span<const std::byte> bytes;
};

// The entries of an archive in the order of its directory, checksums verified. Throws
// Error(kFormat) with `path` as the place for anything else than a sound archive of stored entries.
std::vector<ZipEntry> read_zip_store(std::span<const std::byte> archive, const fs::path& path);

}  // namespace dlm
