// Looking things up in a GGUF file that was read, and opening one.
#include "formats/gguf.h"

#include <optional>
#include <type_traits>
#include <utility>

#include "support/error.h"

namespace dlm {
namespace {

template <class T>
constexpr bool kIsInteger = std::is_integral_v<T> && !std::is_same_v<T, bool>;

[[noreturn]] void throw_format(const fs::path& path, std::string_view key, const char* what) {
  throw Error(ErrorKind::kFormat, "the key \"" + std::string(key) + "\" " + what,
              "the file was made by a program that does not follow the format: make it again",
              {path.string()});
}

// The value as T, or none when it is of another type or does not fit.
std::optional<int64_t> as_integer(const GgufValue& value) {
  return std::visit(
      [](const auto& held) -> std::optional<int64_t> {
        using T = std::decay_t<decltype(held)>;
        if constexpr (kIsInteger<T>) {
          if (std::in_range<int64_t>(held)) return static_cast<int64_t>(held);
        }
        return std::nullopt;
      },
      value);
}

std::optional<double> as_number(const GgufValue& value) {
  if (const float* number = std::get_if<float>(&value)) return *number;
  if (const double* number = std::get_if<double>(&value)) return *number;
  if (const auto number = as_integer(value)) return static_cast<double>(*number);
  return std::nullopt;
}

}  // namespace

GgufFile GgufFile::open(const fs::path& path) {
  const std::shared_ptr<const MappedFile> mapped = MappedFile::open(path);
  GgufFile file = parse(mapped->bytes(), path);
  file.file_ = mapped;
  return file;
}

const GgufTensor* GgufFile::find_tensor(std::string_view name) const {
  const auto found = tensor_index_.find(name);
  return found == tensor_index_.end() ? nullptr : &tensors_[found->second];
}

const GgufValue* GgufFile::find(std::string_view key) const {
  const auto found = field_index_.find(key);
  return found == field_index_.end() ? nullptr : &fields_[found->second].value;
}

std::string GgufFile::text(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) throw_format(path_, key, "is missing");
  const auto* held = std::get_if<std::string>(value);
  if (held == nullptr) throw_format(path_, key, "is no text");
  return *held;
}

std::string GgufFile::text(std::string_view key, std::string_view fallback) const {
  return find(key) == nullptr ? std::string(fallback) : text(key);
}

int64_t GgufFile::integer(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) throw_format(path_, key, "is missing");
  const auto held = as_integer(*value);
  if (!held) throw_format(path_, key, "is no whole number below 2^63");
  return *held;
}

int64_t GgufFile::integer(std::string_view key, int64_t fallback) const {
  return find(key) == nullptr ? fallback : integer(key);
}

double GgufFile::number(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) throw_format(path_, key, "is missing");
  const auto held = as_number(*value);
  if (!held) throw_format(path_, key, "is no number");
  return *held;
}

double GgufFile::number(std::string_view key, double fallback) const {
  return find(key) == nullptr ? fallback : number(key);
}

bool GgufFile::flag(std::string_view key, bool fallback) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return fallback;
  const bool* held = std::get_if<bool>(value);
  if (held == nullptr) throw_format(path_, key, "is neither true nor false");
  return *held;
}

}  // namespace dlm
