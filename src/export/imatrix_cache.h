// The importance matrix of an export folder: imatrix.dat and imatrix.gguf for other programs, and
// beside them a small record of what they were made from, by which the next export knows whether
// they still hold.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "data/chat_format.h"
#include "export/imatrix_collector.h"
#include "formats/imatrix.h"
#include "support/file.h"

namespace dlm {

inline constexpr const char* kImatrixDat = "imatrix.dat";
inline constexpr const char* kImatrixGguf = "imatrix.gguf";
inline constexpr const char* kImatrixRecord = "imatrix.meta.json";

// What a matrix follows from. Digests are hex, "" where there is nothing.
struct ImatrixSource {
  std::string base_sha256;
  std::string base_weights;    // how the base was held: full, int8, nf4
  std::string adapter_sha256;  // of the adapter that is merged, else ""
  std::string adapter_weight;  // its factor as text; "" without one
  std::string tokenizer_sha256;
  std::string rows_sha256;      // the document's rows as tokens
  std::string instruction_set;  // sums differ between them
};

// SHA-256 over source, options but for the label, and the version of the collector.
std::string imatrix_key(const ImatrixSource& source, const ImatrixOptions& options);

// The folder's matrix when it was made under this key; none when it is absent, of another key, or
// damaged, which costs no more than making it again.
std::optional<ImatrixCollection> cached_imatrix(const fs::path& folder, const std::string& key);

// Writes the three files, the record last; the collection has a matrix. Throws Error(kIo).
void store_imatrix(const fs::path& folder, const ImatrixCollection& collection,
                   const std::string& key);

}  // namespace dlm
