// Reading GGUF: header, key-value records, tensor records, then the data section. One cursor does
// all reading; nothing is allocated for a count that the rest of the file cannot hold, so memory is
// bounded by the file's size. Offsets must follow one another as in the reference reader, which
// also keeps tensors from overlapping.
#include <bit>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

#include "formats/gguf.h"
#include "formats/gguf_value_type.h"
#include "support/error.h"
#include "support/text.h"

namespace dlm {
namespace {

static_assert(std::endian::native == std::endian::little, "values are used as they lie in files");

constexpr const char* kCutHint =
    "the file is cut off, as after an interrupted download or copy: fetch it again";
constexpr const char* kBrokenHint = "the file is damaged, or no GGUF model: fetch it again";

// Type names that the format knows and we do not read, for messages; "" are numbers without one.
constexpr std::string_view kForeignTypes[] = {
    "",      "",           "",           "",           "Q4_2",     "Q4_3",     "",
    "",      "",           "Q8_1",       "Q2_K",       "Q3_K",     "",         "",
    "",      "Q8_K",       "IQ2_XXS",    "IQ2_XS",     "IQ3_XXS",  "IQ1_S",    "IQ4_NL",
    "IQ3_S", "IQ2_S",      "IQ4_XS",     "I8",         "I16",      "",         "I64",
    "F64",   "IQ1_M",      "",           "Q4_0_4_4",   "Q4_0_4_8", "Q4_0_8_8", "TQ1_0",
    "TQ2_0", "IQ4_NL_4_4", "IQ4_NL_4_8", "IQ4_NL_8_8", "MXFP4",    "NVFP4"};

// The least bytes that a record takes: an empty name, and the least that follows it.
constexpr uint64_t kLeastFieldBytes = 8 + 4 + 1;
constexpr uint64_t kLeastTensorBytes = 8 + 4 + 8 + 4 + 8;

class Parser {
 public:
  Parser(std::span<const std::byte> bytes, const fs::path& path) : bytes_(bytes), path_(path) {}

  void parse(std::vector<GgufField>& fields, std::map<std::string, size_t, std::less<>>& keys,
             std::vector<GgufTensor>& tensors, std::map<std::string, size_t, std::less<>>& names) {
    read_header();
    uint64_t alignment = kGgufDefaultAlignment;
    for (uint64_t i = 0; i < num_fields_; ++i) {
      record_ = "key " + std::to_string(i + 1) + " of " + std::to_string(num_fields_);
      GgufField field = read_field();
      if (field.key == kGgufAlignmentKey) alignment = alignment_of(field.value);
      if (!keys.emplace(field.key, fields.size()).second) refuse("stands twice in the file");
      fields.push_back(std::move(field));
    }
    uint64_t next = 0;  // where the next tensor must begin in the data section
    std::vector<uint64_t> sizes;
    for (uint64_t i = 0; i < num_tensors_; ++i) {
      record_ = "tensor " + std::to_string(i + 1) + " of " + std::to_string(num_tensors_);
      uint64_t size = 0;
      GgufTensor tensor = read_tensor(alignment, next, size);
      if (!names.emplace(tensor.name, tensors.size()).second) refuse("stands twice in the file");
      tensors.push_back(std::move(tensor));
      sizes.push_back(size);
    }
    place_data(alignment, tensors, sizes);
  }

 private:
  [[noreturn]] void fail(const std::string& message, const char* hint = kBrokenHint) const {
    throw Error(ErrorKind::kFormat, message, hint, {path_.string()});
  }

  // About the record at hand.
  [[noreturn]] void refuse(const std::string& what, const char* hint = kBrokenHint) const {
    fail(record_ + ", byte " + std::to_string(record_begin_) + ": " + what, hint);
  }

  uint64_t left() const { return bytes_.size() - position_; }

  template <class T>
  T read(const char* what) {
    if (left() < sizeof(T)) refuse(std::string("the file ends in ") + what, kCutHint);
    T value;
    std::memcpy(&value, bytes_.data() + position_, sizeof(T));
    position_ += sizeof(T);
    return value;
  }

  std::string read_string(const char* what, uint64_t most_bytes) {
    const auto size = read<uint64_t>(what);
    if (size > most_bytes) {
      refuse(std::string(what) + " has " + std::to_string(size) + " bytes, " +
             std::to_string(most_bytes) + " are possible");
    }
    if (size > left()) {
      refuse(std::string(what) + " has " + std::to_string(size) + " bytes, only " +
                 std::to_string(left()) + " are left in the file",
             kCutHint);
    }
    std::string text(reinterpret_cast<const char*>(bytes_.data() + position_), size);
    position_ += size;
    return text;
  }

  void read_header() {
    const std::string_view text(reinterpret_cast<const char*>(bytes_.data()), bytes_.size());
    if (text.starts_with("version https://git-lfs")) {
      fail("a Git LFS pointer stands where a GGUF file should be",
           "fetch the real file, for example with `git lfs pull`");
    }
    if (!text.starts_with(std::string_view(kGgufMagic, sizeof(kGgufMagic)))) {
      fail("is no GGUF file: it does not begin with \"GGUF\"",
           "check that the file is what its name says");
    }
    position_ = sizeof(kGgufMagic);
    record_ = "the header";
    const auto version = read<uint32_t>("its version");
    if (version != 0 && (version & 0xFFFF) == 0) {
      refuse("the numbers are big-endian", "convert the file for little-endian machines");
    }
    // Version 2 differs in nothing but the byte orders that it allows.
    if (version != 2 && version != kGgufVersion) {
      refuse("version " + std::to_string(version) + " is not known; 2 and 3 are",
             "convert the model again with a program of today");
    }
    num_tensors_ = read_count("tensors", kLeastTensorBytes);
    num_fields_ = read_count("keys", kLeastFieldBytes);
  }

  uint64_t read_count(const char* what, uint64_t least_bytes) {
    const std::string number = std::string("the number of ") + what;
    const auto count = read<int64_t>(number.c_str());
    if (count < 0) refuse(number + " is negative");
    if (static_cast<uint64_t>(count) > left() / least_bytes) {
      refuse("asks for " + std::to_string(count) + " " + what + ", more than the file has room for",
             kCutHint);
    }
    return static_cast<uint64_t>(count);
  }

  GgufField read_field() {
    record_begin_ = position_;
    std::string key = read_string("its name", kGgufMostKeyBytes);
    if (key.empty()) refuse("has no name");
    if (find_utf8_fault(key)) refuse("its name is not UTF-8");
    record_ += " (\"" + key + "\")";
    const auto type = read<uint32_t>("its type");
    GgufValue value;
    if (type == static_cast<uint32_t>(GgufValueType::kArray)) {
      value = read_array();
    } else {
      value = with_type<GgufValue>(type, [&](auto sample) -> GgufValue {
        using T = decltype(sample);
        if constexpr (std::is_same_v<T, std::string>) {
          return read_string("its text", std::numeric_limits<uint64_t>::max());
        } else {
          return read_scalar<T>();
        }
      });
    }
    return {std::move(key), std::move(value)};
  }

  // Calls with a value of the C++ type that `type` stands for.
  template <class Result, class Call>
  Result with_type(uint32_t type, const Call& call) {
    switch (static_cast<GgufValueType>(type)) {
      case GgufValueType::kUint8:
        return call(uint8_t{});
      case GgufValueType::kInt8:
        return call(int8_t{});
      case GgufValueType::kUint16:
        return call(uint16_t{});
      case GgufValueType::kInt16:
        return call(int16_t{});
      case GgufValueType::kUint32:
        return call(uint32_t{});
      case GgufValueType::kInt32:
        return call(int32_t{});
      case GgufValueType::kFloat32:
        return call(float{});
      case GgufValueType::kBool:
        return call(bool{});
      case GgufValueType::kString:
        return call(std::string{});
      case GgufValueType::kUint64:
        return call(uint64_t{});
      case GgufValueType::kInt64:
        return call(int64_t{});
      case GgufValueType::kFloat64:
        return call(double{});
      case GgufValueType::kArray:
        refuse("is a list of lists, which programs do not read");
    }
    refuse("its type " + std::to_string(static_cast<int32_t>(type)) + " is not known");
  }

  template <class T>
  T read_scalar() {
    if constexpr (std::is_same_v<T, bool>) {
      const auto byte = read<uint8_t>("its value");
      if (byte > 1) refuse("is neither true nor false but " + std::to_string(byte));
      return byte == 1;
    } else {
      return read<T>("its value");
    }
  }

  GgufArray read_array() {
    const auto type = read<uint32_t>("its element type");
    const auto count = read<uint64_t>("its length");
    return with_type<GgufArray>(type, [&](auto sample) -> GgufArray {
      using T = decltype(sample);
      constexpr uint64_t least_bytes = std::is_same_v<T, std::string> ? 8 : sizeof(T);
      if (count > left() / least_bytes) {
        refuse("is a list of " + std::to_string(count) + ", more than the file has room for",
               kCutHint);
      }
      std::vector<T> list;
      list.reserve(count);
      for (uint64_t i = 0; i < count; ++i) {
        if constexpr (std::is_same_v<T, std::string>) {
          list.push_back(read_string("a text in it", std::numeric_limits<uint64_t>::max()));
        } else {
          list.push_back(read_scalar<T>());
        }
      }
      return list;
    });
  }

  uint64_t alignment_of(const GgufValue& value) const {
    const auto* alignment = std::get_if<uint32_t>(&value);
    if (alignment == nullptr) refuse("is not of type uint32");
    if (!std::has_single_bit(*alignment)) {
      refuse("is " + std::to_string(*alignment) + ", which is no power of two");
    }
    return *alignment;
  }

  GgmlType read_type() {
    const auto id = read<uint32_t>("its type");
    if (const auto type = ggml_type_from_id(id)) return *type;
    const bool is_named = id < std::size(kForeignTypes) && !kForeignTypes[id].empty();
    if (!is_named) refuse("its type " + std::to_string(static_cast<int32_t>(id)) + " is not known");
    refuse("has type " + std::string(kForeignTypes[id]) + " (" + std::to_string(id) +
               "), which is not read here",
           "use a file of F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K or Q6_K");
  }

  // `next` is where its data must begin, and becomes where that of the next tensor must.
  GgufTensor read_tensor(uint64_t alignment, uint64_t& next, uint64_t& size) {
    record_begin_ = position_;
    GgufTensor tensor;
    tensor.name = read_string("its name", kGgufMostNameBytes);
    if (find_utf8_fault(tensor.name)) refuse("its name is not UTF-8");
    record_ += " (\"" + tensor.name + "\")";
    const auto num_dimensions = read<uint32_t>("its number of dimensions");
    if (num_dimensions < 1 || num_dimensions > kGgufMostDimensions) {
      refuse("has " + std::to_string(num_dimensions) + " dimensions; 1 to 4 are possible");
    }
    tensor.shape.resize(num_dimensions);
    uint64_t row = 0, rows = 1;
    for (uint32_t i = 0; i < num_dimensions; ++i) {
      const auto dimension = read<int64_t>("its dimensions");
      if (dimension < 0) refuse("has a negative dimension");
      tensor.shape[num_dimensions - 1 - i] = dimension;  // the file begins with the fastest
      const auto extent = static_cast<uint64_t>(dimension);
      if (i == 0) row = extent;
      if (i > 0 && __builtin_mul_overflow(rows, extent, &rows)) refuse("its shape is too large");
    }
    tensor.type = read_type();
    const GgmlTypeTraits& traits = ggml_traits(tensor.type);
    const auto block = static_cast<uint64_t>(traits.block_elements);
    if (row % block != 0) {
      refuse("has rows of " + std::to_string(row) + " elements, " + std::string(traits.name) +
             " takes multiples of " + std::to_string(block));
    }
    uint64_t elements = 0;
    const bool fits =
        !__builtin_mul_overflow(row, rows, &elements) && std::in_range<int64_t>(elements) &&
        !__builtin_mul_overflow(elements / block, static_cast<uint64_t>(traits.block_bytes), &size);
    if (!fits) refuse("its shape is too large");
    const auto offset = read<uint64_t>("the offset of its data");
    if (offset != next) {
      refuse("its data begins at " + std::to_string(offset) + ", that of the tensors before it " +
             "ends at " + std::to_string(next));
    }
    uint64_t end = 0;
    if (__builtin_add_overflow(size, alignment - 1, &end)) refuse("its shape is too large");
    end -= end % alignment;
    if (__builtin_add_overflow(next, end, &next)) refuse("its shape is too large");
    return tensor;
  }

  // Gives each tensor its bytes; the padding behind the last may be missing.
  void place_data(uint64_t alignment, std::vector<GgufTensor>& tensors,
                  const std::vector<uint64_t>& sizes) const {
    const uint64_t used = position_ % alignment;
    const uint64_t padding = used == 0 ? 0 : alignment - used;
    const bool has_data = padding <= left();
    const std::span<const std::byte> data =
        has_data ? bytes_.subspan(position_ + padding) : std::span<const std::byte>();
    uint64_t offset = 0;
    for (size_t i = 0; i < tensors.size(); ++i) {
      if (sizes[i] > data.size() || offset > data.size() - sizes[i]) {
        fail("has " + std::to_string(bytes_.size()) + " bytes; the data of tensor \"" +
                 tensors[i].name + "\" would lie in bytes " + std::to_string(offset) + " to " +
                 std::to_string(offset + sizes[i]) + " of the " + std::to_string(data.size()) +
                 " bytes behind the header",
             kCutHint);
      }
      tensors[i].bytes = data.subspan(offset, sizes[i]);
      const uint64_t over = sizes[i] % alignment;
      offset += sizes[i] + (over == 0 ? 0 : alignment - over);
    }
  }

  std::span<const std::byte> bytes_;
  const fs::path& path_;
  uint64_t position_ = 0;
  uint64_t num_tensors_ = 0;
  uint64_t num_fields_ = 0;
  std::string record_;
  uint64_t record_begin_ = 0;
};

}  // namespace

GgufFile GgufFile::parse(std::span<const std::byte> bytes, const fs::path& path) {
  GgufFile file;
  file.path_ = path;
  Parser(bytes, path).parse(file.fields_, file.field_index_, file.tensors_, file.tensor_index_);
  return file;
}

}  // namespace dlm
