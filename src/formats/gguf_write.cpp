// Writing GGUF: the header is built at once, since it is small beside the data, and the data
// follows in pieces. Alignment is always the default, so its key is never written.
#include <algorithm>
#include <set>
#include <type_traits>

#include "formats/gguf.h"
#include "formats/gguf_value_type.h"
#include "support/error.h"
#include "support/hash.h"

namespace dlm {
namespace {

uint64_t padding_after(uint64_t size) {
  return (kGgufDefaultAlignment - size % kGgufDefaultAlignment) % kGgufDefaultAlignment;
}

template <class T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

void put_text(std::string& out, std::string_view text) {
  put(out, uint64_t{text.size()});
  out += text;
}

template <class T>
void put_value(std::string& out, const T& value) {
  if constexpr (std::is_same_v<T, std::string>) {
    put_text(out, value);
  } else if constexpr (std::is_same_v<T, bool>) {
    put(out, static_cast<uint8_t>(value));
  } else {
    put(out, value);
  }
}

void put_array(std::string& out, const GgufArray& array) {
  std::visit(
      [&](const auto& list) {
        using T = typename std::decay_t<decltype(list)>::value_type;
        put(out, static_cast<uint32_t>(gguf_value_type<T>()));
        put(out, uint64_t{list.size()});
        for (const T& value : list) put_value<T>(out, value);
      },
      array);
}

bool is_left_out(const GgufValue& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return text->empty();
  const auto* array = std::get_if<GgufArray>(&value);
  return array != nullptr && std::visit([](const auto& list) { return list.empty(); }, *array);
}

void put_field(std::string& out, const GgufField& field) {
  put_text(out, field.key);
  std::visit(
      [&](const auto& value) {
        using T = std::decay_t<decltype(value)>;
        if constexpr (std::is_same_v<T, GgufArray>) {
          put(out, static_cast<uint32_t>(GgufValueType::kArray));
          put_array(out, value);
        } else {
          put(out, static_cast<uint32_t>(gguf_value_type<T>()));
          put_value<T>(out, value);
        }
      },
      field.value);
}

uint64_t data_bytes(const GgufWriter::TensorInfo& info) {
  check(!info.shape.empty() && info.shape.size() <= kGgufMostDimensions,
        "a GGUF tensor to write has an impossible number of dimensions");
  const GgmlTypeTraits& traits = ggml_traits(info.type);
  check(info.shape.back() % traits.block_elements == 0,
        "a GGUF tensor to write has rows of no whole number of blocks");
  uint64_t blocks = static_cast<uint64_t>(info.shape.back() / traits.block_elements);
  bool fits = true;
  for (size_t i = 0; i < info.shape.size(); ++i) {
    check(info.shape[i] >= 0, "a GGUF tensor to write has a negative dimension");
    const bool is_row = i + 1 == info.shape.size();
    if (!is_row) {
      fits &= !__builtin_mul_overflow(blocks, static_cast<uint64_t>(info.shape[i]), &blocks);
    }
  }
  uint64_t size = 0;
  fits &= !__builtin_mul_overflow(blocks, static_cast<uint64_t>(traits.block_bytes), &size);
  check(fits, "a GGUF tensor to write has an impossible shape");
  return size;
}

// What comes before the data, and how long the data of each tensor is.
struct Layout {
  std::string header;
  std::vector<uint64_t> sizes;  // without padding
  uint64_t file_bytes = 0;
};

Layout layout_of(const std::vector<GgufField>& fields,
                 const std::vector<GgufWriter::TensorInfo>& tensors) {
  std::string records;
  std::set<std::string_view> seen;
  uint64_t num_fields = 0;
  for (const GgufField& field : fields) {
    check(!field.key.empty() && field.key.size() <= kGgufMostKeyBytes &&
              field.key != kGgufAlignmentKey && seen.insert(field.key).second,
          "a GGUF key to write is empty, too long, reserved or there twice");
    if (is_left_out(field.value)) continue;
    put_field(records, field);
    ++num_fields;
  }
  seen.clear();
  uint64_t offset = 0;
  Layout layout;
  for (const GgufWriter::TensorInfo& info : tensors) {
    check(!info.name.empty() && info.name.size() <= kGgufMostNameBytes &&
              seen.insert(info.name).second,
          "a GGUF tensor to write has no name, one that is too long, or another's");
    const uint64_t size = data_bytes(info);
    put_text(records, info.name);
    put(records, static_cast<uint32_t>(info.shape.size()));
    for (auto i = info.shape.rbegin(); i != info.shape.rend(); ++i) put(records, *i);
    put(records, static_cast<uint32_t>(info.type));
    put(records, offset);
    layout.sizes.push_back(size);
    check(!__builtin_add_overflow(offset, size + padding_after(size), &offset),
          "the GGUF tensors to write are too large");
  }
  std::string& header = layout.header;
  header.assign(kGgufMagic, sizeof(kGgufMagic));
  put(header, kGgufVersion);
  put(header, uint64_t{tensors.size()});
  put(header, num_fields);
  header += records;
  header.append(padding_after(header.size()), '\0');
  layout.file_bytes = header.size() + offset;
  return layout;
}

}  // namespace

struct GgufWriter::State {
  explicit State(const fs::path& path) : file(path) {}

  void write(std::span<const std::byte> bytes) {
    file.write(bytes);
    hash.update(bytes);
  }
  void write(std::string_view bytes) { write(std::as_bytes(std::span(bytes))); }
  // Pads what is complete, and goes on to the next tensor that has data.
  void skip_complete() {
    while (at < sizes.size() && written == sizes[at]) {
      write(std::string(padding_after(sizes[at]), '\0'));
      written = 0;
      ++at;
    }
  }

  AtomicFile file;
  Sha256 hash;
  std::vector<uint64_t> sizes;  // of each tensor's data, without padding
  uint64_t file_bytes = 0;
  size_t at = 0;         // the tensor at hand
  uint64_t written = 0;  // of its data
};

GgufWriter::GgufWriter(const fs::path& path, const std::vector<GgufField>& fields,
                       std::vector<TensorInfo> tensors) {
  Layout layout = layout_of(fields, tensors);
  state_ = std::make_unique<State>(path);
  state_->sizes = std::move(layout.sizes);
  state_->file_bytes = layout.file_bytes;
  state_->write(layout.header);
  state_->skip_complete();
}

uint64_t GgufWriter::file_bytes(const std::vector<GgufField>& fields,
                                const std::vector<TensorInfo>& tensors) {
  return layout_of(fields, tensors).file_bytes;
}

GgufWriter::~GgufWriter() = default;

uint64_t GgufWriter::file_bytes() const {
  return state_->file_bytes;
}

void GgufWriter::append(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    check(state_->at < state_->sizes.size(), "more data than the GGUF tensors to write have");
    const uint64_t missing = state_->sizes[state_->at] - state_->written;
    const auto piece = bytes.first(std::min<uint64_t>(missing, bytes.size()));
    state_->write(piece);
    state_->written += piece.size();
    bytes = bytes.subspan(piece.size());
    state_->skip_complete();
  }
}

std::string GgufWriter::finish() {
  check(state_->at == state_->sizes.size(), "data of a GGUF tensor to write is missing");
  state_->file.commit();
  return state_->hash.hex();
}

}  // namespace dlm
