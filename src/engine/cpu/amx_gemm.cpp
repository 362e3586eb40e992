#include "engine/cpu/amx_gemm.h"

#include <immintrin.h>

#include <algorithm>
#include <cstring>
#include <memory>

namespace dlm {

namespace {

constexpr int64_t kLines = 16;              // lines of a tile
constexpr int64_t kPairs = 16;              // pairs of k in a line of 64 bytes
constexpr int64_t kDepth = 32;              // k of one tile
constexpr int64_t kPanel = 32;              // columns of B that are packed together: two tiles
constexpr int64_t kInner = 1024;            // k that is packed at a time: a panel of 64 KiB
constexpr int64_t kTile = kLines * kDepth;  // numbers of a tile of A or B

// Eight tiles of 16 lines of 64 bytes: 0 to 3 sum C, 4 and 5 hold A, 6 and 7 hold B.
struct alignas(64) TileConfig {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t line_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t lines[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

// A 16 x 16 matrix of 32-bit units, transposed.
void transpose(__m512i x[16]) {
  __m512i y[16];
  for (int i = 0; i < 16; i += 2) {
    y[i] = _mm512_unpacklo_epi32(x[i], x[i + 1]);
    y[i + 1] = _mm512_unpackhi_epi32(x[i], x[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    x[i] = _mm512_unpacklo_epi64(y[i], y[i + 2]);
    x[i + 1] = _mm512_unpackhi_epi64(y[i], y[i + 2]);
    x[i + 2] = _mm512_unpacklo_epi64(y[i + 1], y[i + 3]);
    x[i + 3] = _mm512_unpackhi_epi64(y[i + 1], y[i + 3]);
  }
  for (int i = 0; i < 4; ++i) {
    y[i] = _mm512_shuffle_i32x4(x[i], x[i + 4], 0x88);
    y[i + 4] = _mm512_shuffle_i32x4(x[i], x[i + 4], 0xdd);
    y[i + 8] = _mm512_shuffle_i32x4(x[i + 8], x[i + 12], 0x88);
    y[i + 12] = _mm512_shuffle_i32x4(x[i + 8], x[i + 12], 0xdd);
  }
  for (int i = 0; i < 4; ++i) {
    x[i] = _mm512_shuffle_i32x4(y[i], y[i + 8], 0x88);
    x[i + 4] = _mm512_shuffle_i32x4(y[i + 4], y[i + 12], 0x88);
    x[i + 8] = _mm512_shuffle_i32x4(y[i], y[i + 8], 0xdd);
    x[i + 12] = _mm512_shuffle_i32x4(y[i + 4], y[i + 12], 0xdd);
  }
}

// The first `count` numbers of a line of up to 32, zeros after them.
__m512i load_line(const BF16* from, int64_t count) {
  if (count >= 32) return _mm512_loadu_si512(from);
  if (count <= 0) return _mm512_setzero_si512();
  return _mm512_maskz_loadu_epi16((1U << count) - 1, from);
}

// Lines r0 and r1 of 32 numbers as pairs (r0[i], r1[i]): of the lower and of the upper 16.
struct PairOrder {
  __m512i lower;
  __m512i upper;
  PairOrder() {
    alignas(64) uint16_t order[2][32];
    for (uint16_t i = 0; i < 16; ++i) {
      order[0][2 * i] = i;
      order[0][2 * i + 1] = static_cast<uint16_t>(i + 32);
      order[1][2 * i] = static_cast<uint16_t>(i + 16);
      order[1][2 * i + 1] = static_cast<uint16_t>(i + 48);
    }
    lower = _mm512_load_si512(order[0]);
    upper = _mm512_load_si512(order[1]);
  }
};

// 16 lines of x[count, depth] (dense in k), for a tile of A.
void pack_lines(const BF16* x, int64_t ld, int64_t count, int64_t depth, BF16* to) {
  for (int64_t i = 0; i < kLines; ++i) {
    _mm512_store_si512(to + i * kDepth,
                       i < count ? load_line(x + i * ld, depth) : _mm512_setzero_si512());
  }
}

// The same from x stored [depth, count].
void pack_lines_transposed(const BF16* x, int64_t ld, int64_t count, int64_t depth,
                           const PairOrder& order, BF16* to) {
  __m512i pairs[kPairs];
  for (int64_t p = 0; p < kPairs; ++p) {
    const __m512i even = load_line(x + 2 * p * ld, 2 * p < depth ? std::min(count, kLines) : 0);
    const __m512i odd =
        load_line(x + (2 * p + 1) * ld, 2 * p + 1 < depth ? std::min(count, kLines) : 0);
    pairs[p] = _mm512_permutex2var_epi16(even, order.lower, odd);
  }
  transpose(pairs);
  for (int64_t i = 0; i < kLines; ++i) _mm512_store_si512(to + i * kDepth, pairs[i]);
}

// Columns [0, count) of B stored [n, k], k in [0, depth), as the two tiles of a panel's step.
void pack_columns_transposed(const BF16* b, int64_t ld, int64_t count, int64_t depth, BF16* to) {
  for (int64_t half = 0; half < kPanel; half += kLines) {
    __m512i lines[kLines];
    for (int64_t i = 0; i < kLines; ++i) {
      lines[i] = half + i < count ? load_line(b + (half + i) * ld, depth) : _mm512_setzero_si512();
    }
    transpose(lines);
    for (int64_t p = 0; p < kPairs; ++p) {
      _mm512_store_si512(to + half * kDepth + p * kDepth, lines[p]);
    }
  }
}

// The same from B stored [k, n].
void pack_columns(const BF16* b, int64_t ld, int64_t count, int64_t depth, const PairOrder& order,
                  BF16* to) {
  for (int64_t p = 0; p < kPairs; ++p) {
    const __m512i even = load_line(b + 2 * p * ld, 2 * p < depth ? count : 0);
    const __m512i odd = load_line(b + (2 * p + 1) * ld, 2 * p + 1 < depth ? count : 0);
    _mm512_store_si512(to + p * kDepth, _mm512_permutex2var_epi16(even, order.lower, odd));
    _mm512_store_si512(to + kTile + p * kDepth, _mm512_permutex2var_epi16(even, order.upper, odd));
  }
}

// Rounds to the nearest, ties to even; what is not a number stays so.
__m256i narrow(__m512 x) {
  const __m512i bits = _mm512_castps_si512(x);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i rounded = _mm512_srli_epi32(
      _mm512_add_epi32(_mm512_add_epi32(bits, odd), _mm512_set1_epi32(0x7fff)), 16);
  const __m512i quiet = _mm512_or_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(0x40));
  const __mmask16 is_nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
  return _mm512_cvtepi32_epi16(_mm512_mask_mov_epi32(rounded, is_nan, quiet));
}

// The same, of 16 numbers at a time, with what rounding left.
void split(const float* x, int64_t count, BF16* rounded, BF16* rest) {
  for (int64_t i = 0; i < count; i += kLines) {
    const auto mask = static_cast<__mmask16>((1U << std::min(kLines, count - i)) - 1);
    const __m512 exact = _mm512_maskz_loadu_ps(mask, x + i);
    const __m256i high = narrow(exact);
    const __m512 wide = _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(high), 16));
    _mm256_mask_storeu_epi16(rounded + i, mask, high);
    _mm256_mask_storeu_epi16(rest + i, mask, narrow(_mm512_sub_ps(exact, wide)));
  }
}

// Memory that a thread keeps for its products.
template <class T>
class Memory {
 public:
  T* take(int64_t count) {
    const auto needed = static_cast<size_t>(count) * sizeof(T);
    if (needed > size_) {
      bytes_ = allocate_aligned(needed);
      size_ = needed;
    }
    return reinterpret_cast<T*>(bytes_.get());
  }

 private:
  std::shared_ptr<std::byte> bytes_;
  size_t size_ = 0;
};

// Lines of A that are multiplied: where they lie, or packed when they must be transposed or filled
// up with zeros.
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

int64_t steps_of(int64_t depth) {
  return (depth + kDepth - 1) / kDepth;
}

Lines lines_of_a(const GemmShape& s, const BF16* a, int64_t depth, const PairOrder& order,
                 Memory<BF16>& memory) {
  const int64_t steps = steps_of(depth);
  if (!s.trans_a && s.m % kLines == 0 && depth % kDepth == 0) {
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
  BF16* packed = memory.take(blocks * steps * kTile + 2 * term.rank);
  BF16* rounded = packed + blocks * steps * kTile;
  BF16* rest = rounded + term.rank;
  std::memset(static_cast<void*>(packed), 0, static_cast<size_t>(blocks * steps * kTile) * 2);
  for (int64_t i = 0; i < m; ++i) {
    split(term.u + i * term.ldu, term.rank, rounded, rest);
    for (int64_t j = 0; j < 4 * term.rank; ++j) {
      packed[(i / kLines * steps + j / kDepth) * kTile + i % kLines * kDepth + j % kDepth] =
          (j / term.rank % 2 == 0 ? rounded : rest)[j % term.rank];
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

// Asks for the lines of a later panel of B, a share with each block of lines of C, so that they are
// near when they are packed.
class PanelPrefetch {
 public:
  PanelPrefetch(const GemmShape& s, const BF16* b, int64_t depth)
      : b_(b),
        ld_(s.ldb),
        num_lines_(s.trans_b ? kPanel : depth),
        lines_of_64_bytes_(s.trans_b ? (depth + kDepth - 1) / kDepth : 1),
        per_block_((num_lines_ * lines_of_64_bytes_ * 2 * kLines + s.m - 1) / s.m) {}
  void start(int64_t offset) {
    from_ = b_ + offset;
    at_ = 0;
  }
  void next() {
    const int64_t end = std::min(at_ + per_block_, num_lines_ * lines_of_64_bytes_);
    for (; at_ < end; ++at_) {
      _mm_prefetch(
          reinterpret_cast<const char*>(from_ + at_ % num_lines_ * ld_ + at_ / num_lines_ * kDepth),
          _MM_HINT_T1);
    }
  }

 private:
  const BF16* b_;
  int64_t ld_;
  int64_t num_lines_;
  int64_t lines_of_64_bytes_;
  int64_t per_block_;
  const BF16* from_ = nullptr;
  int64_t at_ = 0;
};

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
      for (int64_t k = 0; k < a.num_steps; ++k) {
        _tile_loadd(6, panel + k * 2 * kTile, 64);
        _tile_loadd(4, a0 + k * a.step, a.line_bytes);
        _tile_dpbf16ps(0, 4, 6);
        _tile_loadd(7, panel + k * 2 * kTile + kTile, 64);
        _tile_dpbf16ps(1, 4, 7);
        _tile_loadd(5, a1 + k * a.step, a.line_bytes);
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
  void write_block(int64_t line, int64_t col) {
    const int64_t count = block_cols(col);
    const auto mask = count == kPanel ? ~__mmask32{0} : (__mmask32{1} << count) - 1;
    for (int64_t i = 0; i < block_lines(line); ++i) {
      const float* from = block_ + i * kPanel;
      const int64_t to = (line + i) * ends_.ld_to + col;
      if (ends_.wide != nullptr) {
        std::memcpy(ends_.wide + to, from, static_cast<size_t>(count) * sizeof(float));
        continue;
      }
      const __m512i both = _mm512_inserti64x4(_mm512_castsi256_si512(narrow(_mm512_load_ps(from))),
                                              narrow(_mm512_load_ps(from + kLines)), 1);
      _mm512_mask_storeu_epi16(ends_.narrow + to, mask, both);
    }
  }

  int64_t m_;
  int64_t n_;
  Ends ends_;
  alignas(64) float block_[2 * kLines * kPanel];
};

}  // namespace

void amx_product(const AmxProduct& p) {
  static const TileConfig config;
  static const PairOrder order;
  thread_local Memory<BF16> memory_of_a;
  thread_local Memory<BF16> memory_of_u;
  thread_local Memory<BF16> memory_of_v;
  thread_local Memory<BF16> memory_of_panel;
  thread_local Memory<float> memory_of_sums;
  const GemmShape& s = p.shape;
  const int64_t passes = std::max<int64_t>(1, (s.k + kInner - 1) / kInner);
  const int64_t inner = std::max<int64_t>(1, steps_of((s.k + passes - 1) / passes)) * kDepth;
  Lines u;
  if (p.low_rank.rank > 0) u = lines_of_u(p.low_rank, s.m, memory_of_u);
  BF16* panel = memory_of_panel.take((inner / kDepth + u.num_steps) * 2 * kTile);
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
    PanelPrefetch later(s, p.b + k * (s.trans_b ? 1 : s.ldb), depth);
    for (int64_t col = 0; col < s.n; col += kPanel) {
      for (int64_t step = 0; step < lines.num_steps; ++step) {
        const int64_t at = k + step * kDepth;
        const int64_t rest = depth - step * kDepth;
        BF16* to = panel + step * 2 * kTile;
        if (s.trans_b) {
          pack_columns_transposed(p.b + col * s.ldb + at, s.ldb, s.n - col, rest, to);
        } else {
          pack_columns(p.b + at * s.ldb + col, s.ldb, s.n - col, rest, order, to);
        }
      }
      BF16* panel_of_v = panel + lines.num_steps * 2 * kTile;
      const bool adds_low_rank = last && u.num_steps > 0;
      if (adds_low_rank) {
        pack_columns_of_v(p.low_rank, col, s.n - col, order, memory_of_v, panel_of_v);
      }
      const bool has_later = col + 2 * kPanel <= s.n;
      if (has_later) later.start((col + kPanel) * (s.trans_b ? s.ldb : 1));
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

void amx_rank_project(const BF16* x, int64_t lines, int64_t ldx, int64_t cols, const float* v,
                      int64_t rank, float scale, float* to) {
  thread_local Memory<BF16> memory_of_v;
  thread_local Memory<float> memory_of_sums;
  BF16* halves = memory_of_v.take(2 * rank * cols);
  for (int64_t r = 0; r < rank; ++r) {
    split(v + r * cols, cols, halves + r * cols, halves + (rank + r) * cols);
  }
  AmxProduct p;
  p.shape.m = lines;
  p.shape.n = p.shape.ldc = 2 * rank;
  p.shape.k = p.shape.ldb = cols;
  p.shape.lda = ldx;
  p.shape.trans_b = true;
  p.a = x;
  p.b = halves;
  float* sums = memory_of_sums.take(lines * 2 * rank);
  p.c = sums;
  amx_product(p);
  for (int64_t i = 0; i < lines; ++i) {
    for (int64_t r = 0; r < rank; ++r) {
      to[i * rank + r] = scale * (sums[i * 2 * rank + r] + sums[(i * 2 + 1) * rank + r]);
    }
  }
}

void amx_rank_outer(const BF16* x, int64_t lines, int64_t ldx, int64_t cols, const float* u,
                    int64_t rank, float* to, int64_t ld_to) {
  thread_local Memory<BF16> memory_of_u;
  thread_local Memory<float> memory_of_sums;
  BF16* halves = memory_of_u.take(lines * 2 * rank);
  for (int64_t i = 0; i < lines; ++i) {
    split(u + i * rank, rank, halves + i * 2 * rank, halves + (i * 2 + 1) * rank);
  }
  AmxProduct p;
  p.shape.m = p.shape.lda = 2 * rank;
  p.shape.n = p.shape.ldc = cols;
  p.shape.k = lines;
  p.shape.ldb = ldx;
  p.shape.trans_a = true;
  p.a = halves;
  p.b = x;
  float* sums = memory_of_sums.take(2 * rank * cols);
  p.c = sums;
  amx_product(p);
  for (int64_t r = 0; r < rank; ++r) {
    for (int64_t k = 0; k < cols; ++k) {
      to[r * ld_to + k] += sums[r * cols + k] + sums[(rank + r) * cols + k];
    }
  }
}

}  // namespace dlm
