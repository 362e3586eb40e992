// What is known of the files of source trees from the last time they were read, so that files that
// have not changed are not read for it again. A file is known by device, inode, size and times; the
// index may be deleted or damaged at any time.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "data/secret_scan.h"
#include "support/file.h"

namespace dlm {

struct FileStamp {
  uint64_t device = 0;
  uint64_t inode = 0;
  uint64_t size = 0;
  int64_t modified_ns = 0;
  int64_t changed_ns = 0;
  auto operator<=>(const FileStamp&) const = default;
};

enum class FileVerdict : uint8_t { kText, kBinary, kNotUtf8 };

// All of it follows from the file's bytes.
struct FileFacts {
  FileVerdict verdict = FileVerdict::kText;
  std::optional<SecretFinding> secret;  // of text
  std::string sha256;                   // of the bytes, 64 hex digits
};

class SourceIndex {
 public:
  // Empty when there is no such file, or none that this program wrote whole.
  static SourceIndex read(const fs::path& path);
  // Throws Error(kIo).
  void write(const fs::path& path) const;

  const FileFacts* find(const FileStamp& stamp) const;
  // Files that changed less than two seconds before `now_unix_seconds` are not kept: they could
  // change again without another time.
  void add(const FileStamp& stamp, FileFacts facts, int64_t now_unix_seconds);
  size_t size() const { return facts_.size(); }
  bool operator==(const SourceIndex& other) const;

 private:
  std::string bytes() const;

  std::map<FileStamp, FileFacts> facts_;
};

}  // namespace dlm
