// Asking for what the AMX products read next; private to them and compiled with their flags.
#pragma once

#include <immintrin.h>

#include <algorithm>
#include <cstdint>

#include "engine/cpu/amx_pack.h"
#include "engine/cpu/gemm.h"

namespace dlm::amx {

// Asks for the lines of a later panel of B, a share with each block of lines of C, so that they are
// near when they are packed or multiplied.
class PanelPrefetch {
 public:
  // Of panels of k in [k, k + depth).
  PanelPrefetch(const GemmShape& s, const BF16* b, int64_t k, int64_t depth) {
    int64_t pieces = 1;  // of 64 bytes, of each line
    if (s.b_is_packed) {
      b_ = b + k * kPanel;
      col_ = steps_of(s.k) * kDepth;
      ld_ = kDepth;
      num_lines_ = steps_of(depth) * kPanel;
    } else if (s.trans_b) {
      b_ = b + k;
      col_ = ld_ = s.ldb;
      num_lines_ = kPanel;
      pieces = steps_of(depth);
    } else {
      b_ = b + k * s.ldb;
      ld_ = s.ldb;
      num_lines_ = depth;
    }
    per_block_ = (num_lines_ * pieces * 2 * kLines + s.m - 1) / s.m;
    all_ = num_lines_ * pieces;
  }
  void start(int64_t col) {
    from_ = b_ + col * col_;
    line_ = 0;
    left_ = all_;
  }
  void next() {
    for (int64_t i = std::min(per_block_, left_); i > 0; --i, --left_) {
      _mm_prefetch(reinterpret_cast<const char*>(from_ + line_ * ld_), _MM_HINT_T1);
      if (++line_ < num_lines_) continue;
      line_ = 0;
      from_ += kDepth;
    }
  }

 private:
  const BF16* b_;
  int64_t ld_;
  int64_t col_ = 1;  // numbers from a column to the next
  int64_t num_lines_;
  int64_t all_;
  int64_t per_block_;
  const BF16* from_ = nullptr;
  int64_t line_ = 0;
  int64_t left_ = 0;
};

// Asks for a tile of A some steps before it is multiplied. The compiler shall not see through the
// places: else it keeps a pointer for each line, of which most lie in memory.
inline constexpr int64_t kAhead = 4;
class LinePrefetch {
 public:
  explicit LinePrefetch(int64_t line_bytes)
      : one_(line_bytes), two_(2 * line_bytes), three_(3 * line_bytes) {
    asm("" : "+r"(one_), "+r"(two_), "+r"(three_));
  }
  void fetch(const BF16* tile) const {
    const auto* line = reinterpret_cast<const char*>(tile);
    for (int64_t i = 0; i < kLines; i += 4, line += 2 * two_) {
      asm("" : "+r"(line));
      _mm_prefetch(line, _MM_HINT_T0);
      _mm_prefetch(line + one_, _MM_HINT_T0);
      _mm_prefetch(line + two_, _MM_HINT_T0);
      _mm_prefetch(line + three_, _MM_HINT_T0);
    }
  }

 private:
  int64_t one_, two_, three_;
};

}  // namespace dlm::amx
