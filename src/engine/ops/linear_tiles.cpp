// How the products of a linear layer are cut into tiles, and where their weights come from: as they
// lie, decoded for the pass, or packed once for the tiles of all tokens.

#include "engine/cpu/gemm.h"
#include "engine/ops/linear.h"

namespace dlm::linear {

namespace {

// What is packed at a time: it should stay in the third cache.
constexpr size_t kSlabBytes = size_t{8} << 20;
// Panels that a task packs.
constexpr int64_t kPackPanels = 4;

int64_t panels_of(int64_t cols) {
  return (cols + kPackedCols - 1) / kPackedCols;
}

}  // namespace

template <class T>
size_t LinearOp<T>::panel_bytes(Pass pass) const {
  if (pass == Pass::kForward) return packed_panel_bytes(kType, in_);
  size_t bytes = 0;
  for (size_t i = 0; i < specs_.size(); ++i) bytes += packed_panel_bytes(kType, out(i));
  return bytes;
}

template <class T>
size_t LinearOp<T>::most_slab_bytes(Pass pass) const {
  return std::max(kSlabBytes, panel_bytes(pass) * (kMinTileCols / kPackedCols));
}

template <class T>
size_t LinearOp<T>::all_decoded_bytes() const {
  size_t bytes = 0;
  for (const LinearSpec& spec : specs_) {
    if (!spec.weight->rows_as_they_lie()) bytes += decoded_bytes(*spec.weight);
  }
  return bytes;
}

template <class T>
size_t LinearOp<T>::shared_bytes(int64_t tokens) const {
  size_t slab = 0;
  if (gemm_is_own(kType) && tokens > kTileTokens) {
    int64_t panels = 0;
    for (size_t i = 0; i < specs_.size(); ++i) panels += panels_of(out(i));
    for (const Pass pass : {Pass::kForward, Pass::kInputGradient}) {
      const int64_t all = pass == Pass::kForward ? panels : panels_of(in_);
      const size_t bytes = static_cast<size_t>(all) * panel_bytes(pass);
      slab = std::max(slab, std::min(bytes, most_slab_bytes(pass)));
    }
  }
  return all_decoded_bytes() + slab;
}

template <class T>
Tiling LinearOp<T>::tiling(Exec& exec, Pass pass) const {
  Tiling tiles{kTileTokens, kTileCols};
  if (has_amx_products<T>(exec)) {
    tiles = {exec.tokens() >= 4 * kAmxTileTokens ? kAmxTileTokens : kTileTokens, kAmxTileCols};
  } else if (has_f32_products<T>(exec)) {
    tiles = {kF32TileTokens, kF32TileCols};
  } else {
    return tiles;  // oneDNN is not known to sum alike in a product of fewer columns
  }
  const int64_t all = pass == Pass::kForward ? all_out() : in_;
  tiles.share(exec.tokens(), all, exec.device().pool().num_threads());
  const auto panels = static_cast<int64_t>(most_slab_bytes(pass) / panel_bytes(pass));
  tiles.cols = std::min(tiles.cols, panels * kPackedCols);
  return tiles;
}

template <class T>
std::vector<Chunk> LinearOp<T>::chunks(Pass pass, const Tiling& tiles) const {
  std::vector<Chunk> all;
  const size_t layers = pass == Pass::kForward ? specs_.size() : 1;
  for (size_t i = 0; i < layers; ++i) {
    const int64_t cols = pass == Pass::kForward ? out(i) : in_;
    const int64_t chunk = tiles.chunk(cols);
    for (int64_t col = 0; col < cols; col += chunk) {
      all.push_back({i, col, std::min(chunk, cols - col)});
    }
  }
  return all;
}

template <class T>
void LinearOp<T>::for_tiles(Exec& exec, Pass pass, const TileBody& body) const {
  const Tiling tiles = tiling(exec, pass);
  const std::vector<Chunk> all = chunks(pass, tiles);
  const bool packs = gemm_is_own(kType) && exec.tokens() > tiles.tokens;
  RightSides weights{dense_weights(exec), {}, in_};
  for (size_t begin = 0; begin < all.size();) {
    size_t end = all.size();
    if (packs) {
      size_t bytes = 0;
      for (end = begin; end < all.size(); ++end) {
        bytes += static_cast<size_t>(panels_of(all[end].cols)) * panel_bytes(pass);
        if (end > begin && bytes > most_slab_bytes(pass)) break;
      }
      pack(exec, pass, {all.data() + begin, end - begin}, weights);
    }
    std::vector<Tile> tasks;
    for (size_t i = begin; i < end; ++i) {
      for (int64_t first = 0; first < exec.tokens(); first += tiles.tokens) {
        const int64_t count = std::min(tiles.tokens, exec.tokens() - first);
        tasks.push_back({all[i].spec, first, count, all[i].col, all[i].cols});
      }
    }
    exec.run(static_cast<int64_t>(tasks.size()), [&](int64_t index, int worker) {
      body(tasks[static_cast<size_t>(index)], weights,
           reinterpret_cast<float*>(exec.scratch(worker)));
    });
    begin = end;
  }
}

template <class T>
void LinearOp<T>::pack(Exec& exec, Pass pass, std::span<const Chunk> slab,
                       RightSides& weights) const {
  struct Piece {
    GemmShape shape;
    const void* from;
    std::byte* to;
  };
  std::vector<Piece> pieces;
  const bool forward = pass == Pass::kForward;
  std::byte* to = exec.shared() + all_decoded_bytes();
  weights.packed.assign(specs_.size(), {});
  for (size_t i = 0; i < specs_.size(); ++i) {
    PackedColumns& columns = weights.packed[i];
    columns.panel_bytes = packed_panel_bytes(kType, forward ? in_ : out(i));
    for (const Chunk& chunk : slab) {
      if (forward && chunk.spec != i) continue;
      if (columns.data == nullptr) {
        columns.data = to;
        columns.first = chunk.col;
      }
      for (int64_t col = 0; col < chunk.cols; col += kPackPanels * kPackedCols) {
        Piece piece;
        piece.shape.n = std::min(kPackPanels * kPackedCols, chunk.cols - col);
        piece.shape.k = forward ? in_ : out(i);
        piece.shape.ldb = in_;
        piece.shape.trans_b = forward;
        piece.shape.input = kType;
        piece.shape.b_is_bf16 = weights.rows[i].dtype != kType;
        piece.from = weights.rows[i].at((chunk.col + col) * (forward ? in_ : 1));
        piece.to = to;
        to += static_cast<size_t>(panels_of(piece.shape.n)) * columns.panel_bytes;
        pieces.push_back(piece);
      }
    }
  }
  exec.run(static_cast<int64_t>(pieces.size()), [&](int64_t index, int) {
    const Piece& p = pieces[static_cast<size_t>(index)];
    gemm_pack(p.shape, p.from, p.to);
  });
}

template <class T>
std::vector<WeightRows> LinearOp<T>::dense_weights(Exec& exec) const {
  struct Piece {
    const QuantizedMatrix* from;
    int64_t first;
    int64_t count;
    T* to;
  };
  // 64 rows a task: enough to pay for handing it out, small enough to balance the workers.
  constexpr int64_t kRows = 64;
  std::vector<WeightRows> weights;
  std::vector<Piece> pieces;
  size_t offset = 0;
  for (const LinearSpec& spec : specs_) {
    if (const auto rows = spec.weight->rows_as_they_lie()) {
      weights.push_back(*rows);
      continue;
    }
    const QuantizedMatrix* q = spec.weight->quantized.get();
    T* to = reinterpret_cast<T*>(exec.shared() + offset);
    offset += decoded_bytes(*spec.weight);
    weights.push_back({reinterpret_cast<const std::byte*>(to), kType});
    for (int64_t first = 0; first < q->rows(); first += kRows) {
      pieces.push_back({q, first, std::min(kRows, q->rows() - first), to + first * in_});
    }
  }
  exec.run(static_cast<int64_t>(pieces.size()), [&](int64_t task, int) {
    const Piece& p = pieces[static_cast<size_t>(task)];
    p.from->dequantize(exec.kernels(), p.first, p.count, p.to);
  });
  return weights;
}

template size_t LinearOp<float>::shared_bytes(int64_t) const;
template size_t LinearOp<BF16>::shared_bytes(int64_t) const;
template void LinearOp<float>::for_tiles(Exec&, Pass, const TileBody&) const;
template void LinearOp<BF16>::for_tiles(Exec&, Pass, const TileBody&) const;

}  // namespace dlm::linear
