#include "formats/ggml_type.h"

#include <array>

#include "support/error.h"

namespace dlm {

namespace {

constexpr std::array<GgmlTypeTraits, 12> kTypes = {{
    {GgmlType::kF32, "F32", 1, 4},
    {GgmlType::kF16, "F16", 1, 2},
    {GgmlType::kQ4_0, "Q4_0", 32, 18},
    {GgmlType::kQ4_1, "Q4_1", 32, 20},
    {GgmlType::kQ5_0, "Q5_0", 32, 22},
    {GgmlType::kQ5_1, "Q5_1", 32, 24},
    {GgmlType::kQ8_0, "Q8_0", 32, 34},
    {GgmlType::kQ4_K, "Q4_K", 256, 144},
    {GgmlType::kQ5_K, "Q5_K", 256, 176},
    {GgmlType::kQ6_K, "Q6_K", 256, 210},
    {GgmlType::kI32, "I32", 1, 4},
    {GgmlType::kBF16, "BF16", 1, 2},
}};

}  // namespace

std::optional<GgmlType> ggml_type_from_id(uint32_t id) {
  for (const GgmlTypeTraits& traits : kTypes) {
    if (static_cast<uint32_t>(traits.type) == id) return traits.type;
  }
  return std::nullopt;
}

std::optional<GgmlType> ggml_type_from_name(std::string_view name) {
  for (const GgmlTypeTraits& traits : kTypes) {
    if (traits.name == name) return traits.type;
  }
  return std::nullopt;
}

const GgmlTypeTraits& ggml_traits(GgmlType type) {
  for (const GgmlTypeTraits& traits : kTypes) {
    if (traits.type == type) return traits;
  }
  throw Error(ErrorKind::kInternal, "an element type without an entry in the table");
}

}  // namespace dlm
