// The class of the linear operation, shared by its forward pass (linear.cpp), its backward pass
// (linear_backward.cpp) and the tiles of both (linear_tiles.cpp); private to them.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <numeric>
#include <span>
#include <vector>

#include "engine/cpu/amx_gemm.h"
#include "engine/exec.h"
#include "engine/few_tokens.h"
#include "engine/ops.h"
#include "engine/random.h"

namespace dlm::linear {

// 128 tokens a tile amortise the packing of the weights (98% of oneDNN's best rate), more help AMX;
// 1,024 columns keep the f32 tile at 512 KiB, inside a 1-2 MiB L2.
inline constexpr int64_t kTileTokens = 128;
inline constexpr int64_t kTileCols = 1024;
inline constexpr int64_t kAmxTileTokens = 256;
inline constexpr int64_t kAmxTileCols = 512;
static_assert(kAmxTileTokens * kAmxTileCols <= kTileTokens * kTileCols);
// Our own f32 product goes through six tokens at once: here none of a full tile is left over.
inline constexpr int64_t kF32TileTokens = 192;
inline constexpr int64_t kF32TileCols = 640;
static_assert(kF32TileTokens * kF32TileCols <= kTileTokens * kTileCols);
inline constexpr int64_t kMinTileCols = 128;  // below, packing the tokens shows
inline constexpr int64_t kDropBlock = 64;
// Two second caches: writing more than that past them is faster, less is slower.
inline constexpr int64_t kCachedBytes = int64_t{4} << 20;

// Rows that a task multiplies with a few tokens, of weights with `in` columns and `outs` rows: not
// much more than 128 Ki weights, so that no worker waits long for another's last task, and as many
// as let the workers end together. What lies around a product costs as much as some rows.
inline constexpr int64_t kMostFewRows = 256;
inline int64_t few_rows(const std::vector<int64_t>& outs, int64_t in, int num_workers) {
  constexpr int64_t kStep = 8;
  constexpr int64_t kLeast = 32;
  constexpr int64_t kAround = 4;
  const int64_t most = std::clamp((int64_t{128} << 10) / in, kLeast, kMostFewRows) / kStep * kStep;
  const int64_t all = std::accumulate(outs.begin(), outs.end(), int64_t{0});
  const int64_t least = std::max(kLeast, std::min(most / 3, all / num_workers));
  int64_t best = most;
  int64_t least_cost = INT64_MAX;
  for (int64_t rows = most; rows >= least; rows -= kStep) {
    int64_t tasks = 0;
    for (const int64_t out : outs) tasks += (out + rows - 1) / rows;
    const int64_t cost = (tasks + num_workers - 1) / num_workers * (rows + kAround);
    if (cost < least_cost) {
      least_cost = cost;
      best = rows;
    }
  }
  return best;
}

// Tokens [first, first + count) by output columns [col, col + cols) of one layer of the group.
struct Tile {
  size_t spec;
  int64_t first;
  int64_t count;
  int64_t col;
  int64_t cols;
};

// Which product of the weights: of the input, or of the output's gradient.
enum class Pass : uint8_t { kForward, kInputGradient };

// Output columns of a layer of the group, or of the input gradient, which all layers add to.
struct Chunk {
  size_t spec;
  int64_t col;
  int64_t cols;
};

// Packed weights of a layer (gemm_pack), from column `first` on.
struct PackedColumns {
  const std::byte* data = nullptr;
  int64_t first = 0;
  size_t panel_bytes = 0;
};

// The right sides of products: packed, or [out, in] of every layer as `rows`.
struct RightSides {
  std::vector<WeightRows> rows;
  std::vector<PackedColumns> packed;
  int64_t in;

  // Of layer i from column col on; tells the shape.
  const void* of(Pass pass, size_t i, int64_t col, GemmShape& shape) const {
    if (!packed.empty()) {
      shape.b_is_packed = true;
      const PackedColumns& p = packed[i];
      return p.data + static_cast<size_t>((col - p.first) / kPackedCols) * p.panel_bytes;
    }
    shape.ldb = in;
    shape.trans_b = pass == Pass::kForward;
    shape.b_is_bf16 = rows[i].dtype != shape.input;
    return rows[i].at(pass == Pass::kForward ? col * in : col);
  }
};

using TileBody = std::function<void(const Tile& tile, const RightSides& weights, float* memory)>;

// The f32 sums of a tile, from its first token and column.
struct Sums {
  float* at;
  int64_t ld;
  bool in_place = false;  // they lie where the result belongs
  float* line(int64_t m) const { return at + m * ld; }
};

// Whether products of T run on AMX tiles, which take the low-rank term with them.
template <class T>
bool has_amx_products(Exec& exec) {
  return sizeof(T) == sizeof(BF16) && exec.device().tier() == IsaTier::kAmx;
}

// Whether they are our own f32 products, which sum alike whatever the shape.
template <class T>
bool has_f32_products(Exec& exec) {
  return sizeof(T) == sizeof(float) && exec.device().tier() <= IsaTier::kAvx2;
}

// Tiles of a pass. No result depends on them.
struct Tiling {
  int64_t tokens;
  int64_t cols;
  // Narrower where a pass of few tokens has too few tiles of `all` columns for the workers.
  void share(int64_t num_tokens, int64_t all, int num_workers) {
    const int64_t lines = (num_tokens + tokens - 1) / tokens;
    cols = std::clamp(lines * all / (2 * num_workers) / 32 * 32, kMinTileCols, cols);
  }
  // `all` columns in equal chunks.
  int64_t chunk(int64_t all) const {
    const int64_t chunks = (all + cols - 1) / cols;
    return ((all + chunks - 1) / chunks + 31) / 32 * 32;
  }
};

template <class T>
class LinearOp : public Op {
 public:
  LinearOp(ValueId x, std::vector<LinearSpec> specs, std::vector<ValueId> outputs, ValueId residual,
           std::vector<ValueId> lora_hidden, std::vector<ValueId> lora_grad,
           std::vector<ValueId> unscaled, ValueId narrowed)
      : x_(x),
        specs_(std::move(specs)),
        outputs_(std::move(outputs)),
        residual_(residual),
        lora_hidden_(std::move(lora_hidden)),
        lora_grad_(std::move(lora_grad)),
        unscaled_(std::move(unscaled)),
        narrowed_(narrowed),
        in_(specs_[0].weight->value.dim(1)) {}

  std::string name() const override { return "linear"; }
  std::vector<ValueId> reads() const override {
    std::vector<ValueId> ids{x_};
    if (residual_.valid()) ids.push_back(residual_);
    return ids;
  }
  std::vector<ValueId> writes() const override {
    std::vector<ValueId> ids = outputs_;
    for (const ValueId v : lora_hidden_) {
      if (v.valid()) ids.push_back(v);
    }
    for (const ValueId v : unscaled_) {
      if (v.valid()) ids.push_back(v);
    }
    return ids;
  }
  std::vector<ValueId> saves() const override {
    std::vector<ValueId> ids;
    bool needs_input = false;
    for (size_t i = 0; i < specs_.size(); ++i) {
      needs_input |= specs_[i].weight->trains || specs_[i].lora != nullptr;
      if (lora_hidden_[i].valid()) ids.push_back(lora_hidden_[i]);
      if (unscaled_[i].valid()) ids.push_back(unscaled_[i]);
    }
    if (needs_input) ids.push_back(x_);
    return ids;
  }
  std::vector<ValueId> backward_scratch() const override {
    std::vector<ValueId> ids;
    for (const ValueId v : lora_grad_) {
      if (v.valid()) ids.push_back(v);
    }
    if (narrowed_.valid()) ids.push_back(narrowed_);
    return ids;
  }
  std::vector<Parameter*> parameters() const override {
    std::vector<Parameter*> all;
    for (const LinearSpec& spec : specs_) {
      all.push_back(spec.weight);
      if (spec.lora != nullptr) {
        all.push_back(&spec.lora->a);
        all.push_back(&spec.lora->bt);
        if (spec.lora->dora) all.push_back(&spec.lora->dora->magnitude);
      }
    }
    return all;
  }
  size_t scratch_bytes(int64_t) const override {
    const auto tile = static_cast<size_t>(kTileTokens * kTileCols) * sizeof(float);
    const auto dropped = static_cast<size_t>(kDropBlock * in_) * sizeof(T);
    return std::max(tile, dropped);
  }

  size_t shared_bytes(int64_t tokens) const override;

  void forward(Exec& exec) const override;
  void backward(Exec& exec) const override;

 private:
  static constexpr DType kType = sizeof(T) == sizeof(float) ? DType::kF32 : DType::kBF16;

  int64_t out(size_t i) const { return specs_[i].weight->value.dim(0); }
  int64_t all_out() const {
    int64_t all = 0;
    for (size_t i = 0; i < specs_.size(); ++i) all += out(i);
    return all;
  }
  // Whether lines of `cols` numbers are too much to stay near until they are read.
  static bool leaves_caches(Exec& exec, int64_t cols) {
    return exec.tokens() * cols * static_cast<int64_t>(sizeof(T)) >= kCachedBytes;
  }
  Tiling tiling(Exec& exec, Pass pass) const;
  std::vector<Chunk> chunks(Pass pass, const Tiling& tiles) const;
  // Calls body for all tiles of a pass, each on some worker with the worker's memory.
  void for_tiles(Exec& exec, Pass pass, const TileBody& body) const;
  // Packs the weights of chunks that follow one another into the pass's shared memory, behind those
  // that are decoded.
  void pack(Exec& exec, Pass pass, std::span<const Chunk> slab, RightSides& weights) const;
  // Of 32 columns of all that is summed.
  size_t panel_bytes(Pass pass) const;
  size_t most_slab_bytes(Pass pass) const;
  // [out, in] of every layer: where the weight lies, or quantized ones decoded into the pass's
  // shared memory.
  std::vector<WeightRows> dense_weights(Exec& exec) const;
  size_t all_decoded_bytes() const;
  static size_t decoded_bytes(const Parameter& weight) {
    return (weight.value.size_bytes() + 63) / 64 * 64;
  }
  // Where a tile of `to`, T [tokens, n], is summed: our own f32 products in place, others in
  // `memory`, since they are narrowed afterwards.
  static Sums sums_of(Exec& exec, const Tile& t, T* to, int64_t n, float* memory) {
    if constexpr (sizeof(T) == sizeof(float)) {
      if (has_f32_products<T>(exec)) return {to + t.first * n + t.col, n, true};
    }
    return {memory, t.cols};
  }
  bool drops(Exec& exec, size_t i) const {
    return exec.dropout_on && specs_[i].lora != nullptr && specs_[i].lora->dropout > 0;
  }
  const T* output_gradient(Exec& exec, size_t i) const {
    return narrowed_.valid() ? exec.data<T>(narrowed_) : exec.grad<T>(outputs_[i]);
  }
  static uint64_t mask_key(Exec& exec, const Lora& lora, int64_t token) {
    return random_key({exec.token_key(token), lora.key});
  }

  // Rows [first, first + count) of dropout(x) of one layer, into `to`.
  void dropped_input(Exec& exec, const Lora& lora, int64_t first, int64_t count, T* to) const {
    const T* x = exec.data<T>(x_);
    for (int64_t t = first; t < first + count; ++t) {
      exec.rows<T>().dropout(x + t * in_, in_, mask_key(exec, lora, t), 0, lora.dropout,
                             to + (t - first) * in_);
    }
  }

  // to += u^T x, [rank, cols] dense, for u [lines, rank] and x [lines, cols].
  static void outer(Exec& exec, const T* x, int64_t lines, int64_t ld, int64_t cols, const float* u,
                    int64_t rank, float* to) {
    if constexpr (sizeof(T) == sizeof(BF16)) {
      if (has_amx_products<T>(exec)) {
        amx_rank_outer(x, lines, ld, cols, u, rank, to, cols);
        return;
      }
    }
    exec.rows<T>().rank_outer(x, lines, ld, cols, u, rank, to, cols);
  }

  // lora_hidden = scale * dropout(x) A^T, [tokens, rank].
  void project_lora(Exec& exec) const;
  bool has_lora() const;
  // Calls body(first, count, worker) for blocks of tokens: of 256 where factors are packed for each
  // block and there are enough, unless dropped lines have to fit into the scratch memory.
  template <class Body>
  void for_projections(Exec& exec, const Body& body) const {
    bool any_mask = false;
    for (size_t i = 0; i < specs_.size(); ++i) any_mask |= drops(exec, i);
    const bool large = !any_mask && has_amx_products<T>(exec) && exec.tokens() >= 1024;
    const int64_t block = large ? 256 : kDropBlock;
    exec.run((exec.tokens() + block - 1) / block, [&](int64_t task, int worker) {
      body(task * block, std::min(block, exec.tokens() - task * block), worker);
    });
  }
  // to = scale * x factor^T, [lines, rank], for x [lines, cols] and a factor of [rank, cols].
  static void project(Exec& exec, const T* x, int64_t lines, int64_t cols, const Parameter& factor,
                      const Lora& lora, float* to) {
    if constexpr (sizeof(T) == sizeof(BF16)) {
      if (has_amx_products<T>(exec)) {
        amx_rank_project(x, lines, cols, cols, factor.value.f32(), lora.rank, lora.scale, to);
        return;
      }
    }
    exec.rows<T>().rank_project(x, lines, cols, cols, factor.value.f32(), cols, lora.rank,
                                lora.scale, to);
  }
  void forward_tile(Exec& exec, const Tile& tile, const RightSides& weights, float* memory) const;
  void forward_tile_amx(Exec& exec, const Tile& tile, const RightSides& weights,
                        float* memory) const;
  LowRankTerm low_rank_term(Exec& exec, size_t i, int64_t first, int64_t col) const;
  // A few tokens: every weight row is read once and multiplied by all of them.
  void forward_few(Exec& exec) const;
  void project_few(Exec& exec, const FewLines& x, const Tile& tile) const;
  int64_t rows_of_few(Exec& exec) const;
  // What comes after the product of weights: the low-rank term, DoRA's scale, bias and residual.
  void finish_tile(Exec& exec, const Tile& tile, const Sums& sums) const;
  void scale_and_add_bias(Exec& exec, const Tile& tile, const Sums& sums) const;
  void store_tile(Exec& exec, const Tile& tile, const Sums& sums) const;
  // The residual stream's gradient in activation type, as the products want it.
  void narrow_gradient(Exec& exec) const;
  // lora_grad = scale * dy B, [tokens, rank].
  void project_lora_gradient(Exec& exec) const;
  // DoRA: the magnitudes' gradient, then dy *= row_scale in place, so that every later product sees
  // the gradient of the output before its scale.
  void backward_row_scale(Exec& exec, size_t i) const;
  // dx = sum over layers of dy W + mask(lora_grad A).
  void backward_input(Exec& exec) const;
  void backward_input_tile(Exec& exec, const Tile& tile, const RightSides& weights,
                           float* memory) const;
  void backward_input_tile_amx(Exec& exec, const Tile& tile, const RightSides& weights,
                               float* memory) const;
  void add_lora_input_gradient(Exec& exec, size_t i, const Tile& tile, const Sums& sums) const;
  // dA = lora_grad^T dropout(x) and dB^T = lora_hidden^T dy: summed within each document row, then
  // over rows in order, so that the split into batches never shows.
  void backward_lora(Exec& exec, size_t i) const;
  // dW += dy^T x, in tiles of output rows.
  void backward_weight(Exec& exec, size_t i) const;

  ValueId x_;
  std::vector<LinearSpec> specs_;
  std::vector<ValueId> outputs_;
  ValueId residual_;
  std::vector<ValueId> lora_hidden_;
  std::vector<ValueId> lora_grad_;
  mutable std::atomic<int64_t> few_rows_ = 0;  // once it is known; decides no result
  std::vector<ValueId> unscaled_;  // DoRA: the output before row_scale and bias, T [out]
  ValueId narrowed_;
  int64_t in_;
};

}  // namespace dlm::linear
