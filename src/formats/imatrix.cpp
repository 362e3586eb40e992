#include "formats/imatrix.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "formats/gguf.h"
#include "formats/imatrix_dat.h"
#include "support/error.h"

namespace dlm {

namespace {

constexpr std::string_view kSums = ".in_sum2";
constexpr std::string_view kCounts = ".counts";

[[noreturn]] void refuse(const fs::path& path, const std::string& what) {
  throw Error(ErrorKind::kFormat, "importance matrix: " + what,
              "the file is damaged or no importance matrix: make it again", {path.string()});
}

int64_t num_elements(const GgufTensor& tensor) {
  return static_cast<int64_t>(tensor.bytes.size() / sizeof(float));
}

float float_at(const GgufTensor& tensor, int64_t i) {
  float value;
  std::memcpy(&value, tensor.bytes.data() + static_cast<size_t>(i) * sizeof(float), sizeof(value));
  return value;
}

// The matrices of one weight. Files leave out a last dimension of one.
ImatrixEntry read_entry(const GgufTensor& sums, const GgufTensor* counts, const std::string& weight,
                        const fs::path& path) {
  if (counts == nullptr) refuse(path, "\"" + weight + "\" has sums and no counts");
  if (sums.type != GgmlType::kF32 || counts->type != GgmlType::kF32) {
    refuse(path, "the sums and counts of \"" + weight + "\" are not F32");
  }
  ImatrixEntry entry;
  entry.columns = sums.shape.empty() ? 1 : sums.shape.back();
  const int64_t total = num_elements(sums), matrices = num_elements(*counts);
  // No sum of the file is read twice, and each count stands for at least one column.
  if (entry.columns < 1 || matrices < 1 || total % entry.columns != 0 ||
      total / entry.columns != matrices) {
    refuse(path, "\"" + weight + "\" has " + std::to_string(matrices) + " counts for " +
                     std::to_string(total) + " sums in lines of " + std::to_string(entry.columns));
  }
  entry.sums.resize(static_cast<size_t>(total));
  std::memcpy(entry.sums.data(), sums.bytes.data(), entry.sums.size() * sizeof(float));
  for (int64_t m = 0; m < matrices; ++m) {
    const float count = float_at(*counts, m);
    if (!(count >= 0 && count <= 0x1p53f)) {
      refuse(path, "a count of \"" + weight + "\" is not a number of tokens");
    }
    entry.counts.push_back(static_cast<int64_t>(std::llround(static_cast<double>(count))));
  }
  return entry;
}

Imatrix parse_gguf(std::span<const std::byte> bytes, const fs::path& path) {
  const GgufFile file = GgufFile::parse(bytes, path);
  if (file.text("general.type", "imatrix") != "imatrix") {
    refuse(path, "the file holds a " + file.text("general.type"));
  }
  Imatrix imatrix;
  imatrix.chunk_count = file.integer("imatrix.chunk_count");
  imatrix.chunk_size = file.integer("imatrix.chunk_size");
  const GgufValue* datasets = file.find("imatrix.datasets");
  const GgufArray* list = datasets == nullptr ? nullptr : std::get_if<GgufArray>(datasets);
  const auto* names = list == nullptr ? nullptr : std::get_if<std::vector<std::string>>(list);
  if (names == nullptr) refuse(path, "imatrix.datasets is not a list of texts");
  if (!names->empty()) imatrix.dataset = names->front();
  for (const GgufTensor& tensor : file.tensors()) {
    if (!tensor.name.ends_with(kSums)) continue;
    const std::string weight = tensor.name.substr(0, tensor.name.size() - kSums.size());
    imatrix.entries.emplace(
        weight, read_entry(tensor, file.find_tensor(weight + std::string(kCounts)), weight, path));
  }
  return imatrix;
}

// What both forms must hold.
void check_entries(const Imatrix& imatrix, const fs::path& path) {
  if (imatrix.entries.empty()) refuse(path, "it holds no sums");
  if (imatrix.chunk_size < 1 || imatrix.chunk_count < 0) {
    refuse(path, "its chunks have no size or a negative number");
  }
  for (const auto& [weight, entry] : imatrix.entries) {
    for (const float sum : entry.sums) {
      if (!(sum >= 0) || std::isinf(sum)) {
        refuse(path, "a sum of \"" + weight + "\" is negative or not finite");
      }
    }
  }
}

}  // namespace

std::vector<float> Imatrix::importance(const std::string& weight) const {
  const auto found = entries.find(weight);
  if (found == entries.end()) return {};
  const ImatrixEntry& entry = found->second;
  std::vector<float> result(entry.sums.size(), 1.0f);
  for (size_t i = 0; i < result.size(); ++i) {
    const int64_t count = entry.counts[i / static_cast<size_t>(entry.columns)];
    if (count > 0) result[i] = entry.sums[i] / static_cast<float>(count);
  }
  return result;
}

Imatrix parse_imatrix(std::span<const std::byte> bytes, const fs::path& path) {
  constexpr std::string_view kMagic = "GGUF";
  const bool is_gguf =
      bytes.size() >= kMagic.size() && std::memcmp(bytes.data(), kMagic.data(), kMagic.size()) == 0;
  Imatrix imatrix = is_gguf ? parse_gguf(bytes, path) : parse_imatrix_dat(bytes, path);
  check_entries(imatrix, path);
  return imatrix;
}

Imatrix read_imatrix(const fs::path& path) {
  return parse_imatrix(MappedFile::open(path)->bytes(), path);
}

void write_imatrix_gguf(const fs::path& path, const Imatrix& imatrix) {
  const std::vector<GgufField> fields = {
      {"general.type", std::string("imatrix")},
      {"imatrix.datasets", GgufArray(std::vector<std::string>{imatrix.dataset})},
      {"imatrix.chunk_count", static_cast<uint32_t>(imatrix.chunk_count)},
      {"imatrix.chunk_size", static_cast<uint32_t>(imatrix.chunk_size)},
  };
  std::vector<GgufWriter::TensorInfo> tensors;
  for (const auto& [weight, entry] : imatrix.entries) {
    const int64_t matrices = static_cast<int64_t>(entry.counts.size());
    check(entry.sums.size() == static_cast<size_t>(matrices * entry.columns),
          "importance matrix: sums are not matrices times columns");
    const bool is_stack = matrices > 1;
    tensors.push_back({weight + std::string(kSums), GgmlType::kF32,
                       is_stack ? std::vector<int64_t>{matrices, entry.columns}
                                : std::vector<int64_t>{entry.columns}});
    tensors.push_back({weight + std::string(kCounts), GgmlType::kF32,
                       is_stack ? std::vector<int64_t>{matrices, 1} : std::vector<int64_t>{1}});
  }
  GgufWriter writer(path, fields, tensors);
  for (const auto& [weight, entry] : imatrix.entries) {
    writer.append(std::as_bytes(std::span(entry.sums)));
    const std::vector<float> counts(entry.counts.begin(), entry.counts.end());
    writer.append(std::as_bytes(std::span(counts)));
  }
  writer.finish();
}

}  // namespace dlm
