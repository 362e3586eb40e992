// Writing torch archives: the value as a pickle of protocol 2 without memo, tensors as calls of
// torch's own rebuild function on storages that lie beside it in the zip.
#include <bit>
#include <cstring>

#include "formats/safetensors.h"
#include "formats/torch_pt.h"
#include "formats/torch_pt_types.h"
#include "formats/zip_store.h"
#include "support/error.h"
#include "support/text.h"

namespace dlm {
namespace {

using namespace torch_pt;

class Pickler {
 public:
  std::string pickle(const TorchValue& value) {
    out_ = {kProto, '\x02'};
    put(value, 0);
    out_ += kStop;
    return std::move(out_);
  }
  const std::vector<const TorchTensor*>& storages() const { return storages_; }

 private:
  void put(const TorchValue& value, int depth) {
    check(depth < kMostDepth, "a training state is nested too deeply");
    std::visit([&](const auto& part) { put_part(part, depth); }, value.variant());
  }

  void put_part(std::monostate, int) { out_ += kNone; }
  void put_part(bool value, int) { out_ += value ? kNewTrue : kNewFalse; }
  void put_part(int64_t value, int) { put_int(value); }
  void put_part(const std::string& value, int) { put_text(value); }

  void put_part(double value, int) {
    out_ += kBinFloat;
    const auto bits = std::bit_cast<uint64_t>(value);
    for (int shift = 56; shift >= 0; shift -= 8) out_ += static_cast<char>(bits >> shift & 255);
  }

  void put_part(const TorchValue::List& list, int depth) {
    out_ += kEmptyList;
    if (list.empty()) return;
    out_ += kMark;
    for (const TorchValue& item : list) put(item, depth + 1);
    out_ += kAppends;
  }

  void put_part(const TorchValue::Dict& dict, int depth) {
    out_ += kEmptyDict;
    if (dict.empty()) return;
    out_ += kMark;
    for (const auto& [key, value] : dict) {
      put_text(key);
      put(value, depth + 1);
    }
    out_ += kSetItems;
  }

  // torch._utils._rebuild_tensor_v2(storage, offset, size, stride, requires_grad, backward_hooks),
  // with the storage given as the persistent id ("storage", class, key, device, number of
  // elements).
  void put_part(const TorchTensor& tensor, int) {
    const int64_t num_elements = check_size(tensor);
    std::string_view storage;
    for (const Storage& known : kStorages) {
      if (known.dtype == tensor.dtype) storage = known.torch_class;
    }
    check(!storage.empty(),
          "a tensor of a training state has a dtype that torch files do not hold");
    put_global(kRebuild);
    out_ += kMark;
    out_ += kMark;
    put_text("storage");
    put_global("torch\n" + std::string(storage) + "\n");
    put_text(std::to_string(storages_.size()));
    put_text("cpu");
    put_int(num_elements);
    out_ += kTuple;
    out_ += kBinPersId;
    put_int(0);
    put_int_tuple(tensor.shape);
    std::vector<int64_t> strides(tensor.shape.size(), 1);
    for (size_t i = strides.size(); i-- > 1;) {
      strides[i - 1] = strides[i] * std::max<int64_t>(tensor.shape[i], 1);
    }
    put_int_tuple(strides);
    out_ += kNewFalse;
    put_global(kOrderedDict);
    out_ += kEmptyTuple;
    out_ += kReduce;
    out_ += kTuple;
    out_ += kReduce;
    storages_.push_back(&tensor);
  }

  static int64_t check_size(const TorchTensor& tensor) {
    const auto element = safetensors_dtype_size(tensor.dtype);
    check(element.has_value(), "a tensor of a training state has an unknown dtype");
    int64_t count = 1;
    for (int64_t dimension : tensor.shape) {
      check(dimension >= 0 && !__builtin_mul_overflow(count, dimension, &count),
            "a tensor of a training state has an impossible shape");
    }
    uint64_t size = 0;
    check(!__builtin_mul_overflow(static_cast<uint64_t>(count), *element, &size) &&
              size == tensor.bytes.size(),
          "bytes and shape of a tensor of a training state do not agree");
    return count;
  }

  void put_bytes(const void* data, size_t size) {
    out_.append(static_cast<const char*>(data), size);
  }

  void put_int(int64_t value) {
    if (value == static_cast<int32_t>(value)) {
      const auto small = static_cast<int32_t>(value);
      out_ += kBinInt;
      put_bytes(&small, sizeof small);
    } else {
      out_ += kLong1;
      out_ += '\x08';
      put_bytes(&value, sizeof value);
    }
  }

  void put_int_tuple(const std::vector<int64_t>& values) {
    if (values.empty()) {
      out_ += kEmptyTuple;
      return;
    }
    out_ += kMark;
    for (int64_t value : values) put_int(value);
    out_ += kTuple;
  }

  void put_text(std::string_view text) {
    check(!find_utf8_fault(text) && text.size() < 0x80000000,
          "a text of a training state is not UTF-8 or too long");
    const auto size = static_cast<uint32_t>(text.size());
    out_ += kBinUnicode;
    put_bytes(&size, sizeof size);
    out_ += text;
  }

  void put_global(std::string_view name) {
    out_ += kGlobal;
    out_ += name;
  }

  std::string out_;
  std::vector<const TorchTensor*> storages_;
};

}  // namespace

void write_torch_pt(const fs::path& path, const TorchValue& value) {
  Pickler pickler;
  const std::string pickle = pickler.pickle(value);
  ZipStoreWriter zip(path);
  const std::string folder(kFolder);
  zip.add(folder + "data.pkl", pickle);
  zip.add(folder + "byteorder", "little");
  for (size_t i = 0; i < pickler.storages().size(); ++i) {
    zip.add(folder + "data/" + std::to_string(i), pickler.storages()[i]->bytes);
  }
  zip.add(folder + "version", "3\n");
  zip.finish();
}

}  // namespace dlm
