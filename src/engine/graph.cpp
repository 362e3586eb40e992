#include "engine/graph.h"

#include <algorithm>

#include "support/error.h"

namespace dlm {

namespace {

// A buffer lives over [start, end] of the timeline: the forward ops, then the backward ops
// reversed.
struct Buffer {
  int64_t bytes_per_token;
  int start;
  int end;
  int64_t* offset;
};

// First-fit placement in order of start time; larger buffers first among equals. Returns the total.
int64_t place(std::vector<Buffer>& buffers) {
  std::stable_sort(buffers.begin(), buffers.end(), [](const Buffer& a, const Buffer& b) {
    return a.start != b.start ? a.start < b.start : a.bytes_per_token > b.bytes_per_token;
  });
  std::vector<const Buffer*> live;
  int64_t total = 0;
  for (const Buffer& buffer : buffers) {
    std::erase_if(live, [&](const Buffer* other) { return other->end < buffer.start; });
    std::sort(live.begin(), live.end(),
              [](const Buffer* a, const Buffer* b) { return *a->offset < *b->offset; });
    int64_t offset = 0;
    for (const Buffer* other : live) {
      if (offset + buffer.bytes_per_token <= *other->offset) break;
      offset = std::max(offset, *other->offset + other->bytes_per_token);
    }
    *buffer.offset = offset;
    total = std::max(total, offset + buffer.bytes_per_token);
    live.push_back(&buffer);
  }
  return total;
}

}  // namespace

ValueId Graph::add_value(std::string name, int64_t cols, DType dtype, bool is_residual) {
  Value value;
  value.name = std::move(name);
  value.cols = cols;
  value.dtype = dtype;
  value.is_residual = is_residual;
  values_.push_back(std::move(value));
  return {static_cast<int>(values_.size()) - 1};
}

void Graph::add_op(std::unique_ptr<Op> op) {
  ops_.push_back(std::move(op));
}

void Graph::finish(bool training) {
  training_ = training;
  const int num_ops = static_cast<int>(ops_.size());
  for (const auto& op : ops_) {
    bool requires_grad = false;
    for (const Parameter* p : op->parameters()) requires_grad |= p->trains;
    for (const ValueId v : op->reads()) requires_grad |= values_[v.index].requires_grad;
    for (const ValueId v : op->writes()) values_[v.index].requires_grad = training && requires_grad;
  }

  struct Life {
    int start = -1;
    int end = -1;
    void touch(int time) {
      start = start < 0 ? time : std::min(start, time);
      end = std::max(end, time);
    }
  };
  std::vector<Life> data(values_.size());
  std::vector<Life> grad(values_.size());
  Life residual_grad;
  const auto touch_grad = [&](ValueId v, int time) {
    if (!values_[v.index].requires_grad) return;
    (values_[v.index].is_residual ? residual_grad : grad[v.index]).touch(time);
  };
  for (int i = 0; i < num_ops; ++i) {
    const Op& op = *ops_[i];
    const int backward_time = 2 * num_ops - 1 - i;
    bool has_backward = false;
    for (const ValueId v : op.writes()) has_backward |= values_[v.index].requires_grad;
    for (const ValueId v : op.reads()) data[v.index].touch(i);
    for (const ValueId v : op.writes()) data[v.index].touch(i);
    for (const ValueId v : op.forward_scratch()) data[v.index].touch(i);
    if (!training || !has_backward) continue;
    for (const ValueId v : op.saves()) data[v.index].touch(backward_time);
    for (const ValueId v : op.backward_scratch()) data[v.index].touch(backward_time);
    for (const ValueId v : op.reads()) touch_grad(v, backward_time);
    for (const ValueId v : op.writes()) touch_grad(v, backward_time);
  }

  std::vector<Buffer> buffers;
  int64_t residual_offset = -1;
  int64_t residual_bytes = 0;
  const auto bytes = [&](const Value& v) {
    return v.cols * static_cast<int64_t>(dtype_size(v.dtype));
  };
  for (size_t i = 0; i < values_.size(); ++i) {
    Value& v = values_[i];
    if (keep_all_ && data[i].start >= 0) data[i].touch(2 * num_ops);
    if (data[i].start >= 0) {
      buffers.push_back({bytes(v), data[i].start, data[i].end, &v.data_offset});
    }
    if (v.is_residual) {
      residual_bytes = std::max(residual_bytes, v.cols * 4);
    } else if (grad[i].start >= 0) {
      buffers.push_back({bytes(v), grad[i].start, grad[i].end, &v.grad_offset});
    }
  }
  if (residual_grad.start >= 0) {
    buffers.push_back({residual_bytes, num_ops, residual_grad.end, &residual_offset});
  }
  arena_bytes_per_token_ = place(buffers);
  for (Value& v : values_) {
    if (v.is_residual) v.grad_offset = residual_offset;
  }
}

ValueId Graph::any_residual_with_grad() const {
  for (size_t i = 0; i < values_.size(); ++i) {
    if (values_[i].is_residual && values_[i].requires_grad && values_[i].grad_offset >= 0) {
      return {static_cast<int>(i)};
    }
  }
  return {};
}

size_t Graph::scratch_bytes_per_worker(int64_t tokens) const {
  size_t most = 0;
  for (const auto& op : ops_) most = std::max(most, op->scratch_bytes(tokens));
  return most;
}

}  // namespace dlm
