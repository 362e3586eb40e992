// Writing safetensors with the layout of the reference implementation: a header in one line,
// metadata first, data ordered so that no element is unaligned.
#include <algorithm>

#include "formats/safetensors.h"
#include "support/error.h"
#include "support/json.h"

namespace dlm {
namespace {

constexpr size_t kAlignment = 8;

// Larger elements first; a tie between dtypes is settled as the reference does, by its list of
// them.
int dtype_rank(std::string_view dtype) {
  constexpr std::string_view kOrder[] = {"U64",     "I64",     "F64", "F32", "U32",
                                         "I32",     "BF16",    "F16", "U16", "I16",
                                         "F8_E4M3", "F8_E5M2", "I8",  "U8",  "BOOL"};
  const auto found = std::find(std::begin(kOrder), std::end(kOrder), dtype);
  return static_cast<int>(found - std::begin(kOrder));
}

void check_size(const SafetensorsTensor& tensor) {
  const auto element = safetensors_dtype_size(tensor.dtype);
  check(element.has_value(), "a tensor to write has an unknown dtype");
  uint64_t size = *element;
  for (int64_t dimension : tensor.shape) {
    check(dimension >= 0 && !__builtin_mul_overflow(size, static_cast<uint64_t>(dimension), &size),
          "a tensor to write has an impossible shape");
  }
  check(size == tensor.bytes.size(), "bytes and shape of a tensor to write do not agree");
}

}  // namespace

void write_safetensors(const fs::path& path, const std::vector<SafetensorsTensor>& tensors,
                       const std::map<std::string, std::string>& metadata) {
  std::vector<const SafetensorsTensor*> order;
  for (const SafetensorsTensor& tensor : tensors) {
    check_size(tensor);
    order.push_back(&tensor);
  }
  std::sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
    const int rank_a = dtype_rank(a->dtype), rank_b = dtype_rank(b->dtype);
    return rank_a != rank_b ? rank_a < rank_b : a->name < b->name;
  });
  std::vector<Json::Member> header;
  if (!metadata.empty()) {
    std::vector<Json::Member> texts;
    for (const auto& [key, value] : metadata) texts.emplace_back(key, value);
    header.emplace_back("__metadata__", Json::object(std::move(texts)));
  }
  uint64_t offset = 0;
  std::vector<std::string_view> names;
  for (const SafetensorsTensor* tensor : order) {
    names.push_back(tensor->name);
    std::vector<Json> shape(tensor->shape.begin(), tensor->shape.end());
    const uint64_t end = offset + tensor->bytes.size();
    header.emplace_back(tensor->name,
                        Json::object({{"dtype", tensor->dtype},
                                      {"shape", Json::array(std::move(shape))},
                                      {"data_offsets", Json::array({Json(offset), Json(end)})}}));
    offset = end;
  }
  std::sort(names.begin(), names.end());
  check(std::adjacent_find(names.begin(), names.end()) == names.end() &&
            !std::binary_search(names.begin(), names.end(), "__metadata__"),
        "two tensors to write have the same name");

  std::string text = Json::object(std::move(header)).dump();
  text.append((kAlignment - text.size() % kAlignment) % kAlignment, ' ');
  const uint64_t length = text.size();
  AtomicFile file(path);
  file.write(std::as_bytes(std::span(&length, 1)));
  file.write(text);
  for (const SafetensorsTensor* tensor : order) file.write(tensor->bytes);
  file.commit();
}

}  // namespace dlm
