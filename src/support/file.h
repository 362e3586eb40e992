// Reading and writing files. Every write is atomic: a temporary file in the same folder, fsync,
// rename over the target, fsync of the folder; so a reader sees the old bytes or the new ones.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace dlm {

namespace fs = std::filesystem;

// Whether something is there, or a folder is; false also where the system does not let us look.
bool path_exists(const fs::path& path);
bool is_folder(const fs::path& path);

// The whole file. Throws Error(kIo) when it cannot be read or is larger than max_bytes.
std::string read_file(const fs::path& path, size_t max_bytes = size_t{1} << 30);

// Replaces the file at `path` (its folder must exist). Keeps the mode of an existing file, else
// 0644. Throws Error(kIo), for a full disk with a hint; the old file is then untouched.
void write_file_atomic(const fs::path& path, std::string_view bytes);

// The same for bytes that arrive in pieces. What was not committed is removed by the destructor.
class AtomicFile {
 public:
  explicit AtomicFile(const fs::path& path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  void commit();

 private:
  fs::path target_;
  fs::path temporary_;
  int descriptor_ = -1;
};

// A file that grows line by line, such as a log; a crash keeps what was written.
class AppendFile {
 public:
  // Creates the file, or empties it. Throws Error(kIo), as all do here.
  explicit AppendFile(const fs::path& path);
  ~AppendFile();
  AppendFile(const AppendFile&) = delete;
  AppendFile& operator=(const AppendFile&) = delete;

  void write(std::string_view text);
  void sync();  // makes what was written durable
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
  int descriptor_;
};

// Cuts the file to its first `kept_bytes`, puts `bytes` behind them and syncs; an absent file is
// made, durably. What follows `kept_bytes` is lost at once, so nothing may refer to it. Throws
// Error(kIo).
void append_durably(const fs::path& path, uint64_t kept_bytes, std::string_view bytes);

// A file that is read in pieces, at any place. It stays the same file when another takes its name.
class ReadFile {
 public:
  // Throws Error(kIo), as does read_at.
  explicit ReadFile(const fs::path& path);
  ~ReadFile();
  ReadFile(ReadFile&& other) noexcept;
  ReadFile& operator=(ReadFile&&) = delete;

  uint64_t size() const;
  // Exactly so many bytes; also an Error when the file ends before.
  std::string read_at(uint64_t offset, size_t size) const;

 private:
  fs::path path_;
  int descriptor_;
};

// Removes temporary files of atomic writes in `folder` whose process is gone; returns how many.
size_t remove_stale_temporaries(const fs::path& folder);

// Renames within one file system and makes both folders durable. Throws Error(kIo).
void move_path(const fs::path& from, const fs::path& to);
// Removes a file or a folder with all that is in it, without following links; absent is fine.
void remove_path(const fs::path& path);

// fsync of one file's data, and of a folder's entries. Throws Error(kIo).
void sync_file(const fs::path& path);
void sync_folder(const fs::path& path);

// Creates a folder and its missing parents, each made durable. Throws Error(kIo).
void make_folders(const fs::path& path);

// Free bytes of the file system that holds `path` (or its nearest existing parent).
uint64_t free_disk_bytes(const fs::path& path);

// A file mapped read-only; the bytes stay valid as long as any copy of the pointer lives.
class MappedFile {
 public:
  // Throws Error(kIo). An empty file gives an empty span.
  static std::shared_ptr<const MappedFile> open(const fs::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  // Says that `part` of the bytes will hardly be read again: its pages stop counting as this
  // process's memory. They stay readable.
  void release(std::span<const std::byte> part) const;

 private:
  MappedFile(const std::byte* data, size_t size) : data_(data), size_(size) {}
  const std::byte* data_;
  size_t size_;
};

}  // namespace dlm
