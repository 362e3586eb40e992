// Reading one safetensors file: 8 bytes of header length, the JSON header, then the data. The
// checks follow the format's own rules; products and sums that could wrap are computed with
// overflow tests.
#include "formats/safetensors.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "support/error.h"
#include "support/json.h"

namespace dlm {
namespace {

static_assert(std::endian::native == std::endian::little,
              "tensor data is used as it lies in files");

constexpr size_t kLengthBytes = 8;
// The limit of the reference implementation.
constexpr uint64_t kMostHeaderBytes = 100'000'000;

struct DtypeSize {
  std::string_view name;
  size_t size;
};
constexpr DtypeSize kDtypes[] = {{"F64", 8}, {"I64", 8},     {"U64", 8},    {"F32", 4},
                                 {"I32", 4}, {"U32", 4},     {"BF16", 2},   {"F16", 2},
                                 {"I16", 2}, {"U16", 2},     {"BOOL", 1},   {"I8", 1},
                                 {"U8", 1},  {"F8_E4M3", 1}, {"F8_E5M2", 1}};

constexpr const char* kCutHint =
    "the file is cut off, as after an interrupted download or copy: fetch it again";
constexpr const char* kBrokenHint = "the file is damaged: fetch it again";

class Parser {
 public:
  Parser(std::span<const std::byte> bytes, const fs::path& path) : bytes_(bytes), path_(path) {}

  void parse(std::vector<SafetensorsTensor>& tensors,
             std::map<std::string, std::string>& metadata) {
    const std::string_view header = header_text();
    const Json json = header_json(header);
    data_ = bytes_.subspan(kLengthBytes + header.size());
    for (const auto& [name, value] : json.members()) {
      if (name == "__metadata__") {
        read_metadata(value, metadata);
      } else {
        tensors.push_back(read_tensor(name, value));
      }
    }
    check_layout(tensors);
  }

 private:
  [[noreturn]] void fail(const std::string& message, const char* hint = kBrokenHint) const {
    throw Error(ErrorKind::kFormat, message, hint, {path_.string()});
  }

  std::string_view header_text() const {
    const std::string_view text(reinterpret_cast<const char*>(bytes_.data()), bytes_.size());
    if (text.starts_with("version https://git-lfs")) {
      fail("a Git LFS pointer stands where a safetensors file should be",
           "fetch the real file, for example with `git lfs pull`");
    }
    if (bytes_.size() < kLengthBytes) {
      fail("has " + std::to_string(bytes_.size()) + " bytes, a safetensors file has at least 8",
           kCutHint);
    }
    uint64_t length = 0;
    std::memcpy(&length, bytes_.data(), kLengthBytes);
    if (length > kMostHeaderBytes) {
      fail("is no safetensors file: its header would have " + std::to_string(length) + " bytes",
           "check that the file is what its name says");
    }
    if (length > bytes_.size() - kLengthBytes) {
      fail("has " + std::to_string(bytes_.size()) + " bytes, the header alone asks for " +
               std::to_string(kLengthBytes + length),
           kCutHint);
    }
    return text.substr(kLengthBytes, length);
  }

  Json header_json(std::string_view header) const {
    Json json;
    try {
      JsonLimits limits;
      limits.max_depth = 8;
      json = parse_json(header, path_.string(), limits);
    } catch (const Error& error) {
      fail("the safetensors header is broken: " + error.message());
    }
    if (!json.is_object()) fail("the safetensors header is not a JSON object");
    return json;
  }

  void read_metadata(const Json& value, std::map<std::string, std::string>& metadata) const {
    if (!value.is_object()) fail("__metadata__ is not a JSON object");
    for (const auto& [key, text] : value.members()) {
      if (!text.is_string()) fail("__metadata__ \"" + key + "\" is not a string");
      metadata[key] = text.as_string();
    }
  }

  // A whole number from 0 to 2^63 - 1.
  int64_t number(const std::string& tensor, const char* what, const Json& value) const {
    if (!value.is_int() || value.as_int() < 0) {
      fail("tensor \"" + tensor + "\": " + what + " is not a whole number from 0 on");
    }
    return value.as_int();
  }

  SafetensorsTensor read_tensor(const std::string& name, const Json& value) const {
    const auto refuse = [&](const std::string& what) { fail("tensor \"" + name + "\": " + what); };
    if (!value.is_object()) refuse("its entry is not a JSON object");
    for (const auto& [key, part] : value.members()) {
      if (key != "dtype" && key != "shape" && key != "data_offsets") {
        refuse("unknown key \"" + key + "\"");
      }
    }
    const Json* dtype = value.find("dtype");
    const Json* shape = value.find("shape");
    const Json* offsets = value.find("data_offsets");
    if (dtype == nullptr || !dtype->is_string()) refuse("dtype is missing");
    if (shape == nullptr || !shape->is_array()) refuse("shape is missing");
    if (offsets == nullptr || !offsets->is_array() || offsets->size() != 2) {
      refuse("data_offsets is not a pair");
    }
    SafetensorsTensor tensor{name, dtype->as_string(), {}, {}};
    const auto element = safetensors_dtype_size(tensor.dtype);
    if (!element) refuse("dtype \"" + tensor.dtype + "\" is not known");
    uint64_t size = *element;
    for (const Json& dimension : shape->items()) {
      tensor.shape.push_back(number(name, "a dimension", dimension));
      if (__builtin_mul_overflow(size, static_cast<uint64_t>(tensor.shape.back()), &size)) {
        refuse("its shape is too large");
      }
    }
    const auto begin = static_cast<uint64_t>(number(name, "an offset", offsets->items()[0]));
    const auto end = static_cast<uint64_t>(number(name, "an offset", offsets->items()[1]));
    if (end < begin) refuse("its data ends before it begins");
    if (end - begin != size) {
      refuse("its data has " + std::to_string(end - begin) + " bytes, shape and dtype ask for " +
             std::to_string(size));
    }
    if (end > data_.size()) {
      const size_t before = bytes_.size() - data_.size();
      fail("has " + std::to_string(bytes_.size()) + " bytes, the header asks for " +
               std::to_string(before + end) + " or more (tensor \"" + name + "\")",
           kCutHint);
    }
    tensor.bytes = data_.subspan(begin, end - begin);
    return tensor;
  }

  // Data must fill the file from the header to the end, without overlap and without a gap.
  void check_layout(std::vector<SafetensorsTensor>& tensors) const {
    std::stable_sort(tensors.begin(), tensors.end(), [](const auto& a, const auto& b) {
      return a.bytes.data() != b.bytes.data() ? a.bytes.data() < b.bytes.data()
                                              : a.bytes.size() < b.bytes.size();
    });
    const std::byte* next = data_.data();
    for (const SafetensorsTensor& tensor : tensors) {
      if (tensor.bytes.data() < next) fail("tensor \"" + tensor.name + "\" overlaps another one");
      if (tensor.bytes.data() > next) {
        fail("there is a gap before the data of tensor \"" + tensor.name + "\"");
      }
      next = tensor.bytes.data() + tensor.bytes.size();
    }
    const auto left = static_cast<size_t>(data_.data() + data_.size() - next);
    if (left != 0) {
      fail("has " + std::to_string(bytes_.size()) + " bytes, the header asks for " +
           std::to_string(bytes_.size() - left));
    }
  }

  std::span<const std::byte> bytes_;
  std::span<const std::byte> data_;
  const fs::path& path_;
};

}  // namespace

std::optional<size_t> safetensors_dtype_size(std::string_view dtype) {
  for (const DtypeSize& known : kDtypes) {
    if (known.name == dtype) return known.size;
  }
  return std::nullopt;
}

SafetensorsFile SafetensorsFile::parse(std::span<const std::byte> bytes, const fs::path& path) {
  SafetensorsFile file;
  file.path_ = path;
  Parser(bytes, path).parse(file.tensors_, file.metadata_);
  for (size_t i = 0; i < file.tensors_.size(); ++i) file.index_[file.tensors_[i].name] = i;
  return file;
}

SafetensorsFile SafetensorsFile::open(const fs::path& path) {
  const std::shared_ptr<const MappedFile> mapped = MappedFile::open(path);
  SafetensorsFile file = parse(mapped->bytes(), path);
  file.file_ = mapped;
  return file;
}

const SafetensorsTensor* SafetensorsFile::find(std::string_view name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &tensors_[found->second];
}

const SafetensorsTensor& SafetensorsFile::at(std::string_view name) const {
  if (const SafetensorsTensor* tensor = find(name)) return *tensor;
  throw Error(ErrorKind::kFormat, "has no tensor \"" + std::string(name) + "\"", {},
              {path_.string()});
}

}  // namespace dlm
