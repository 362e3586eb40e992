#include "train/gemm_roof.h"

#include <algorithm>
#include <chrono>

#include "engine/cpu/gemm.h"
#include "engine/random.h"
#include "support/error.h"

namespace dlm {

namespace {

// Columns a task computes, as the engine splits them: bounded by what a worker's L2 holds.
constexpr int64_t kTaskCols = 1024;
constexpr int64_t kTallestTile = 512;
// Products that the settings are compared on: the head's two and those of six layers.
constexpr size_t kComparedProducts = 2 + 11 + 5 * 14;

std::vector<int64_t> tile_heights(int64_t tokens) {
  std::vector<int64_t> heights;
  for (const int64_t height : {int64_t{128}, int64_t{256}, kTallestTile}) {
    if (tokens % height == 0) heights.push_back(height);
  }
  if (heights.empty()) heights.push_back(kTokenBlock);
  return heights;
}

Tensor random_numbers(int64_t count, DType dtype) {
  Tensor numbers = Tensor::zeros({count}, dtype);
  constexpr int64_t kBlock = 4093;  // odd, so that lines differ
  std::vector<float> block;
  for (int64_t i = 0; i < kBlock; ++i) {
    block.push_back(static_cast<float>(normal(random_key({7, static_cast<uint64_t>(i)}))));
  }
  for (int64_t i = 0; i < count; ++i) {
    const float x = block[static_cast<size_t>(i % kBlock)];
    if (dtype == DType::kBF16) {
      static_cast<BF16*>(numbers.mutable_data())[i] = to_bf16(x);
    } else {
      numbers.mutable_f32()[i] = x;
    }
  }
  return numbers;
}

}  // namespace

std::vector<RoofProduct> step_products(Decoder& decoder) {
  std::vector<RoofProduct> products{{&decoder.head(), false}, {&decoder.head(), true}};
  const DecoderLayer& lowest = decoder.layers().front();
  for (const auto& [name, weight] : decoder.linear_layers()) {
    products.push_back({weight, false});
    const bool is_below =
        weight == &lowest.q || weight == &lowest.k || weight == &lowest.v || weight == &lowest.qkv;
    if (!is_below) products.push_back({weight, true});
  }
  return products;
}

GemmRoof::GemmRoof(std::vector<RoofProduct> products, int64_t tokens, DType dtype, Device& device,
                   uint64_t free_bytes)
    : products_(std::move(products)), tokens_(tokens), dtype_(dtype), device_(device) {
  check(tokens_ > 0 && tokens_ % kTokenBlock == 0, "gemm roof: tokens must fill whole blocks");
  // Lines as wide as the vocabulary exist for one tile only, as in a step that never holds all
  // logits.
  int64_t widest_layer = 0;
  int64_t widest = 0;
  for (const RoofProduct& p : products_) {
    widest = std::max(widest, p.inner());
    if (p.weight != products_.front().weight) widest_layer = std::max(widest_layer, p.inner());
  }
  const int64_t tile = std::min(kTallestTile, tokens_);
  inputs_ = random_numbers(std::max(tokens_ * widest_layer, tile * widest), dtype_);
  for (int i = 0; i < device_.pool().num_threads(); ++i) {
    outputs_.push_back(Tensor::zeros({tile * kTaskCols}, dtype_));
  }
  choose(free_bytes);
}

void GemmRoof::choose(uint64_t free_bytes) {
  uint64_t packed_bytes = 0;
  for (const RoofProduct& p : products_) packed_bytes += p.weight->value.size_bytes();
  const size_t compared = std::min(kComparedProducts, products_.size());
  double fastest = 0;
  RoofSetting best;
  for (const bool packed : {false, true}) {
    if (packed && packed_bytes > free_bytes / 2) continue;
    for (const int64_t height : tile_heights(tokens_)) {
      prepare({packed, height}, compared);
      run_tasks();  // compiles the kernels
      const double seconds = std::min(run_tasks(), run_tasks());
      if (fastest == 0 || seconds < fastest) {
        fastest = seconds;
        best = {packed, height};
      }
    }
  }
  prepare(best, products_.size());
  run_tasks();
}

void GemmRoof::prepare(const RoofSetting& setting, size_t num_products) {
  tasks_.clear();
  packed_.clear();
  setting_ = setting;
  for (size_t i = 0; i < num_products; ++i) {
    const RoofProduct& p = products_[i];
    WeightRows rows = p.weight->rows_as_they_lie().value();
    Tensor widened;
    if (setting.packed && rows.dtype != dtype_) {
      widened = Tensor::zeros(p.weight->value.shape(), dtype_);
      p.weight->quantized->dequantize(device_.kernels(), 0, widened.dim(0), widened.mutable_f32());
      rows = {static_cast<const std::byte*>(widened.data()), dtype_};
    }
    for (int64_t col = 0; col < p.outer(); col += kTaskCols) {
      const int64_t cols = std::min(kTaskCols, p.outer() - col);
      if (setting.packed) {
        PackedShape shape;
        shape.m = setting.tile_tokens;
        shape.n = cols;
        shape.k = p.inner();
        shape.ldb = p.weight->value.dim(1);
        shape.trans_b = !p.is_input_gradient;
        shape.dtype = dtype_;
        packed_.emplace_back(shape, rows.at(p.is_input_gradient ? col : col * shape.ldb),
                             device_.pool().num_threads());
      }
      for (int64_t first = 0; first < tokens_; first += setting.tile_tokens) {
        tasks_.push_back(
            {i, packed_.empty() ? 0 : packed_.size() - 1, first, setting.tile_tokens, col, cols});
      }
    }
  }
}

const std::byte* GemmRoof::input_lines(const Task& task) const {
  const int64_t width = products_[task.product].inner();
  const bool fits = (task.first + task.count) * width <= inputs_.numel();
  const int64_t offset = fits ? task.first * width : 0;
  return static_cast<const std::byte*>(inputs_.data()) +
         offset * static_cast<int64_t>(dtype_size(dtype_));
}

double GemmRoof::run_tasks() {
  const auto begin = std::chrono::steady_clock::now();
  device_.pool().run(static_cast<int64_t>(tasks_.size()), [&](int64_t index, int worker) {
    const Task& t = tasks_[static_cast<size_t>(index)];
    void* output = outputs_[static_cast<size_t>(worker)].mutable_data();
    if (setting_.packed) {
      packed_[t.packed].multiply(input_lines(t), output, worker);
      return;
    }
    const RoofProduct& p = products_[t.product];
    GemmShape shape;
    shape.m = t.count;
    shape.n = t.cols;
    shape.k = p.inner();
    shape.lda = shape.k;
    shape.ldb = p.weight->value.dim(1);
    shape.ldc = t.cols;
    shape.trans_b = !p.is_input_gradient;
    shape.input = dtype_;
    shape.output = dtype_;
    const WeightRows rows = p.weight->rows_as_they_lie().value();
    shape.b_is_bf16 = rows.dtype != dtype_;
    gemm(shape, input_lines(t), rows.at(p.is_input_gradient ? t.col : t.col * shape.ldb), output);
  });
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

double GemmRoof::run() {
  return run_tasks();
}

double GemmRoof::flops() const {
  double total = 0;
  for (const RoofProduct& p : products_) {
    total += 2.0 * static_cast<double>(tokens_) * static_cast<double>(p.weight->value.numel());
  }
  return total;
}

}  // namespace dlm
