// One pass of a graph over one batch: it binds values to memory, and gives operations the batch,
// the workers and the kernels.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "engine/cpu/kernels.h"
#include "engine/graph.h"
#include "support/threads.h"

namespace dlm {

// Where the keys and values of a sequence begin in the caches (KvCacheLayer).
struct KvPlace {
  int64_t line = 0;
  bool is_passing = false;
};

struct BatchRow {
  int64_t begin = 0;  // first token
  int64_t end = 0;    // one past the last
  uint64_t id = 0;    // keys the row's random numbers
  // While generating: the place of its sequence, and where the keys before its first position are
  // those of another sequence, which are copied, the other's. That one is complete before this
  // pass or an earlier row of it.
  KvPlace cache{};
  std::optional<KvPlace> prefix{};
};

// A padding-free batch: rows are concatenated, attention never crosses a row.
struct Batch {
  std::vector<int32_t> tokens;
  std::vector<int32_t> positions;  // one per token, from 0 in each row
  std::vector<int32_t> labels;     // the token that follows, or kNoLabel; empty when not training
  std::vector<BatchRow> rows;

  static constexpr int32_t kNoLabel = -1;

  int64_t num_tokens() const { return static_cast<int64_t>(tokens.size()); }
  int64_t num_labels() const;
  // Appends a row with positions 0, 1, ...; labels as above, or empty.
  void add_row(std::span<const int32_t> row_tokens, std::span<const int32_t> row_labels,
               uint64_t id);
};

// The workers and kernels of a process; shared by every graph that runs in it.
class Device {
 public:
  // num_threads as in choose_num_threads(). Throws Error(kUsage) for a bad environment.
  explicit Device(int num_threads = 0);

  ThreadPool& pool() { return pool_; }
  const Kernels& kernels() const { return *kernels_; }
  IsaTier tier() const { return tier_; }
  // bf16 where the tier has its products, else f32.
  DType preferred_dtype() const;

 private:
  IsaTier tier_;
  const Kernels* kernels_;
  ThreadPool pool_;
};

// Memory of passes: activations and the workers' working memory. Passes that take turns share one;
// what a pass left there is gone when another begins.
class PassMemory {
 public:
  PassMemory() = default;
  // A piece of another's arena, with its working memory.
  PassMemory(std::byte* arena, size_t arena_bytes, std::shared_ptr<PassMemory> outer);
  // At least so many bytes of each; grows, never shrinks. Throws Error(kTrain) when there are none.
  void reserve(size_t arena_bytes, size_t scratch_bytes);

  std::byte* arena() const { return arena_.get(); }
  std::byte* scratch() const { return scratch_.get(); }
  // At least so many bytes that all workers share, taken when they are first wanted.
  std::byte* shared(size_t bytes);

 private:
  std::shared_ptr<std::byte> arena_;
  size_t arena_bytes_ = 0;
  std::shared_ptr<std::byte> scratch_;
  size_t scratch_bytes_ = 0;
  std::shared_ptr<std::byte> shared_;
  size_t shared_bytes_ = 0;
};

// Keeps lines of Graph::frozen_value() from one pass to later ones.
class FrozenLines {
 public:
  virtual ~FrozenLines() = default;
  // Fills `lines`, f32 [tokens, hidden], with what store() was given for the same rows; false when
  // a row is missing.
  virtual bool load(const Batch& batch, float* lines) = 0;
  virtual void store(const Batch& batch, const float* lines) = 0;
};

class Exec;

// Looks at what flows through a model, on the thread that runs the pass.
class OpObserver {
 public:
  virtual ~OpObserver() = default;
  // What the op reads is in place; what it writes is not yet.
  virtual void before_forward(Exec& exec, const Op& op) = 0;
};

class Exec {
 public:
  // Uses `memory`, which other passes may share, or its own when there is none.
  Exec(const Graph& graph, Device& device, std::shared_ptr<PassMemory> memory = nullptr);
  // A pass inside one operation of another pass. It works in `arena`, memory of the outer pass for
  // this graph's arena_bytes_per_token() and as many padded tokens as the outer pass has, and in
  // the outer pass's scratch and shared memory, which are large enough for both.
  Exec(const Graph& graph, Exec& outer, std::byte* arena);

  // Runs the forward pass. Values stay readable until the next call.
  void forward(const Batch& batch);
  // Runs the backward pass of the last forward(). Parameter gradients are added to Parameter::grad.
  void backward();

  const Graph& graph() const { return graph_; }
  const Batch& batch() const { return *batch_; }
  int64_t tokens() const { return batch_->num_tokens(); }
  // tokens() rounded up to kTokenBlock; the lines in between hold zeros or stale finite numbers.
  int64_t padded_tokens() const { return padded_tokens_; }

  template <class T>
  T* data(ValueId v) {
    return reinterpret_cast<T*>(at(graph_.data_offset(v)));
  }
  template <class T>
  T* grad(ValueId v) {
    return reinterpret_cast<T*>(at(graph_.grad_offset(v)));
  }
  const void* raw_data(ValueId v) { return at(graph_.data_offset(v)); }

  Device& device() { return device_; }
  const Kernels& kernels() const { return device_.kernels(); }
  template <class T>
  const RowKernels<T>& rows() const {
    return device_.kernels().rows<T>();
  }
  std::byte* scratch(int worker) {
    return memory_->scratch() + static_cast<size_t>(worker) * scratch_stride_;
  }

  // Memory that the running op's workers share, Graph::shared_bytes() of the pass; taken at the
  // first call, since many passes need none. Only for the calling thread.
  std::byte* shared();

  // Runs body(task, worker) for each task on the workers.
  void run(int64_t num_tasks, const std::function<void(int64_t, int)>& body) {
    device_.pool().run(num_tasks, body);
  }
  // Runs body(first token, count, worker) over blocks of at most 64 tokens.
  void for_token_blocks(const std::function<void(int64_t, int64_t, int)>& body);

  // Multiplies the loss's gradient: one over the labelled tokens of the whole optimizer step.
  float loss_scale = 1.0f;
  // Whether LoRA inputs are dropped out. Masks are keyed by (row id, position, layer, channel).
  bool dropout_on = false;
  // Hash of (row id, position) of a token, 0 for lines of no row; valid while dropout_on.
  uint64_t token_key(int64_t token) const { return token_keys_[static_cast<size_t>(token)]; }
  // Loss of each labelled token, in token order; written by the cross-entropy op.
  std::vector<float> token_losses;
  // Where layers below everything that trains may be skipped; may be null.
  FrozenLines* frozen_lines = nullptr;
  // Is called for each operation of a forward pass, and of passes inside one; may be null.
  OpObserver* observer = nullptr;

  // Bytes that a pass over so many tokens needs, on so many workers; without shared().
  static size_t arena_bytes(const Graph& graph, int64_t tokens);
  static size_t scratch_bytes(const Graph& graph, int64_t tokens, int num_threads);

 private:
  void run_forward(const Batch& batch);

  std::byte* at(int64_t offset_per_token) {
    return memory_->arena() +
           static_cast<size_t>(offset_per_token) * static_cast<size_t>(padded_tokens_);
  }

  const Graph& graph_;
  Device& device_;
  Exec* outer_ = nullptr;  // the pass that this one is a part of
  const Batch* batch_ = nullptr;
  int64_t padded_tokens_ = 0;
  std::vector<uint64_t> token_keys_;
  std::shared_ptr<PassMemory> memory_;
  size_t scratch_stride_ = 0;
  size_t shared_bytes_ = 0;  // of the last batch, once they are wanted
};

}  // namespace dlm
