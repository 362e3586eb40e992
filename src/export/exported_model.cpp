#include "export/exported_model.h"

#include <algorithm>
#include <atomic>

#include "formats/ggml_blocks.h"
#include "support/error.h"
#include "support/hash.h"

namespace dlm {

void check_rows_finite(GgmlType type, std::span<const std::byte> bytes, int64_t cols,
                       const std::string& tensor, const fs::path& file, Device& device) {
  const auto row_bytes = static_cast<size_t>(ggml_row_bytes(type, cols));
  if (row_bytes == 0) return;
  const auto rows = static_cast<int64_t>(bytes.size() / row_bytes);
  constexpr int64_t kRows = 256;
  std::atomic<bool> is_finite = true;
  device.pool().run((rows + kRows - 1) / kRows, [&](int64_t task, int) {
    for (int64_t r = task * kRows; r < std::min(rows, (task + 1) * kRows); ++r) {
      const std::byte* row = bytes.data() + static_cast<size_t>(r) * row_bytes;
      if (!ggml_row_is_finite(type, row, cols)) is_finite = false;
    }
  });
  if (is_finite) return;
  throw Error(
      ErrorKind::kFormat, "the tensor \"" + tensor + "\" holds a number that is not finite",
      "the file, or the base that it was made from, is damaged: copy the base again, then export",
      {file.string(), 0, 0});
}

std::vector<ProvedFile> proved_files(const fs::path& folder,
                                     const std::vector<std::string>& paths) {
  std::vector<ProvedFile> files;
  for (const std::string& path : paths) files.push_back({path, sha256_file_hex(folder / path)});
  return files;
}

}  // namespace dlm
