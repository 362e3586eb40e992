// A model as a static list of operations on values, and the memory plan that follows from it.
// Forward and backward are two passes over the list. All values are matrices with one line per
// token of a padding-free batch, so their sizes, offsets and the predicted peak are bytes per
// token, known before the first step.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/parameter.h"
#include "engine/recompute.h"
#include "engine/tensor.h"

namespace dlm {

class Exec;

// Index of a value in its graph.
struct ValueId {
  int index = -1;
  bool valid() const { return index >= 0; }
};

// Lines of a batch are padded to this many tokens, so that every matrix product sees full tiles.
inline constexpr int64_t kTokenBlock = 32;
inline int64_t padded(int64_t tokens) {
  return (tokens + kTokenBlock - 1) / kTokenBlock * kTokenBlock;
}

class Op {
 public:
  virtual ~Op() = default;
  virtual std::string name() const = 0;

  virtual std::vector<ValueId> reads() const = 0;
  virtual std::vector<ValueId> writes() const = 0;
  // Values whose forward data the backward pass reads.
  virtual std::vector<ValueId> saves() const = 0;
  // Values that only this op's forward or backward pass uses, as working memory.
  virtual std::vector<ValueId> forward_scratch() const { return {}; }
  virtual std::vector<ValueId> backward_scratch() const { return {}; }
  virtual std::vector<Parameter*> parameters() const { return {}; }
  // Working memory of one worker, in bytes.
  virtual size_t scratch_bytes(int64_t) const { return 0; }
  // Working memory that all workers share while this op runs over so many tokens, in bytes: decoded
  // weights, logits.
  virtual size_t shared_bytes(int64_t) const { return 0; }

  // Whether running forward() again costs next to nothing beside a matrix product.
  virtual bool is_cheap() const { return false; }

  // Writes its values and nothing else that adds up: it may run twice for one batch.
  virtual void forward(Exec& exec) const = 0;
  // Adds parameter gradients; writes the gradients of reads() whose value requires one.
  virtual void backward(Exec& exec) const = 0;
};

class Graph {
 public:
  // f32 or activation type, `cols` elements per token. A residual value shares one gradient buffer
  // with all other residual values: gradients add up in it from the last layer to the first.
  ValueId add_value(std::string name, int64_t cols, DType dtype, bool is_residual = false);
  void add_op(std::unique_ptr<Op> op);
  // Names the input of a layer, f32: what lies between two of them can be computed again, and what
  // lies below one can be kept from an earlier pass.
  void mark_checkpoint(ValueId v) { values_[v.index].is_checkpoint = true; }

  // Fixes the list: which values require gradients, and every buffer's lifetime and offset. With
  // training false only forward buffers exist, and nothing is computed again.
  void finish(bool training, Recompute recompute = Recompute::kNothing);

  const std::vector<std::unique_ptr<Op>>& ops() const { return ops_; }
  // The backward pass in order; empty when not training.
  const std::vector<BackwardStep>& backward_steps() const { return backward_steps_; }
  // The highest checkpoint below every parameter that trains, and how many operations lead to it:
  // its lines depend on a row's tokens alone, and what is above reads nothing else from below. An
  // invalid id and 0 when no layer is frozen.
  ValueId frozen_value() const { return frozen_value_; }
  int num_frozen_ops() const { return num_frozen_ops_; }
  size_t num_values() const { return values_.size(); }
  bool training() const { return training_; }
  bool requires_grad(ValueId v) const { return values_[v.index].requires_grad; }
  bool is_residual(ValueId v) const { return values_[v.index].is_residual; }
  int64_t cols(ValueId v) const { return values_[v.index].cols; }
  DType dtype(ValueId v) const { return values_[v.index].dtype; }
  bool is_checkpoint(ValueId v) const { return values_[v.index].is_checkpoint; }
  int64_t bytes_per_token(ValueId v) const {
    return cols(v) * static_cast<int64_t>(dtype_size(dtype(v)));
  }
  const std::string& value_name(ValueId v) const { return values_[v.index].name; }

  // Bytes per token of the activation arena; offsets of a value's data and gradient in it, per
  // token.
  int64_t arena_bytes_per_token() const { return arena_bytes_per_token_; }
  int64_t data_offset(ValueId v) const { return values_[v.index].data_offset; }
  int64_t grad_offset(ValueId v) const { return values_[v.index].grad_offset; }
  size_t scratch_bytes_per_worker(int64_t tokens) const;
  size_t shared_bytes(int64_t tokens) const;
  // A residual value that requires a gradient, or an invalid id: they all share one buffer.
  ValueId any_residual_with_grad() const;

  // The graph appends to one text: passes of a few tokens are bound by reading the weights once,
  // and may sum in another order than passes of many, which no training or judging may.
  void set_generates() { generates_ = true; }
  bool generates() const { return generates_; }

  // Keeps every value's data alive to the end of the forward pass, for tests that look inside.
  void keep_all_values() { keep_all_ = true; }

 private:
  struct Value {
    std::string name;
    int64_t cols = 0;
    DType dtype = DType::kF32;
    bool is_residual = false;
    bool is_checkpoint = false;
    bool requires_grad = false;
    int64_t data_offset = -1;
    int64_t grad_offset = -1;
  };

  void find_gradients();
  void find_frozen_prefix();
  void place_values();

  std::vector<Value> values_;
  std::vector<std::unique_ptr<Op>> ops_;
  bool training_ = false;
  bool keep_all_ = false;
  bool generates_ = false;
  std::vector<bool> dropped_;  // values that the backward pass computes again
  std::vector<BackwardStep> backward_steps_;
  ValueId frozen_value_;
  int num_frozen_ops_ = 0;
  int64_t arena_bytes_per_token_ = 0;
};

}  // namespace dlm
