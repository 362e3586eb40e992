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

PassMemory::PassMemory(std::byte* arena, size_t arena_bytes, std::shared_ptr<PassMemory> outer)
    : arena_(std::shared_ptr<std::byte>(), arena),
      arena_bytes_(arena_bytes),
      scratch_(outer, outer->scratch()),
      scratch_bytes_(outer->scratch_bytes_) {}

std::byte* PassMemory::shared(size_t bytes) {
  if (bytes > shared_bytes_) {
    shared_.reset();
    shared_bytes_ = 0;
    shared_ = allocate_aligned(bytes);
    shared_bytes_ = bytes;
  }
  return shared_.get();
}

void PassMemory::reserve(size_t arena_bytes, size_t scratch_bytes) {
  // Freed before the larger one is taken. Zeroed, because lines beyond the last token are
  // multiplied too and must hold numbers.
  const auto grow = [](std::shared_ptr<std::byte>& memory, size_t& held, size_t wanted) {
    if (wanted <= held) return;
    memory.reset();
    held = 0;
    memory = allocate_aligned(wanted);
    std::memset(memory.get(), 0, wanted);
    held = wanted;
  };
  grow(arena_, arena_bytes_, arena_bytes);
  grow(scratch_, scratch_bytes_, scratch_bytes);
}

namespace {
size_t scratch_stride(const Graph& graph, int64_t padded_tokens) {
  return (graph.scratch_bytes_per_worker(padded_tokens) + 127) / 64 * 64;
}
}  // namespace

size_t Exec::arena_bytes(const Graph& graph, int64_t tokens) {
  return static_cast<size_t>(graph.arena_bytes_per_token() * padded(tokens));
}

size_t Exec::scratch_bytes(const Graph& graph, int64_t tokens, int num_threads) {
  return scratch_stride(graph, padded(tokens)) * static_cast<size_t>(num_threads);
}

Exec::Exec(const Graph& graph, Device& device, std::shared_ptr<PassMemory> memory)
    : graph_(graph),
      device_(device),
      memory_(memory != nullptr ? std::move(memory) : std::make_shared<PassMemory>()) {}

Exec::Exec(const Graph& graph, Exec& outer, std::byte* arena)
    : observer(outer.observer),
      graph_(graph),
      device_(outer.device_),
      outer_(&outer),
      memory_(
          std::make_shared<PassMemory>(arena, arena_bytes(graph, outer.tokens()), outer.memory_)) {}

void Exec::forward(const Batch& batch) {
  check(batch.num_tokens() > 0, "forward: an empty batch");
  batch_ = &batch;
  padded_tokens_ = padded(batch.num_tokens());
  scratch_stride_ = scratch_stride(graph_, padded_tokens_);
  shared_bytes_ = 0;
  memory_->reserve(arena_bytes(graph_, batch.num_tokens()),
                   scratch_bytes(graph_, batch.num_tokens(), device_.pool().num_threads()));
  if (dropout_on) {
    token_keys_.assign(batch.tokens.size(), 0);
    for (const BatchRow& row : batch.rows) {
      for (int64_t t = row.begin; t < row.end; ++t) {
        const auto position = static_cast<uint64_t>(t - row.begin);
        token_keys_[static_cast<size_t>(t)] = random_key({row.id, position});
      }
    }
  }
  run_forward(batch);
}

void Exec::run_forward(const Batch& batch) {
  const auto num_frozen =
      static_cast<size_t>(frozen_lines == nullptr ? 0 : graph_.num_frozen_ops());
  size_t next = 0;
  const auto run_next = [&] {
    const Op& op = *graph_.ops()[next++];
    if (observer != nullptr) observer->before_forward(*this, op);
    op.forward(*this);
  };
  if (num_frozen > 0) {
    float* lines = data<float>(graph_.frozen_value());
    if (!frozen_lines->load(batch, lines)) {
      while (next < num_frozen) run_next();
      frozen_lines->store(batch, lines);
    }
    next = num_frozen;
  }
  while (next < graph_.ops().size()) run_next();
}

std::byte* Exec::shared() {
  if (outer_ != nullptr) return outer_->shared();
  if (shared_bytes_ == 0) shared_bytes_ = graph_.shared_bytes(padded_tokens_);
  return memory_->shared(shared_bytes_);
}

void Exec::backward() {
  check(graph_.training() && batch_ != nullptr, "backward: no training graph or no forward pass");
  // The residual stream's gradient, one buffer for all residual values, is accumulated from zero.
  if (const ValueId v = graph_.any_residual_with_grad(); v.valid()) {
    std::memset(grad<float>(v), 0, static_cast<size_t>(padded_tokens_ * graph_.cols(v)) * 4);
  }
  for (const BackwardStep& step : graph_.backward_steps()) {
    if (step.is_forward) {
      step.op->forward(*this);
    } else {
      step.op->backward(*this);
    }
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
