#include "engine/cpu/amx_gemm.h"

#include <immintrin.h>

#include <algorithm>
#include <utility>

#include "engine/cpu/amx_pack.h"
#include "engine/cpu/amx_rank_pack.h"

namespace dlm {

namespace {

using namespace amx;

constexpr int64_t kInner = 384;             // k that is summed at a time: lines and panel fit in L1
constexpr int64_t kChunkPack = 640 * 1024;  // numbers of B that are packed at once, 1.25 MiB
constexpr int64_t kSameSets = 1024;         // lines so far apart push each other out of L1
constexpr int64_t kFarApart = 16384;        // and these are each on a page of its own

// Eight tiles of 16 lines of 64 bytes: 0 to 3 sum C, 4 and 5 hold A, 6 and 7 hold B.
struct alignas(64) TileConfig {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t line_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t lines[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

// A block of lines that is multiplied: where they lie, or packed.
struct Block {
  const BF16* data;
  int64_t line_bytes = kDepth * static_cast<int64_t>(sizeof(BF16));
  int64_t half = kTile;  // numbers from the first 16 lines to the others
  int64_t step = kStep;  // numbers from 32 k to the next
};

// Lines [line, line + kBlock) of A, for each tile of k those of the upper and of the lower half.
void pack_block(const GemmShape& s, const BF16* a, int64_t line, int64_t depth,
                const PairOrder& order, BF16* to) {
  for (int64_t k = 0; k < depth; k += kDepth) {
    for (int64_t i = line; i < line + kBlock; i += kLines, to += kTile) {
      if (s.trans_a) {
        pack_lines_transposed(a + k * s.lda + i, s.lda, s.m - i, depth - k, order, to);
      } else {
        pack_lines(a + i * s.lda + k, s.lda, s.m - i, depth - k, to);
      }
    }
  }
}

// Where the sums of a block of lines start from and where they go: f32 in both, or bf16 at the end.
// `plus` is added to what is whole.
struct Ends {
  const float* from = nullptr;
  int64_t ld_from = 0;
  const float* plus = nullptr;
  int64_t ld_plus = 0;
  float* wide = nullptr;
  BF16* narrow = nullptr;
  int64_t ld_to = 0;
  bool past_caches = false;
};

// Sums of two by two tiles of C, or of fewer at its edges.
class Sums {
 public:
  // Of `lines` lines, at most a block, and n columns.
  Sums(int64_t lines, int64_t n, const Ends& ends) : lines_(lines), n_(n), ends_(ends) {}

  void start(int64_t col) {
    if (ends_.from == nullptr) {
      _tile_zero(0);
      _tile_zero(1);
      _tile_zero(2);
      _tile_zero(3);
      return;
    }
    const float* c = ends_.from + col;
    int64_t ld = ends_.ld_from;
    if (!is_whole(col)) {
      read_edges(c, col);
      c = edges_;
      ld = kPanel;
    }
    const int64_t bytes = ld * static_cast<int64_t>(sizeof(float));
    _tile_loadd(0, c, bytes);
    _tile_loadd(1, c + kLines, bytes);
    _tile_loadd(2, c + kLines * ld, bytes);
    _tile_loadd(3, c + kLines * ld + kLines, bytes);
  }

  // Adds the product of the block and a panel of columns.
  void add(const Block& block, const BF16* panel, int64_t steps, int64_t col) const {
    const BF16* end = panel + steps * kStep;
    const BF16* upper = block.data;
    const BF16* lower = upper + block.half;
    const int64_t line_bytes = block.line_bytes;
    const int64_t step = block.step;
    const bool two_lines = lines_ > kLines;
    const bool two_cols = n_ - col > kLines;
    if (two_lines && two_cols) {
      for (; panel != end; panel += kStep, upper += step, lower += step) {
        _tile_loadd(6, panel, 64);
        _tile_loadd(4, upper, line_bytes);
        _tile_dpbf16ps(0, 4, 6);
        _tile_loadd(7, panel + kTile, 64);
        _tile_dpbf16ps(1, 4, 7);
        _tile_loadd(5, lower, line_bytes);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
      }
      return;
    }
    for (; panel != end; panel += kStep, upper += step, lower += step) {
      _tile_loadd(6, panel, 64);
      _tile_loadd(4, upper, line_bytes);
      _tile_dpbf16ps(0, 4, 6);
      if (two_lines) {
        _tile_loadd(5, lower, line_bytes);
        _tile_dpbf16ps(2, 5, 6);
      }
      if (!two_cols) continue;
      _tile_loadd(7, panel + kTile, 64);
      _tile_dpbf16ps(1, 4, 7);
      if (two_lines) _tile_dpbf16ps(3, 5, 7);
    }
  }

  void finish(int64_t col) {
    const bool direct = ends_.wide != nullptr && ends_.plus == nullptr && is_whole(col);
    float* c = direct ? ends_.wide + col : edges_;
    const int64_t ld = direct ? ends_.ld_to : kPanel;
    const int64_t bytes = ld * static_cast<int64_t>(sizeof(float));
    _tile_stored(0, c, bytes);
    _tile_stored(1, c + kLines, bytes);
    _tile_stored(2, c + kLines * ld, bytes);
    _tile_stored(3, c + kLines * ld + kLines, bytes);
    if (!direct) write_edges(col);
  }

 private:
  bool is_whole(int64_t col) const { return lines_ == kBlock && col + kPanel <= n_; }
  // Of the panel's columns, those that C has.
  __mmask32 columns(int64_t col) const {
    const int64_t count = n_ - col;
    return count >= kPanel ? ~__mmask32{0} : (__mmask32{1} << count) - 1;
  }

  void read_edges(const float* from, int64_t col) {
    const __mmask32 mask = columns(col);
    for (int64_t i = 0; i < kBlock; ++i, from += ends_.ld_from) {
      const Pair line = i < lines_ ? load(from, mask) : Pair{};
      _mm512_store_ps(edges_ + i * kPanel, line.left);
      _mm512_store_ps(edges_ + i * kPanel + kLines, line.right);
    }
  }
  void write_edges(int64_t col) const {
    const __mmask32 mask = columns(col);
    for (int64_t i = 0; i < lines_; ++i) {
      Pair line = load(edges_ + i * kPanel, ~__mmask32{0});
      if (ends_.plus != nullptr) {
        const Pair more = load(ends_.plus + i * ends_.ld_plus + col, mask);
        line.left = _mm512_add_ps(line.left, more.left);
        line.right = _mm512_add_ps(line.right, more.right);
      }
      const int64_t at = i * ends_.ld_to + col;
      if (ends_.wide != nullptr) {
        _mm512_mask_storeu_ps(ends_.wide + at, static_cast<__mmask16>(mask), line.left);
        _mm512_mask_storeu_ps(ends_.wide + at + kLines, static_cast<__mmask16>(mask >> kLines),
                              line.right);
      } else {
        store(ends_.narrow + at, mask, _mm512_cvtne2ps_pbh(line.right, line.left));
      }
    }
  }

  void store(BF16* to, __mmask32 mask, __m512bh x) const {
    const auto bits = reinterpret_cast<__m512i>(x);
    const bool is_cache_line = mask == ~__mmask32{0} && reinterpret_cast<uintptr_t>(to) % 64 == 0;
    if (ends_.past_caches && is_cache_line) {
      _mm512_stream_si512(reinterpret_cast<__m512i*>(to), bits);
    } else {
      _mm512_mask_storeu_epi16(to, mask, bits);
    }
  }

  struct Pair {
    __m512 left = _mm512_setzero_ps();
    __m512 right = _mm512_setzero_ps();
  };
  static Pair load(const float* from, __mmask32 mask) {
    return {_mm512_maskz_loadu_ps(static_cast<__mmask16>(mask), from),
            _mm512_maskz_loadu_ps(static_cast<__mmask16>(mask >> kLines), from + kLines)};
  }

  int64_t lines_;
  int64_t n_;
  Ends ends_;
  alignas(64) float edges_[kBlock * kPanel];
};

// Columns [first, first + cols) of B, panel after panel.
void pack(const GemmShape& s, const BF16* b, int64_t first, int64_t cols, const PairOrder& order,
          BF16* panel) {
  const int64_t steps = steps_of(s.k);
  for (int64_t step = 0; step < steps; ++step) {
    const int64_t k = step * kDepth;
    for (int64_t col = first; col < first + cols; col += kPanel) {
      BF16* to = panel + ((col - first) / kPanel * steps + step) * kStep;
      if (s.trans_b) {
        pack_columns_transposed(b + col * s.ldb + k, s.ldb, s.n - col, s.k - k, to);
      } else {
        pack_columns(b + k * s.ldb + col, s.ldb, s.n - col, s.k - k, order, to);
      }
    }
  }
}

// What a thread keeps for its products.
struct Workspace {
  Memory<BF16> block;
  Memory<BF16> chunk;
  Memory<float> partial;
};

// One product. A block of lines takes panel after panel while it is near, kInner of k at a time,
// and all lines a chunk of columns, which is packed first unless B is.
class Product {
 public:
  Product(const AmxProduct& p, const PairOrder& order, Workspace& memory)
      : p_(p), s_(p.shape), order_(order) {
    const int64_t passes = std::max<int64_t>(1, (s_.k + kInner - 1) / kInner);
    inner_ = std::max<int64_t>(1, steps_of((s_.k + passes - 1) / passes)) * kDepth;
    column_ = steps_of(s_.k) * kDepth;
    rank_steps_ = steps_of_ranks(p.low_rank.rank);
    const int64_t all = (s_.n + kPanel - 1) / kPanel;
    int64_t panels = all;
    if (!s_.b_is_packed) {
      // Columns that one block of lines uses once are multiplied as soon as they are packed.
      const bool once = s_.trans_b && s_.m <= kBlock;
      panels = once ? 1 : std::clamp(kChunkPack / (column_ * kPanel + 1), int64_t{1}, all);
    }
    chunk_ = panels * kPanel;
    lines_ = memory.block.take((inner_ / kDepth + rank_steps_) * kStep);
    lines_of_u_ = lines_ + inner_ / kDepth * kStep;
    panels_of_v_ =
        memory.chunk.take(panels * (rank_steps_ * kStep + (s_.b_is_packed ? 0 : column_ * kPanel)));
    panels_ = panels_of_v_ + panels * rank_steps_ * kStep;
    if (s_.output != DType::kF32 && passes > 1) partial_ = memory.partial.take(kBlock * s_.n);
  }

  void run() {
    for (int64_t first = 0; first < s_.n; first += chunk_) {
      const int64_t end = std::min(s_.n, first + chunk_);
      if (!s_.b_is_packed) pack(s_, p_.b, first, end - first, order_, panels_);
      for (int64_t col = first; rank_steps_ > 0 && col < end; col += kPanel) {
        pack_panel_of_v(p_.low_rank, col, s_.n - col, order_, panel_of_v(col - first));
      }
      for (int64_t line = 0; line < s_.m; line += kBlock) multiply(line, first, end);
    }
  }

 private:
  BF16* panel_of_v(int64_t col) const { return panels_of_v_ + col / kPanel * rank_steps_ * kStep; }

  // Lines [line, line + kBlock) of C, columns [first, end).
  void multiply(int64_t line, int64_t first, int64_t end) {
    if (rank_steps_ > 0) pack_block_of_u(p_.low_rank, line, s_.m, lines_of_u_);
    Ends ends;
    if (p_.addend != nullptr) ends.from = p_.addend + line * p_.ld_addend;
    ends.ld_from = p_.ld_addend;
    const auto [from_k, to_k] = range_of_k(line);
    if (s_.triangle == Triangle::kOutput) end = std::min(end, line + kBlock + s_.diagonal);
    for (int64_t k = from_k; k == from_k || k < to_k; k += inner_) {
      const bool last = k + inner_ >= to_k;
      if (last && p_.plus != nullptr) ends.plus = p_.plus + line * p_.ld_plus;
      ends.ld_plus = p_.ld_plus;
      ends.wide = partial_;  // sums that take more passes wait in f32
      ends.ld_to = s_.n;
      if (last || s_.output == DType::kF32) {
        const bool is_f32 = s_.output == DType::kF32;
        ends.wide = is_f32 ? static_cast<float*>(p_.c) + line * s_.ldc : nullptr;
        ends.narrow = is_f32 ? nullptr : static_cast<BF16*>(p_.c) + line * s_.ldc;
        ends.ld_to = s_.ldc;
      }
      ends.past_caches = last && p_.past_caches;
      const int64_t depth = std::min(inner_, to_k - k);
      const Block block = block_of_a(line, k, depth);
      const BF16* panel = (s_.b_is_packed ? p_.b + first * column_ : panels_) + k * kPanel;
      Sums sums(std::min(kBlock, s_.m - line), s_.n, ends);
      for (int64_t col = first; col < end; col += kPanel, panel += column_ * kPanel) {
        sums.start(col);
        sums.add(block, panel, steps_of(depth), col);
        if (last && rank_steps_ > 0) {
          sums.add({lines_of_u_}, panel_of_v(col - first), rank_steps_, col);
        }
        sums.finish(col);
      }
      ends.from = ends.wide;
      ends.ld_from = ends.ld_to;
    }
  }

  // Where a block of op(A) is not zero, in whole tiles.
  std::pair<int64_t, int64_t> range_of_k(int64_t line) const {
    int64_t from = 0;
    int64_t to = s_.k;
    if (s_.triangle == Triangle::kLowerLeft) {
      to = std::min(to, steps_of(line + kBlock + s_.diagonal) * kDepth);
    } else if (s_.triangle == Triangle::kUpperLeft) {
      from = std::clamp<int64_t>((line - s_.diagonal) / kDepth * kDepth, 0, s_.k / kDepth * kDepth);
    }
    return {from, to};
  }

  // k from `k` on. Lines are packed when they must be transposed or filled up with zeros, or lie so
  // that they are slow to read.
  Block block_of_a(int64_t line, int64_t k, int64_t depth) const {
    const BF16* a = p_.a + k * (s_.trans_a ? s_.lda : 1);
    const BF16* there = a + line * s_.lda;
    const bool is_whole = line + kBlock <= s_.m && depth % kDepth == 0;
    const bool is_aligned = s_.lda % kDepth == 0 && reinterpret_cast<uintptr_t>(there) % 64 == 0;
    const bool is_near = s_.lda % kSameSets != 0 && s_.lda < kFarApart;
    if (!s_.trans_a && is_whole && is_aligned && is_near) {
      return {there, s_.lda * static_cast<int64_t>(sizeof(BF16)), kLines * s_.lda, kDepth};
    }
    pack_block(s_, a, line, depth, order_, lines_);
    return {lines_};
  }

  const AmxProduct& p_;
  const GemmShape& s_;
  const PairOrder& order_;
  int64_t inner_;       // k of a pass
  int64_t column_;      // numbers that a packed column takes
  int64_t chunk_;       // columns
  int64_t rank_steps_;  // of the low-rank term
  BF16* lines_;
  BF16* lines_of_u_;
  BF16* panels_of_v_;
  BF16* panels_;
  float* partial_ = nullptr;
};

}  // namespace

void amx_pack(const GemmShape& s, const BF16* b, BF16* to) {
  static const PairOrder order;
  pack(s, b, 0, s.n, order, to);
}

void amx_product(const AmxProduct& p) {
  static const TileConfig config;
  static const PairOrder order;
  thread_local Workspace memory;
  Product product(p, order, memory);
  _tile_loadconfig(&config);
  product.run();
  _tile_release();
  if (p.past_caches) _mm_sfence();  // such stores are in no order
}

}  // namespace dlm
