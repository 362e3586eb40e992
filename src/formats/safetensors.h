// Safetensors files: named arrays behind a JSON header. Files come from strangers, so every number
// of the header is checked against the file before a byte is used; what the format forbids
// (overlaps, gaps, bytes left over) is refused. No dtype is converted here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "support/file.h"

namespace dlm {

struct SafetensorsTensor {
  std::string name;
  std::string dtype;           // "F32", "BF16", "F16", "I64", ...
  std::vector<int64_t> shape;  // row-major; empty for a scalar
  std::span<const std::byte> bytes;
};

// Bytes of one element, or none for a name that is not known.
std::optional<size_t> safetensors_dtype_size(std::string_view dtype);

class SafetensorsFile {
 public:
  // Maps the file. Throws Error(kIo), or Error(kFormat) that names the file, the tensor and the
  // likely cause.
  static SafetensorsFile open(const fs::path& path);
  // The same over bytes in memory, which must outlive the result; `path` is for messages.
  static SafetensorsFile parse(std::span<const std::byte> bytes, const fs::path& path);

  // In the order of their data.
  const std::vector<SafetensorsTensor>& tensors() const { return tensors_; }
  const SafetensorsTensor* find(std::string_view name) const;  // null when absent
  const SafetensorsTensor& at(std::string_view name) const;    // throws Error(kFormat)
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  // Owns the bytes of all tensors; null after parse().
  std::shared_ptr<const MappedFile> file() const { return file_; }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
  std::shared_ptr<const MappedFile> file_;
  std::vector<SafetensorsTensor> tensors_;
  std::map<std::string, size_t, std::less<>> index_;
  std::map<std::string, std::string> metadata_;
};

// The weights of a model folder: model.safetensors, or the shards of model.safetensors.index.json.
class SafetensorsSet {
 public:
  // Throws Error(kBase) when the folder has no weights or a shard is missing, else as
  // SafetensorsFile.
  static SafetensorsSet open(const fs::path& folder);

  const std::vector<SafetensorsFile>& files() const { return files_; }
  // Names in code point order.
  std::vector<std::string> names() const;
  size_t size() const { return index_.size(); }
  const SafetensorsTensor* find(std::string_view name) const;  // null when absent
  const SafetensorsTensor& at(std::string_view name) const;    // throws Error(kBase)
  // Owns the bytes of that tensor; null when absent.
  std::shared_ptr<const MappedFile> file_of(std::string_view name) const;

 private:
  struct Slot {
    size_t file;
    const SafetensorsTensor* tensor;
  };
  fs::path folder_;
  std::vector<SafetensorsFile> files_;
  std::map<std::string, Slot, std::less<>> index_;
};

// Writes atomically. The order of data is that of the reference implementation, so that wider
// elements stay aligned: larger dtypes first, then by name; the header is padded with blanks to 8
// bytes. The same tensors always give the same bytes. Throws Error(kInternal) when bytes and shape
// do not agree.
void write_safetensors(const fs::path& path, const std::vector<SafetensorsTensor>& tensors,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace dlm
