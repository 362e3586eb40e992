// Values of torch archives: access with messages that name what was found.
#include "formats/torch_pt.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "support/error.h"

namespace dlm {
namespace {

constexpr const char* kTypeNames[] = {"None",   "a bool",   "an int", "a float",
                                      "a text", "a tensor", "a list", "a dict"};

template <typename T>
constexpr std::string_view dtype_of() {
  if constexpr (std::is_same_v<T, float>) return "F32";
  if constexpr (std::is_same_v<T, double>) return "F64";
  if constexpr (std::is_same_v<T, int64_t>) return "I64";
  if constexpr (std::is_same_v<T, int32_t>) return "I32";
  if constexpr (std::is_same_v<T, uint8_t>) return "U8";
}

template <typename T>
const T& get(const TorchValue::Variant& value, const char* wanted) {
  if (const T* found = std::get_if<T>(&value)) return *found;
  throw Error(ErrorKind::kFormat, std::string("expected ") + wanted +
                                      " in the training state, found " + kTypeNames[value.index()]);
}

}  // namespace

template <typename T>
TorchTensor TorchTensor::copy_of(std::span<const T> elements, std::vector<int64_t> shape) {
  auto copy = std::make_shared<std::vector<T>>(elements.begin(), elements.end());
  TorchTensor tensor{std::string(dtype_of<T>()), std::move(shape), {}, copy};
  tensor.bytes = std::as_bytes(std::span(*copy));
  return tensor;
}

template <typename T>
std::vector<T> TorchTensor::elements() const {
  if (dtype != dtype_of<T>()) {
    throw Error(ErrorKind::kFormat, "expected a tensor of " + std::string(dtype_of<T>()) +
                                        " in the training state, found " + dtype);
  }
  std::vector<T> result(bytes.size() / sizeof(T));
  if (!result.empty()) std::memcpy(result.data(), bytes.data(), result.size() * sizeof(T));
  return result;
}

template TorchTensor TorchTensor::copy_of(std::span<const float>, std::vector<int64_t>);
template TorchTensor TorchTensor::copy_of(std::span<const double>, std::vector<int64_t>);
template TorchTensor TorchTensor::copy_of(std::span<const int64_t>, std::vector<int64_t>);
template TorchTensor TorchTensor::copy_of(std::span<const int32_t>, std::vector<int64_t>);
template TorchTensor TorchTensor::copy_of(std::span<const uint8_t>, std::vector<int64_t>);
template std::vector<float> TorchTensor::elements() const;
template std::vector<double> TorchTensor::elements() const;
template std::vector<int64_t> TorchTensor::elements() const;
template std::vector<int32_t> TorchTensor::elements() const;
template std::vector<uint8_t> TorchTensor::elements() const;

bool TorchValue::as_bool() const {
  return get<bool>(value_, "a bool");
}
int64_t TorchValue::as_int() const {
  return get<int64_t>(value_, "an int");
}
double TorchValue::as_double() const {
  return get<double>(value_, "a float");
}
const std::string& TorchValue::as_string() const {
  return get<std::string>(value_, "a text");
}
const TorchTensor& TorchValue::as_tensor() const {
  return get<TorchTensor>(value_, "a tensor");
}
const TorchValue::List& TorchValue::as_list() const {
  return get<List>(value_, "a list");
}
const TorchValue::Dict& TorchValue::as_dict() const {
  return get<Dict>(value_, "a dict");
}

const TorchValue* TorchValue::find(std::string_view key) const {
  const Dict* dict = std::get_if<Dict>(&value_);
  if (dict == nullptr) return nullptr;
  const auto found =
      std::find_if(dict->begin(), dict->end(), [&](const auto& item) { return item.first == key; });
  return found == dict->end() ? nullptr : &found->second;
}

const TorchValue& TorchValue::at(std::string_view key) const {
  as_dict();
  if (const TorchValue* value = find(key)) return *value;
  throw Error(ErrorKind::kFormat, "the training state has no \"" + std::string(key) + "\"");
}

}  // namespace dlm
