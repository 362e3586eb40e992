// An exclusive advisory lock on a file. The kernel holds it for an open descriptor, so it ends with
// the process however the process ends; the file's content is information for people. The file is
// removed on release: other programs that only look whether it exists see a free lock.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace dlm {

class FileLock {
 public:
  // Creates the file when it is absent. None when another descriptor holds it. Throws Error(kIo).
  static std::optional<FileLock> try_acquire(const std::filesystem::path& path);
  ~FileLock();
  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&& other) noexcept;

  // What the file held when the lock was taken: left by a process that died, or by another program.
  const std::string& found_content() const { return found_content_; }
  // Replaces the content. Throws Error(kIo).
  void write(std::string_view content);
  // Lets go without removing the file.
  void abandon();

 private:
  FileLock(std::filesystem::path path, int descriptor, std::string found_content);
  void release();

  std::filesystem::path path_;
  int descriptor_ = -1;
  std::string found_content_;
};

// The content of a lock file that another process may hold; "" when it is gone or not readable.
std::string read_lock_content(const std::filesystem::path& path);

}  // namespace dlm
