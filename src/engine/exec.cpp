#include "engine/exec.h"

#include <algorithm>
#include <cstring>

#include "engine/cpu/gemm.h"
#include "engine/random.h"
#include "support/error.h"

namespace dlm {

int64_t Batch::num_labels() const {
  return std::count_if(labels.begin(), labels.end(), [](int32_t l) { return l != kNoLabel; });
}

void Batch::add_row(std::span<const int32_t> row_tokens, std::span<const int32_t> row_labels,
                    uint64_t id) {
  const int64_t begin = num_tokens();
  tokens.insert(tokens.end(), row_tokens.begin(), row_tokens.end());
  labels.insert(labels.end(), row_labels.begin(), row_labels.end());
  for (size_t i = 0; i < row_tokens.size(); ++i) positions.push_back(static_cast<int32_t>(i));
  rows.push_back({begin, num_tokens(), id});
}

Device::Device(int num_threads)
    : tier_(isa_tier()),
      kernels_(&dlm::kernels(tier_)),
      pool_(choose_num_threads(num_threads), use_one_openmp_thread) {}

DType Device::preferred_dtype() const {
  return has_bf16_products(tier_) ? DType::kBF16 : DType::kF32;
}

Exec::Exec(const Graph& graph, Device& device) : graph_(graph), device_(device) {}

Exec::Exec(const Graph& graph, Exec& outer, std::byte* arena)
    : graph_(graph),
      device_(outer.device_),
      arena_(std::shared_ptr<std::byte>(), arena),
      arena_bytes_(static_cast<size_t>(graph.arena_bytes_per_token() * outer.padded_tokens())),
      scratch_(std::shared_ptr<std::byte>(), outer.scratch_.get()),
      scratch_bytes_(outer.scratch_bytes_) {}

void Exec::forward(const Batch& batch) {
  check(batch.num_tokens() > 0, "forward: an empty batch");
  batch_ = &batch;
  padded_tokens_ = (batch.num_tokens() + kTokenBlock - 1) / kTokenBlock * kTokenBlock;
  const size_t arena = static_cast<size_t>(graph_.arena_bytes_per_token() * padded_tokens_);
  if (arena > arena_bytes_) {
    arena_.reset();
    arena_ = allocate_aligned(arena);
    arena_bytes_ = arena;
    // Padding lines are multiplied too; they must hold numbers.
    std::memset(arena_.get(), 0, arena);
  }
  const size_t stride = (graph_.scratch_bytes_per_worker(padded_tokens_) + 127) / 64 * 64;
  const size_t scratch = stride * static_cast<size_t>(device_.pool().num_threads());
  if (scratch > scratch_bytes_) {
    scratch_.reset();
    scratch_ = allocate_aligned(scratch);
    std::memset(scratch_.get(), 0, scratch);
    scratch_bytes_ = scratch;
  }
  scratch_stride_ = stride;
  if (dropout_on) {
    token_keys_.assign(batch.tokens.size(), 0);
    for (const BatchRow& row : batch.rows) {
      for (int64_t t = row.begin; t < row.end; ++t) {
        const auto position = static_cast<uint64_t>(t - row.begin);
        token_keys_[static_cast<size_t>(t)] = random_key({row.id, position});
      }
    }
  }
  for (const auto& op : graph_.ops()) op->forward(*this);
}

void Exec::backward() {
  check(graph_.training() && batch_ != nullptr, "backward: no training graph or no forward pass");
  // The residual stream's gradient, one buffer for all residual values, is accumulated from zero.
  if (const ValueId v = graph_.any_residual_with_grad(); v.valid()) {
    std::memset(grad<float>(v), 0, static_cast<size_t>(padded_tokens_ * graph_.cols(v)) * 4);
  }
  for (auto op = graph_.ops().rbegin(); op != graph_.ops().rend(); ++op) {
    bool has_backward = false;
    for (const ValueId v : (*op)->writes()) has_backward |= graph_.requires_grad(v);
    if (has_backward) (*op)->backward(*this);
  }
}

void Exec::for_token_blocks(const std::function<void(int64_t, int64_t, int)>& body) {
  constexpr int64_t kBlock = 64;
  const int64_t total = tokens();
  run((total + kBlock - 1) / kBlock, [&](int64_t task, int worker) {
    const int64_t first = task * kBlock;
    body(first, std::min(kBlock, total - first), worker);
  });
}

}  // namespace dlm
