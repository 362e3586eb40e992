// The element types of GGUF files that we read and write: their numbers in the file, and how many
// bytes a block of elements takes.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace dlm {

enum class GgmlType : uint32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ4_K = 12,
  kQ5_K = 13,
  kQ6_K = 14,
  kI32 = 26,
  kBF16 = 30,
};

struct GgmlTypeTraits {
  GgmlType type;
  std::string_view name;  // "Q4_K"
  int64_t block_elements;
  int64_t block_bytes;
};

// None for numbers that we do not know.
std::optional<GgmlType> ggml_type_from_id(uint32_t id);
std::optional<GgmlType> ggml_type_from_name(std::string_view name);
const GgmlTypeTraits& ggml_traits(GgmlType type);

inline bool is_block_type(GgmlType type) {
  return ggml_traits(type).block_elements > 1;
}

// Bytes of a row; `elements` is a whole number of blocks.
inline int64_t ggml_row_bytes(GgmlType type, int64_t elements) {
  const GgmlTypeTraits& traits = ggml_traits(type);
  return elements / traits.block_elements * traits.block_bytes;
}

}  // namespace dlm
