// Importance of the columns of each weight matrix: what quantizers weigh their errors by. Both
// published file formats: the GGUF form and the older .dat form.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "support/file.h"

namespace dlm {

// Of one weight "blk.3.attn_q.weight": sums of the squares of its inputs. Stacked experts have one
// line of sums and one count each; all others have one.
struct ImatrixEntry {
  int64_t columns = 0;
  std::vector<float> sums;      // [matrices, columns]
  std::vector<int64_t> counts;  // [matrices] tokens that went through

  bool operator==(const ImatrixEntry&) const = default;
};

struct Imatrix {
  std::string dataset;  // a label, never a path
  int64_t chunk_size = 512;
  int64_t chunk_count = 0;
  std::map<std::string, ImatrixEntry> entries;  // by the weight's name in the GGUF file

  // sums / counts, f32 [matrices, columns]; ones where nothing was counted. Empty: no entry.
  std::vector<float> importance(const std::string& weight) const;
};

// Either form is recognised by its first bytes. Throws Error(kIo or kFormat).
Imatrix read_imatrix(const fs::path& path);
// The same over bytes in memory; `path` is for messages.
Imatrix parse_imatrix(std::span<const std::byte> bytes, const fs::path& path);
// Atomic; the same entries give the same bytes.
void write_imatrix_gguf(const fs::path& path, const Imatrix& imatrix);
void write_imatrix_dat(const fs::path& path, const Imatrix& imatrix);

}  // namespace dlm
