// Files that come into being over several runs of a program, such as downloads, and the links that
// are made to them when they are whole.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "support/file.h"

namespace dlm {

// A file that is written in several goes, such as a download: opened at its end, never emptied by
// opening. Not atomic; who reads it must know that it is whole. Throws Error(kIo) throughout.
class PartFile {
 public:
  // Creates the file when it is absent.
  explicit PartFile(const fs::path& path);
  ~PartFile();
  PartFile(const PartFile&) = delete;
  PartFile& operator=(const PartFile&) = delete;

  uint64_t size() const { return size_; }
  void write(std::span<const std::byte> bytes);
  // Exactly so many bytes that were written; also by another thread than the writer's.
  void read_at(uint64_t offset, std::span<std::byte> bytes) const;
  void cut(uint64_t size);  // keeps the first bytes only
  // Begins to move what was written to the disk, so that sync() has less to wait for.
  void start_writeback();
  void sync();

 private:
  fs::path path_;
  int descriptor_;
  uint64_t size_ = 0;
  uint64_t flushed_ = 0;
};

// Makes a symbolic link that says `text`, atomically in place of whatever link or file is there.
// Its folder must exist. Throws Error(kIo).
void make_link(const fs::path& text, const fs::path& link);

}  // namespace dlm
