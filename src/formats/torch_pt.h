// A subset of torch's .pt files: nested dicts and lists of tensors and primitives, in the zip form
// that `torch.load(path, weights_only=True)` reads. Reading takes only what this writer wrote and
// refuses all other archives; a pickle is never executed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "support/file.h"

namespace dlm {

struct TorchTensor {
  std::string dtype;  // "F32", "F64", "F16", "BF16", "I64", "I32", "I16", "I8", "U8", "BOOL"
  std::vector<int64_t> shape;  // row-major, contiguous
  std::span<const std::byte> bytes;
  std::shared_ptr<const void> owner;  // keeps the bytes alive; may be null when the caller does

  // A copy of the elements that owns itself. T is float, double, int64_t, int32_t or uint8_t.
  template <typename T>
  static TorchTensor copy_of(std::span<const T> elements, std::vector<int64_t> shape);
  // The elements as T. Throws Error(kFormat) when the dtype is another one.
  template <typename T>
  std::vector<T> elements() const;
};

class TorchValue {
 public:
  using List = std::vector<TorchValue>;
  using Dict = std::vector<std::pair<std::string, TorchValue>>;

  TorchValue() = default;  // None
  TorchValue(bool value) : value_(value) {}
  TorchValue(int value) : value_(int64_t{value}) {}
  TorchValue(int64_t value) : value_(value) {}
  TorchValue(double value) : value_(value) {}
  TorchValue(const char* value) : value_(std::string(value)) {}
  TorchValue(std::string value) : value_(std::move(value)) {}
  TorchValue(TorchTensor value) : value_(std::move(value)) {}
  TorchValue(List value) : value_(std::move(value)) {}
  TorchValue(Dict value) : value_(std::move(value)) {}

  bool is_none() const { return std::holds_alternative<std::monostate>(value_); }
  // Each throws Error(kFormat) naming the wanted and the found type.
  bool as_bool() const;
  int64_t as_int() const;
  double as_double() const;
  const std::string& as_string() const;
  const TorchTensor& as_tensor() const;
  const List& as_list() const;
  const Dict& as_dict() const;

  // Null when the key is absent or this is not a dict; at() throws Error(kFormat) naming the key.
  const TorchValue* find(std::string_view key) const;
  const TorchValue& at(std::string_view key) const;

  using Variant =
      std::variant<std::monostate, bool, int64_t, double, std::string, TorchTensor, List, Dict>;
  const Variant& variant() const { return value_; }

 private:
  Variant value_;
};

// Writes atomically; the same value always gives the same bytes. Throws Error(kInternal) for
// strings that are not UTF-8, tensors whose bytes and shape do not agree, and nesting deeper
// than 64.
void write_torch_pt(const fs::path& path, const TorchValue& value);

// Tensors refer to the mapped file. Throws Error(kFormat) for archives of other programs.
TorchValue read_torch_pt(const fs::path& path);
// The same over bytes in memory, which must outlive the result; `path` is for messages.
TorchValue parse_torch_pt(std::span<const std::byte> bytes, const fs::path& path);

}  // namespace dlm
