// Builds GGUF files by hand, right and wrong ones, independent of the writer.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace dlm {

template <class T>
std::string raw(T value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof(value));
}

inline std::string u32(uint32_t value) {
  return raw(value);
}
inline std::string u64(uint64_t value) {
  return raw(value);
}
inline std::string text(std::string_view value) {
  return u64(value.size()) + std::string(value);
}
inline std::string header(uint64_t tensors, uint64_t fields, uint32_t version = 3) {
  return "GGUF" + u32(version) + u64(tensors) + u64(fields);
}
inline std::string text_field(std::string_view key, std::string_view value) {
  return text(key) + u32(8) + text(value);
}
// F32 of dims in the order of the file, fastest first.
inline std::string tensor_record(std::string_view name, std::initializer_list<uint64_t> dims,
                                 uint64_t offset, uint32_t type = 0) {
  std::string out = text(name) + u32(static_cast<uint32_t>(dims.size()));
  for (uint64_t dim : dims) out += u64(dim);
  return out + u32(type) + u64(offset);
}
inline std::string padded(std::string bytes, size_t alignment = 32) {
  bytes.append((alignment - bytes.size() % alignment) % alignment, '\0');
  return bytes;
}

// The specification's worked example: one key, and one F32 tensor "t" of two rows of three.
inline std::string worked_example() {
  std::string data;
  for (float value : {0.0f, 1.0f, 2.0f, 3.0f, 4.0f, 5.0f}) data += raw(value);
  return padded(header(1, 1) + text_field("general.architecture", "llama") +
                tensor_record("t", {3, 2}, 0)) +
         padded(data);
}

}  // namespace dlm
