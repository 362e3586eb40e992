#include "engine/cpu/amx_gemm.h"

#include <immintrin.h>

#include <algorithm>
#include <cstring>

#include "engine/cpu/amx_pack.h"
#include "engine/cpu/amx_prefetch.h"

namespace dlm {

namespace {

using namespace amx;

constexpr int64_t kInner = 1024;            // k that is packed at a time
constexpr int64_t kWholePack = 640 * 1024;  // numbers of B that are packed at once, 1.25 MiB
constexpr int64_t kFarApart = 16384;        // numbers between lines that are packed for it

// Eight tiles of 16 lines of 64 bytes: 0 to 3 sum C, 4 and 5 hold A, 6 and 7 hold B.
struct alignas(64) TileConfig {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t line_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t lines[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

// Lines of A that are multiplied: where they lie, or packed when they must be transposed or filled
// up with zeros, or lie so far apart that each is on a page of its own.
struct Lines {
  const BF16* data = nullptr;
  int64_t line_bytes = 0;
  int64_t block = 0;  // numbers from 16 lines to the next
  int64_t step = 0;   // numbers from 32 k to the next
  int64_t num_steps = 0;
};

Lines packed_lines(const BF16* data, int64_t num_steps) {
  return {data, kDepth * static_cast<int64_t>(sizeof(BF16)), num_steps * kTile, kTile, num_steps};
}

Lines lines_of_a(const GemmShape& s, const BF16* a, int64_t depth, const PairOrder& order,
                 Memory<BF16>& memory) {
  const int64_t steps = steps_of(depth);
  const bool fits = s.m % kLines == 0 && depth % kDepth == 0;
  if (!s.trans_a && fits && s.lda < kFarApart) {
    return {a, s.lda * static_cast<int64_t>(sizeof(BF16)), kLines * s.lda, kDepth, steps};
  }
  const int64_t blocks = (s.m + kLines - 1) / kLines;
  BF16* packed = memory.take(blocks * steps * kTile);
  for (int64_t i = 0; i < blocks; ++i) {
    for (int64_t k = 0; k < steps; ++k) {
      BF16* to = packed + (i * steps + k) * kTile;
      const int64_t count = s.m - i * kLines;
      const int64_t rest = depth - k * kDepth;
      if (s.trans_a) {
        pack_lines_transposed(a + k * kDepth * s.lda + i * kLines, s.lda, count, rest, order, to);
      } else {
        pack_lines(a + i * kLines * s.lda + k * kDepth, s.lda, count, rest, to);
      }
    }
  }
  return packed_lines(packed, steps);
}

// U as lines of 4 * rank bf16 numbers: rounded, rest, rounded, rest.
Lines lines_of_u(const LowRankTerm& term, int64_t m, Memory<BF16>& memory) {
  const int64_t steps = steps_of(4 * term.rank);
  const int64_t blocks = (m + kLines - 1) / kLines;
  BF16* packed = memory.take((blocks * kLines + 1) * steps * kDepth);
  BF16* line = packed + blocks * steps * kTile;
  std::memset(static_cast<void*>(packed), 0,
              static_cast<size_t>((blocks * kLines + 1) * steps * kDepth) * sizeof(BF16));
  for (int64_t i = 0; i < m; ++i) {
    split(term.u + i * term.ldu, term.rank, line, line + term.rank);
    std::copy_n(line, 2 * term.rank, line + 2 * term.rank);
    BF16* to = packed + i / kLines * steps * kTile + i % kLines * kDepth;
    for (int64_t step = 0; step < steps; ++step) {
      std::copy_n(line + step * kDepth, kDepth, to + step * kTile);
    }
  }
  return packed_lines(packed, steps);
}

// Columns [0, count) of V, at most a panel: rounded, rounded, rest, rest, so that with U's lines
// all four products are summed.
void pack_columns_of_v(const LowRankTerm& term, int64_t col, int64_t count, const PairOrder& order,
                       Memory<BF16>& memory, BF16* to) {
  const int64_t steps = steps_of(4 * term.rank);
  BF16* lines = memory.take(steps * kDepth * kPanel);
  std::memset(static_cast<void*>(lines), 0, static_cast<size_t>(steps * kDepth * kPanel) * 2);
  for (int64_t r = 0; r < term.rank; ++r) {
    BF16* rounded = lines + r * kPanel;
    BF16* rest = lines + (2 * term.rank + r) * kPanel;
    split(term.v + r * term.ldv + col, std::min(count, kPanel), rounded, rest);
    std::memcpy(rounded + term.rank * kPanel, rounded, kPanel * sizeof(BF16));
    std::memcpy(rest + term.rank * kPanel, rest, kPanel * sizeof(BF16));
  }
  for (int64_t step = 0; step < steps; ++step) {
    pack_columns(lines + step * kDepth * kPanel, kPanel, kPanel, kDepth, order,
                 to + step * 2 * kTile);
  }
}

// Where sums start from and where they go: f32 in both, or bf16 at the end.
struct Ends {
  const float* from = nullptr;
  int64_t ld_from = 0;
  float* wide = nullptr;
  BF16* narrow = nullptr;
  int64_t ld_to = 0;
};

// Sums of two by two tiles of C, or of fewer at its edges.
class Sums {
 public:
  Sums(int64_t m, int64_t n, const Ends& ends) : m_(m), n_(n), ends_(ends) {}

  void start(int64_t line, int64_t col) {
    if (ends_.from == nullptr) {
      _tile_zero(0);
      _tile_zero(1);
      _tile_zero(2);
      _tile_zero(3);
      return;
    }
    const float* c = ends_.from + line * ends_.ld_from + col;
    int64_t ld = ends_.ld_from;
    if (!is_whole(line, col)) {
      read_edges(c, line, col);
      c = block_;
      ld = kPanel;
    }
    const int64_t bytes = ld * static_cast<int64_t>(sizeof(float));
    _tile_loadd(0, c, bytes);
    _tile_loadd(1, c + kLines, bytes);
    _tile_loadd(2, c + kLines * ld, bytes);
    _tile_loadd(3, c + kLines * ld + kLines, bytes);
  }

  void add(const Lines& a, const BF16* panel, int64_t line, int64_t col) const {
    const bool two_lines = m_ - line > kLines;
    const bool two_cols = n_ - col > kLines;
    const BF16* a0 = a.data + line / kLines * a.block;
    const BF16* a1 = a0 + a.block;
    if (two_lines && two_cols) {
      const int64_t line_bytes = a.line_bytes;
      const LinePrefetch ahead(line_bytes);
      const BF16* end = panel + a.num_steps * 2 * kTile;
      for (; panel != end; panel += 2 * kTile, a0 += a.step, a1 += a.step) {
        ahead.fetch(a0 + kAhead * a.step);
        ahead.fetch(a1 + kAhead * a.step);
        _tile_loadd(6, panel, 64);
        _tile_loadd(4, a0, line_bytes);
        _tile_dpbf16ps(0, 4, 6);
        _tile_loadd(7, panel + kTile, 64);
        _tile_dpbf16ps(1, 4, 7);
        _tile_loadd(5, a1, line_bytes);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
      }
      return;
    }
    for (int64_t k = 0; k < a.num_steps; ++k) {
      _tile_loadd(6, panel + k * 2 * kTile, 64);
      _tile_loadd(4, a0 + k * a.step, a.line_bytes);
      _tile_dpbf16ps(0, 4, 6);
      if (two_lines) {
        _tile_loadd(5, a1 + k * a.step, a.line_bytes);
        _tile_dpbf16ps(2, 5, 6);
      }
      if (!two_cols) continue;
      _tile_loadd(7, panel + k * 2 * kTile + kTile, 64);
      _tile_dpbf16ps(1, 4, 7);
      if (two_lines) _tile_dpbf16ps(3, 5, 7);
    }
  }

  void finish(int64_t line, int64_t col) {
    const bool direct = ends_.wide != nullptr && is_whole(line, col);
    float* c = direct ? ends_.wide + line * ends_.ld_to + col : block_;
    const int64_t ld = direct ? ends_.ld_to : kPanel;
    const int64_t bytes = ld * static_cast<int64_t>(sizeof(float));
    _tile_stored(0, c, bytes);
    _tile_stored(1, c + kLines, bytes);
    _tile_stored(2, c + kLines * ld, bytes);
    _tile_stored(3, c + kLines * ld + kLines, bytes);
    if (!direct) write_block(line, col);
  }

 private:
  bool is_whole(int64_t line, int64_t col) const {
    return line + 2 * kLines <= m_ && col + kPanel <= n_;
  }
  int64_t block_lines(int64_t line) const { return std::min(2 * kLines, m_ - line); }
  int64_t block_cols(int64_t col) const { return std::min(kPanel, n_ - col); }

  void read_edges(const float* from, int64_t line, int64_t col) {
    std::memset(block_, 0, sizeof block_);
    for (int64_t i = 0; i < block_lines(line); ++i) {
      std::memcpy(block_ + i * kPanel, from + i * ends_.ld_from,
                  static_cast<size_t>(block_cols(col)) * sizeof(float));
    }
  }
  void write_block(int64_t line, int64_t col) const {
    const int64_t count = block_cols(col);
    const int64_t lines = block_lines(line);
    const int64_t ld = ends_.ld_to;
    const float* from = block_;
    if (ends_.wide != nullptr) {
      float* to = ends_.wide + line * ld + col;
      for (int64_t i = 0; i < lines; ++i, from += kPanel, to += ld) {
        std::memcpy(to, from, static_cast<size_t>(count) * sizeof(float));
      }
      return;
    }
    const auto mask = count == kPanel ? ~__mmask32{0} : (__mmask32{1} << count) - 1;
    BF16* to = ends_.narrow + line * ld + col;
    for (int64_t i = 0; i < lines; ++i, from += kPanel, to += ld) {
      const __m512bh both =
          _mm512_cvtne2ps_pbh(_mm512_load_ps(from + kLines), _mm512_load_ps(from));
      _mm512_mask_storeu_epi16(to, mask, reinterpret_cast<__m512i>(both));
    }
  }

  int64_t m_;
  int64_t n_;
  Ends ends_;
  alignas(64) float block_[2 * kLines * kPanel];
};

// Columns [first, first + cols) of B, k in [k, k + depth), panel after panel.
void pack(const GemmShape& s, const BF16* b, int64_t k, int64_t first, int64_t cols, int64_t depth,
          const PairOrder& order, BF16* panel) {
  const int64_t steps = steps_of(depth);
  for (int64_t step = 0; step < steps; ++step) {
    const int64_t at = k + step * kDepth;
    const int64_t rest = depth - step * kDepth;
    for (int64_t col = first; col < first + cols; col += kPanel) {
      BF16* to = panel + ((col - first) / kPanel * steps + step) * 2 * kTile;
      if (s.trans_b) {
        pack_columns_transposed(b + col * s.ldb + at, s.ldb, s.n - col, rest, to);
      } else {
        pack_columns(b + at * s.ldb + col, s.ldb, s.n - col, rest, order, to);
      }
    }
  }
}

}  // namespace

void amx_pack(const GemmShape& s, const BF16* b, BF16* to) {
  static const PairOrder order;
  pack(s, b, 0, 0, s.n, s.k, order, to);
}

void amx_product(const AmxProduct& p) {
  static const TileConfig config;
  static const PairOrder order;
  thread_local Memory<BF16> memory_of_a;
  thread_local Memory<BF16> memory_of_u;
  thread_local Memory<BF16> memory_of_v;
  thread_local Memory<BF16> memory_of_panel;
  thread_local Memory<float> memory_of_sums;
  const GemmShape& s = p.shape;
  // B stored [k, n] is packed whole, line by line, where it can be: long sums take smaller passes.
  const bool long_passes = s.b_is_packed || s.trans_b || s.k <= kInner;
  const int64_t reach = long_passes ? kInner : kInner / 2;
  const int64_t passes = std::max<int64_t>(1, (s.k + reach - 1) / reach);
  const int64_t inner = std::max<int64_t>(1, steps_of((s.k + passes - 1) / passes)) * kDepth;
  Lines u;
  if (p.low_rank.rank > 0) u = lines_of_u(p.low_rank, s.m, memory_of_u);
  const bool whole = !s.b_is_packed && !s.trans_b && inner * s.n <= kWholePack;
  const int64_t panels = s.b_is_packed ? 0 : whole ? (s.n + kPanel - 1) / kPanel : 1;
  BF16* all = memory_of_panel.take((panels * inner / kDepth + u.num_steps) * 2 * kTile);
  _tile_loadconfig(&config);
  Ends ends;
  ends.from = p.addend;
  ends.ld_from = p.ld_addend;
  for (int64_t k = 0; k == 0 || k < s.k; k += inner) {
    const bool last = k + inner >= s.k;
    ends.ld_to = s.ldc;
    ends.wide = s.output == DType::kF32 ? static_cast<float*>(p.c) : nullptr;
    ends.narrow = s.output == DType::kF32 ? nullptr : static_cast<BF16*>(p.c);
    if (!last && ends.wide == nullptr) {
      // Sums that take more passes wait in f32.
      ends.wide = memory_of_sums.take(s.m * s.n);
      ends.ld_to = s.n;
    }
    const int64_t depth = std::min(inner, s.k - k);
    const Lines lines = lines_of_a(s, p.a + k * (s.trans_a ? s.lda : 1), depth, order, memory_of_a);
    Sums sums(s.m, s.n, ends);
    PanelPrefetch later(s, p.b, k, depth);
    if (whole) pack(s, p.b, k, 0, s.n, depth, order, all);
    for (int64_t col = 0; col < s.n; col += kPanel) {
      const BF16* panel = all + (whole ? col / kPanel * lines.num_steps * 2 * kTile : 0);
      if (s.b_is_packed) {
        panel = p.b + col * steps_of(s.k) * kDepth + k * kPanel;
      } else if (!whole) {
        pack(s, p.b, k, col, kPanel, depth, order, all);
      }
      BF16* panel_of_v = all + panels * lines.num_steps * 2 * kTile;
      const bool adds_low_rank = last && u.num_steps > 0;
      if (adds_low_rank) {
        pack_columns_of_v(p.low_rank, col, s.n - col, order, memory_of_v, panel_of_v);
      }
      const bool has_later = !whole && col + 2 * kPanel <= s.n;
      if (has_later) later.start(col + kPanel);
      for (int64_t line = 0; line < s.m; line += 2 * kLines) {
        if (has_later) later.next();
        sums.start(line, col);
        sums.add(lines, panel, line, col);
        if (adds_low_rank) sums.add(u, panel_of_v, line, col);
        sums.finish(line, col);
      }
    }
    ends.from = ends.wide;
    ends.ld_from = ends.ld_to;
  }
  _tile_release();
}

}  // namespace dlm
