#include "formats/imatrix_dat.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "support/error.h"

namespace dlm {

namespace {

// Reads numbers and texts from the front; every length is held against what is left.
class DatReader {
 public:
  DatReader(std::span<const std::byte> bytes, const fs::path& path)
      : rest_(bytes), size_(bytes.size()), path_(path) {}

  bool is_at_end() const { return rest_.empty(); }

  std::span<const std::byte> take(size_t size, const char* what) {
    if (size > rest_.size()) refuse(std::string("ends within ") + what);
    const std::span<const std::byte> part = rest_.first(size);
    rest_ = rest_.subspan(size);
    return part;
  }

  // A number of `unit` bytes each that must still follow.
  int32_t count(const char* what, size_t unit) {
    const int32_t value = number(what);
    if (value < 0 || static_cast<size_t>(value) > rest_.size() / unit) {
      refuse(std::string(what) + " is " + std::to_string(value) + ", which the file cannot hold");
    }
    return value;
  }

  int32_t number(const char* what) {
    int32_t value;
    std::memcpy(&value, take(sizeof(value), what).data(), sizeof(value));
    return value;
  }

  std::string text(const char* what) {
    const auto bytes = take(static_cast<size_t>(count(what, 1)), what);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

  [[noreturn]] void refuse(const std::string& what) const {
    throw Error(ErrorKind::kFormat,
                "importance matrix: at byte " + std::to_string(size_ - rest_.size()) + ": " + what,
                "the file is damaged or no importance matrix: make it again", {path_.string()});
  }

 private:
  std::span<const std::byte> rest_;
  size_t size_;
  const fs::path& path_;
};

void append(std::string& out, int32_t value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(value));
}
void append(std::string& out, const std::string& text) {
  append(out, static_cast<int32_t>(text.size()));
  out += text;
}

}  // namespace

Imatrix parse_imatrix_dat(std::span<const std::byte> bytes, const fs::path& path) {
  DatReader reader(bytes, path);
  Imatrix imatrix;
  // An entry is three numbers, a name of one byte and one value at the least.
  const int32_t num_entries = reader.count("the number of entries", 4 * sizeof(int32_t) + 1);
  for (int32_t i = 0; i < num_entries; ++i) {
    const std::string name = reader.text("the length of a name");
    if (name.empty()) reader.refuse("an entry has no name");
    const int32_t calls = reader.number("the number of chunks");
    if (calls < 0) reader.refuse("\"" + name + "\" has a negative number of chunks");
    const int32_t num_values = reader.count("the number of values", sizeof(float));
    if (num_values == 0) reader.refuse("\"" + name + "\" has no values");
    ImatrixEntry entry;
    entry.columns = num_values;
    entry.sums.resize(static_cast<size_t>(num_values));
    const auto values = reader.take(entry.sums.size() * sizeof(float), "values");
    std::memcpy(entry.sums.data(), values.data(), values.size());
    entry.counts = {std::max(calls, 1)};
    if (!imatrix.entries.emplace(name, std::move(entry)).second) {
      reader.refuse("\"" + name + "\" is there twice");
    }
  }
  // The oldest files end here.
  if (reader.is_at_end()) return imatrix;
  imatrix.chunk_count = reader.number("the number of chunks");
  imatrix.dataset = reader.text("the length of the dataset's name");
  return imatrix;
}

void write_imatrix_dat(const fs::path& path, const Imatrix& imatrix) {
  std::string out;
  append(out, static_cast<int32_t>(imatrix.entries.size()));
  for (const auto& [weight, entry] : imatrix.entries) {
    const int64_t most = *std::max_element(entry.counts.begin(), entry.counts.end());
    const int64_t calls =
        std::max<int64_t>(1, (most + imatrix.chunk_size - 1) / imatrix.chunk_size);
    append(out, weight);
    append(out, static_cast<int32_t>(calls));
    append(out, static_cast<int32_t>(entry.sums.size()));
    for (float value : imatrix.importance(weight)) {
      value *= static_cast<float>(calls);
      out.append(reinterpret_cast<const char*>(&value), sizeof(value));
    }
  }
  append(out, static_cast<int32_t>(imatrix.chunk_count));
  append(out, imatrix.dataset);
  write_file_atomic(path, out);
}

}  // namespace dlm
