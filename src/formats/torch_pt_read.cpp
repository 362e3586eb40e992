// Reading back the archives that the writer makes. The pickle is parsed by the writer's own
// grammar, not run on a stack machine, so that no opcode can do anything but describe a value.
#include <bit>
#include <cstring>
#include <map>

#include "formats/safetensors.h"
#include "formats/torch_pt.h"
#include "formats/torch_pt_types.h"
#include "formats/zip_store.h"
#include "support/error.h"
#include "support/text.h"

namespace dlm {
namespace {

using namespace torch_pt;

// A value takes about 100 bytes of memory and at least one byte of pickle.
constexpr size_t kMostPickleBytes = size_t{16} << 20;

class Unpickler {
 public:
  Unpickler(std::string_view pickle, std::map<std::string, std::span<const std::byte>> storages,
            const fs::path& path, std::shared_ptr<const void> owner)
      : rest_(pickle), storages_(std::move(storages)), path_(path), owner_(std::move(owner)) {}

  TorchValue read() {
    expect({kProto, '\x02'});
    TorchValue value = read_value(0);
    expect({kStop});
    if (!rest_.empty()) refuse();
    return value;
  }

 private:
  [[noreturn]] void refuse() const {
    throw Error(
        ErrorKind::kFormat,
        "this torch archive was written by another program; dlm reads the training states that "
        "it writes itself",
        "the adapter beside it can be used; only its optimizer state cannot be continued",
        {path_.string()});
  }

  std::string_view take(size_t size) {
    if (size > rest_.size()) refuse();
    const std::string_view part = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return part;
  }

  bool take_if(char opcode) {
    if (rest_.empty() || rest_[0] != opcode) return false;
    rest_.remove_prefix(1);
    return true;
  }

  void expect(std::string_view text) {
    if (take(text.size()) != text) refuse();
  }
  void expect(std::initializer_list<char> text) {
    expect(std::string_view(text.begin(), text.size()));
  }

  template <typename T>
  T number() {
    T value;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }

  int64_t read_int() {
    if (take_if(kBinInt)) return number<int32_t>();
    expect({kLong1, '\x08'});
    return number<int64_t>();
  }

  std::string read_text() {
    expect({kBinUnicode});
    const std::string_view text = take(number<uint32_t>());
    if (find_utf8_fault(text)) refuse();
    return std::string(text);
  }

  std::vector<int64_t> read_int_tuple() {
    std::vector<int64_t> values;
    if (take_if(kEmptyTuple)) return values;
    expect({kMark});
    while (!take_if(kTuple)) values.push_back(read_int());
    return values;
  }

  TorchValue read_value(int depth) {
    if (depth >= kMostDepth || rest_.empty()) refuse();
    switch (rest_[0]) {
      case kNone:
        take(1);
        return {};
      case kNewTrue:
        take(1);
        return true;
      case kNewFalse:
        take(1);
        return false;
      case kBinInt:
      case kLong1:
        return read_int();
      case kBinUnicode:
        return read_text();
      case kBinFloat: {
        take(1);
        uint64_t bits = 0;
        for (char byte : take(8)) bits = bits << 8 | static_cast<unsigned char>(byte);
        return std::bit_cast<double>(bits);
      }
      case kEmptyList: {
        take(1);
        TorchValue::List list;
        if (!take_if(kMark)) return list;
        while (!take_if(kAppends)) list.push_back(read_value(depth + 1));
        return list;
      }
      case kEmptyDict: {
        take(1);
        TorchValue::Dict dict;
        if (!take_if(kMark)) return dict;
        while (!take_if(kSetItems)) {
          std::string key = read_text();
          dict.emplace_back(std::move(key), read_value(depth + 1));
        }
        return dict;
      }
      case kGlobal:
        return read_tensor();
      default:
        refuse();
    }
  }

  TorchTensor read_tensor() {
    expect({kGlobal});
    expect(kRebuild);
    expect({kMark, kMark});
    if (read_text() != "storage") refuse();
    expect({kGlobal});
    expect("torch\n");
    TorchTensor tensor;
    for (const Storage& known : kStorages) {
      const std::string line = std::string(known.torch_class) + "\n";
      if (!rest_.starts_with(line)) continue;
      take(line.size());
      tensor.dtype = known.dtype;
      break;
    }
    const auto element = safetensors_dtype_size(tensor.dtype);
    if (!element) refuse();
    const auto storage = storages_.find(read_text());
    if (storage == storages_.end()) refuse();
    tensor.bytes = storage->second;
    tensor.owner = owner_;
    if (read_text() != "cpu") refuse();
    const int64_t num_elements = read_int();
    expect({kTuple, kBinPersId});
    if (read_int() != 0) refuse();
    tensor.shape = read_int_tuple();
    const std::vector<int64_t> strides = read_int_tuple();
    expect({kNewFalse, kGlobal});
    expect(kOrderedDict);
    expect({kEmptyTuple, kReduce, kTuple, kReduce});
    check_layout(tensor, strides, num_elements, *element);
    return tensor;
  }

  void check_layout(const TorchTensor& tensor, const std::vector<int64_t>& strides,
                    int64_t num_elements, size_t element) const {
    if (strides.size() != tensor.shape.size()) refuse();
    int64_t stride = 1, count = 1;
    for (size_t i = tensor.shape.size(); i-- > 0;) {
      if (tensor.shape[i] < 0 || strides[i] != stride) refuse();
      if (__builtin_mul_overflow(stride, std::max<int64_t>(tensor.shape[i], 1), &stride)) refuse();
      count = tensor.shape[i] == 0 ? 0 : count;
    }
    if (count != 0) count = stride;
    uint64_t size = 0;
    if (count != num_elements ||
        __builtin_mul_overflow(static_cast<uint64_t>(count), element, &size) ||
        size != tensor.bytes.size()) {
      refuse();
    }
  }

  std::string_view rest_;
  std::map<std::string, std::span<const std::byte>> storages_;
  const fs::path& path_;
  std::shared_ptr<const void> owner_;
};

TorchValue parse(std::span<const std::byte> bytes, const fs::path& path,
                 std::shared_ptr<const void> owner) {
  std::string_view pickle;
  std::map<std::string, std::span<const std::byte>> storages;
  for (const ZipEntry& entry : read_zip_store(bytes, path)) {
    std::string_view name = entry.name;
    if (!name.starts_with(kFolder)) continue;
    name.remove_prefix(kFolder.size());
    if (name == "data.pkl") {
      pickle = {reinterpret_cast<const char*>(entry.bytes.data()), entry.bytes.size()};
    } else if (name.starts_with("data/")) {
      storages[std::string(name.substr(5))] = entry.bytes;
    }
  }
  if (pickle.size() > kMostPickleBytes) {
    throw Error(ErrorKind::kFormat, "the pickle of the torch archive is too large", {},
                {path.string()});
  }
  return Unpickler(pickle, std::move(storages), path, std::move(owner)).read();
}

}  // namespace

TorchValue parse_torch_pt(std::span<const std::byte> bytes, const fs::path& path) {
  return parse(bytes, path, nullptr);
}

TorchValue read_torch_pt(const fs::path& path) {
  const std::shared_ptr<const MappedFile> file = MappedFile::open(path);
  return parse(file->bytes(), path, file);
}

}  // namespace dlm
