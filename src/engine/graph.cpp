#include "engine/graph.h"

#include <algorithm>

#include "engine/place.h"

namespace dlm {

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

void Graph::finish(bool training, Recompute recompute) {
  training_ = training;
  find_frozen_prefix();
  if (training) find_gradients();
  dropped_ = values_to_recompute(*this, training ? recompute : Recompute::kNothing);
  if (training) backward_steps_ = dlm::backward_steps(*this, dropped_);
  place_values();
}

void Graph::find_gradients() {
  for (const auto& op : ops_) {
    bool requires_grad = false;
    for (const Parameter* p : op->parameters()) requires_grad |= p->trains;
    for (const ValueId v : op->reads()) requires_grad |= values_[v.index].requires_grad;
    for (const ValueId v : op->writes()) values_[v.index].requires_grad = requires_grad;
  }
}

void Graph::find_frozen_prefix() {
  const auto trains = [](const Op& op) {
    const std::vector<Parameter*> all = op.parameters();
    return std::any_of(all.begin(), all.end(), [](const Parameter* p) { return p->trains; });
  };
  // The first operation above the last that reads each value.
  std::vector<size_t> last_reader(values_.size(), 0);
  for (size_t i = 0; i < ops_.size(); ++i) {
    for (const ValueId v : ops_[i]->reads()) last_reader[static_cast<size_t>(v.index)] = i + 1;
  }
  std::vector<ValueId> below;
  int num_checkpoints = 0;
  for (size_t i = 0; i < ops_.size() && !trains(*ops_[i]); ++i) {
    ValueId checkpoint;
    for (const ValueId v : ops_[i]->writes()) {
      if (values_[v.index].is_checkpoint) checkpoint = v;
      below.push_back(v);
    }
    // The embedding alone is not worth keeping.
    if (!checkpoint.valid() || ++num_checkpoints == 1) continue;
    const bool is_cut = std::all_of(below.begin(), below.end(), [&](ValueId v) {
      return v.index == checkpoint.index || last_reader[static_cast<size_t>(v.index)] <= i + 1;
    });
    if (!is_cut) continue;
    frozen_value_ = checkpoint;
    num_frozen_ops_ = static_cast<int>(i) + 1;
  }
}

void Graph::place_values() {
  // The timeline: the forward operations, then the steps of the backward pass.
  const int num_ops = static_cast<int>(ops_.size());
  const int end_of_time = num_ops + static_cast<int>(backward_steps_.size());
  std::vector<PlacedBuffer> data(values_.size());
  std::vector<PlacedBuffer> grad(values_.size());
  PlacedBuffer residual_grad;
  const auto touch_data = [&](ValueId v, int time) {
    PlacedBuffer& buffer = data[v.index];
    (dropped_[v.index] && time >= num_ops ? buffer.second : buffer.first).touch(time);
  };
  // Holds nothing from the forward pass to the backward pass.
  const auto touch_scratch = [&](ValueId v, int time) {
    (time >= num_ops ? data[v.index].second : data[v.index].first).touch(time);
  };
  const auto touch_grad = [&](ValueId v, int time) {
    if (!values_[v.index].requires_grad) return;
    (values_[v.index].is_residual ? residual_grad : grad[v.index]).first.touch(time);
  };
  for (int i = 0; i < num_ops; ++i) {
    for (const ValueId v : ops_[i]->reads()) touch_data(v, i);
    for (const ValueId v : ops_[i]->writes()) touch_data(v, i);
    for (const ValueId v : ops_[i]->forward_scratch()) touch_scratch(v, i);
  }
  for (int time = num_ops; time < end_of_time; ++time) {
    const BackwardStep& step = backward_steps_[time - num_ops];
    if (step.is_forward) {
      for (const ValueId v : step.op->reads()) touch_data(v, time);
      for (const ValueId v : step.op->writes()) touch_data(v, time);
      for (const ValueId v : step.op->forward_scratch()) touch_scratch(v, time);
      continue;
    }
    for (const ValueId v : step.op->saves()) touch_data(v, time);
    for (const ValueId v : step.op->backward_scratch()) touch_scratch(v, time);
    for (const ValueId v : step.op->reads()) touch_grad(v, time);
    for (const ValueId v : step.op->writes()) touch_grad(v, time);
  }
  if (!residual_grad.first.is_empty()) residual_grad.first.touch(num_ops);

  std::vector<PlacedBuffer> buffers;
  std::vector<int64_t*> offsets;
  const auto add = [&](PlacedBuffer buffer, int64_t size, int64_t* offset) {
    if (buffer.first.is_empty() && buffer.second.is_empty()) return;
    buffer.size = size;
    buffers.push_back(buffer);
    offsets.push_back(offset);
  };
  int64_t residual_offset = -1;
  int64_t residual_bytes = 0;
  for (size_t i = 0; i < values_.size(); ++i) {
    Value& v = values_[i];
    const int64_t size = bytes_per_token({static_cast<int>(i)});
    if (keep_all_ && !data[i].first.is_empty()) data[i].first.touch(end_of_time);
    add(data[i], size, &v.data_offset);
    if (v.is_residual) {
      residual_bytes = std::max(residual_bytes, v.cols * 4);
    } else {
      add(grad[i], size, &v.grad_offset);
    }
  }
  add(residual_grad, residual_bytes, &residual_offset);
  arena_bytes_per_token_ = place_buffers(buffers);
  for (size_t i = 0; i < buffers.size(); ++i) *offsets[i] = buffers[i].offset;
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

size_t Graph::shared_bytes(int64_t tokens) const {
  size_t most = 0;
  for (const auto& op : ops_) most = std::max(most, op->shared_bytes(tokens));
  return most;
}

}  // namespace dlm
