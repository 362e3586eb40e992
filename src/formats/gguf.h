// GGUF version 3 files, little endian: typed key-value records and named tensors. Files come from
// strangers, so every count, size, type and offset is checked against the file, without overflow,
// before it is used. No policy and no model knowledge here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "formats/ggml_type.h"
#include "support/file.h"

namespace dlm {

// Integers keep the width of the file. Arrays have one element type; arrays of arrays are refused.
using GgufArray = std::variant<std::vector<uint8_t>, std::vector<int8_t>, std::vector<uint16_t>,
                               std::vector<int16_t>, std::vector<uint32_t>, std::vector<int32_t>,
                               std::vector<uint64_t>, std::vector<int64_t>, std::vector<float>,
                               std::vector<double>, std::vector<bool>, std::vector<std::string>>;
using GgufValue = std::variant<uint8_t, int8_t, uint16_t, int16_t, uint32_t, int32_t, uint64_t,
                               int64_t, float, double, bool, std::string, GgufArray>;

struct GgufField {
  std::string key;
  GgufValue value;
};

struct GgufTensor {
  std::string name;
  GgmlType type = GgmlType::kF32;
  std::vector<int64_t> shape;  // row-major, slowest first: [out, in]; the file lists it reversed
  std::span<const std::byte> bytes;
};

class GgufFile {
 public:
  // Maps the file. Throws Error(kIo), or Error(kFormat) naming the file, the byte offset, the
  // record and the likely cause.
  static GgufFile open(const fs::path& path);
  // The same over bytes in memory, which must outlive the result; `path` is for messages.
  static GgufFile parse(std::span<const std::byte> bytes, const fs::path& path);

  const std::vector<GgufField>& fields() const { return fields_; }     // in file order
  const std::vector<GgufTensor>& tensors() const { return tensors_; }  // in file order
  const GgufTensor* find_tensor(std::string_view name) const;          // null when absent
  const GgufValue* find(std::string_view key) const;                   // null when absent

  // Typed reading; an integer of any width is accepted where its value fits. Without a fallback an
  // absent key, and always a wrong type, is Error(kFormat) naming the key.
  std::string text(std::string_view key) const;
  std::string text(std::string_view key, std::string_view fallback) const;
  int64_t integer(std::string_view key) const;
  int64_t integer(std::string_view key, int64_t fallback) const;
  double number(std::string_view key) const;
  double number(std::string_view key, double fallback) const;
  bool flag(std::string_view key, bool fallback) const;

  std::shared_ptr<const MappedFile> file() const { return file_; }  // null after parse()
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
  std::shared_ptr<const MappedFile> file_;
  std::vector<GgufField> fields_;
  std::vector<GgufTensor> tensors_;
  std::map<std::string, size_t, std::less<>> field_index_;
  std::map<std::string, size_t, std::less<>> tensor_index_;
};

// Writes a file whose tensors come one after the other, so that memory holds pieces of one tensor
// only. The file appears under its name when finish() returns, complete and durable, or not at all.
class GgufWriter {
 public:
  struct TensorInfo {
    std::string name;
    GgmlType type;
    std::vector<int64_t> shape;  // row-major
  };

  // Keys whose value is an empty text or list are left out (some readers refuse them). Throws
  // Error(kIo), and Error(kInternal) for what the format forbids: a key or name twice or too long,
  // rows that are no whole number of blocks.
  GgufWriter(const fs::path& path, const std::vector<GgufField>& fields,
             std::vector<TensorInfo> tensors);
  ~GgufWriter();  // without finish(): nothing is left behind
  GgufWriter(const GgufWriter&) = delete;
  GgufWriter& operator=(const GgufWriter&) = delete;

  // Bytes that the whole file will have; also without writing it.
  uint64_t file_bytes() const;
  static uint64_t file_bytes(const std::vector<GgufField>& fields,
                             const std::vector<TensorInfo>& tensors);
  // The next bytes of the tensor at hand, in the order of `tensors`; padding comes by itself.
  void append(std::span<const std::byte> bytes);
  // Returns the sha256 of the file in hex. Throws Error(kInternal) when bytes are missing.
  std::string finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace dlm
