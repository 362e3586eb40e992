// Sparse mixture of experts (Jiang et al. 2024): each token takes some of several MLPs. An expert
// is a graph of its own that runs over the tokens routed to it, as a small batch with the same
// document rows, so that adapters and their gradients work as everywhere. Experts run one after the
// other in one piece of the outer pass's memory; the backward pass computes their forward pass
// again.

#include <algorithm>
#include <cstring>
#include <vector>

#include "engine/exec.h"
#include "engine/ops.h"
#include "engine/ops/add_typed.h"
#include "support/error.h"

namespace dlm {

namespace {

// The values of the outer graph.
struct Values {
  ValueId x;         // T [hidden]
  ValueId residual;  // f32 [hidden]
  ValueId out;       // f32 [hidden]
  ValueId logits;    // f32 [experts]
  ValueId chosen;    // i32 [experts_per_token]
  ValueId weights;   // f32 [experts_per_token]
  ValueId sum;       // f32 [hidden], scratch: the gradient of x before it is rounded
  ValueId memory;    // scratch: the arena of one expert's pass
};

// What an expert's graph reads from and writes to: the outer pass, and the tokens routed to it.
// Line i of the expert's batch is token tokens[i], whose slots[i]-th choice it is.
struct Routing {
  Exec* outer = nullptr;
  std::vector<int64_t> tokens;
  std::vector<int64_t> slots;
  // The backward pass's second forward pass leaves the output alone.
  bool writes_output = true;

  int64_t count() const { return static_cast<int64_t>(tokens.size()); }
};

template <class T>
class GatherOp : public Op {
 public:
  GatherOp(const Routing* routing, const Values& outer, int64_t hidden, bool for_training,
           ValueId x)
      : routing_(routing), outer_(outer), hidden_(hidden), x_(x) {
    wants_gradient_.trains = for_training;
  }
  std::string name() const override { return "gather"; }
  std::vector<ValueId> reads() const override { return {}; }
  std::vector<ValueId> writes() const override { return {x_}; }
  std::vector<ValueId> saves() const override { return {}; }
  // Stands for the outer graph's value, so that gradients flow down to it.
  std::vector<Parameter*> parameters() const override { return {&wants_gradient_}; }

  void forward(Exec& exec) const override {
    const T* from = routing_->outer->data<T>(outer_.x);
    T* to = exec.data<T>(x_);
    const auto bytes = static_cast<size_t>(hidden_) * sizeof(T);
    for (int64_t i = 0; i < routing_->count(); ++i) {
      const int64_t token = routing_->tokens[static_cast<size_t>(i)];
      std::memcpy(static_cast<void*>(to + i * hidden_), from + token * hidden_, bytes);
    }
    std::memset(static_cast<void*>(to + routing_->count() * hidden_), 0,
                static_cast<size_t>(exec.padded_tokens() - routing_->count()) * bytes);
  }
  void backward(Exec& exec) const override {
    float* sum = routing_->outer->data<float>(outer_.sum);
    exec.for_token_blocks([&](int64_t first, int64_t count, int) {
      for (int64_t i = first; i < std::min(first + count, routing_->count()); ++i) {
        exec.rows<T>().add_to_f32(exec.grad<T>(x_) + i * hidden_, hidden_,
                                  sum + routing_->tokens[static_cast<size_t>(i)] * hidden_);
      }
    });
  }

 private:
  const Routing* routing_;
  Values outer_;
  int64_t hidden_;
  ValueId x_;
  mutable Parameter wants_gradient_;
};

template <class T>
class ScatterOp : public Op {
 public:
  ScatterOp(const Routing* routing, const Values& outer, int64_t hidden, int64_t choices, ValueId y,
            ValueId end)
      : routing_(routing), outer_(outer), hidden_(hidden), choices_(choices), y_(y), end_(end) {}
  std::string name() const override { return "scatter"; }
  std::vector<ValueId> reads() const override { return {y_}; }
  std::vector<ValueId> writes() const override { return {end_}; }
  std::vector<ValueId> saves() const override { return {y_}; }
  size_t scratch_bytes(int64_t) const override {
    return static_cast<size_t>(hidden_) * sizeof(float);
  }

  void forward(Exec& exec) const override {
    if (!routing_->writes_output) return;
    Exec& outer = *routing_->outer;
    for_lines(exec, [&](int64_t i, int64_t token, int64_t choice, float* line) {
      exec.rows<T>().to_f32(exec.data<T>(y_) + i * hidden_, hidden_, line);
      exec.kernels().axpy(outer.data<float>(outer_.weights)[choice], line, hidden_,
                          outer.data<float>(outer_.out) + token * hidden_);
    });
  }
  // dy = weight * dout, dweight = dout . y.
  void backward(Exec& exec) const override {
    Exec& outer = *routing_->outer;
    std::memset(static_cast<void*>(exec.grad<T>(y_)), 0,
                static_cast<size_t>(exec.padded_tokens() * hidden_) * sizeof(T));
    for_lines(exec, [&](int64_t i, int64_t token, int64_t choice, float* line) {
      const float* dout = outer.grad<float>(outer_.out) + token * hidden_;
      exec.rows<T>().to_f32(exec.data<T>(y_) + i * hidden_, hidden_, line);
      outer.grad<float>(outer_.weights)[choice] = exec.rows<float>().dot(dout, line, hidden_);
      std::memset(line, 0, static_cast<size_t>(hidden_) * sizeof(float));
      exec.kernels().axpy(outer.data<float>(outer_.weights)[choice], dout, hidden_, line);
      exec.rows<T>().from_f32(line, hidden_, exec.grad<T>(y_) + i * hidden_);
    });
  }

 private:
  // body(line, token, index of the token's choice, f32 scratch [hidden]). No two lines of an expert
  // are the same token.
  template <class Body>
  void for_lines(Exec& exec, const Body& body) const {
    exec.for_token_blocks([&](int64_t first, int64_t count, int worker) {
      float* line = reinterpret_cast<float*>(exec.scratch(worker));
      for (int64_t i = first; i < std::min(first + count, routing_->count()); ++i) {
        const int64_t token = routing_->tokens[static_cast<size_t>(i)];
        body(i, token, token * choices_ + routing_->slots[static_cast<size_t>(i)], line);
      }
    });
  }

  const Routing* routing_;
  Values outer_;
  int64_t hidden_;
  int64_t choices_;
  ValueId y_;
  ValueId end_;
};

template <class T>
class ExpertsOp : public Op {
 public:
  ExpertsOp(ExpertsSpec spec, const Values& values, std::unique_ptr<Routing> routing,
            std::vector<std::unique_ptr<Graph>> graphs)
      : spec_(std::move(spec)),
        v_(values),
        routing_(std::move(routing)),
        graphs_(std::move(graphs)),
        hidden_(spec_.router->value.dim(1)),
        num_experts_(spec_.router->value.dim(0)),
        choices_(spec_.experts_per_token) {}

  std::string name() const override { return "experts"; }
  std::vector<ValueId> reads() const override { return {v_.x, v_.residual}; }
  std::vector<ValueId> writes() const override {
    return {v_.out, v_.logits, v_.chosen, v_.weights};
  }
  std::vector<ValueId> saves() const override { return {v_.x, v_.chosen, v_.weights}; }
  std::vector<ValueId> forward_scratch() const override { return {v_.memory}; }
  std::vector<ValueId> backward_scratch() const override { return {v_.memory, v_.sum}; }
  std::vector<Parameter*> parameters() const override {
    std::vector<Parameter*> all;
    for (const auto& graph : graphs_) {
      for (const auto& op : graph->ops()) {
        if (op->name() == "gather") continue;
        const auto of_op = op->parameters();
        all.insert(all.end(), of_op.begin(), of_op.end());
      }
    }
    return all;
  }
  size_t scratch_bytes(int64_t tokens) const override {
    size_t most = static_cast<size_t>(choices_) * sizeof(float);
    for (const auto& graph : graphs_) {
      most = std::max(most, graph->scratch_bytes_per_worker(tokens));
    }
    return most;
  }

  size_t shared_bytes(int64_t tokens) const override {
    size_t most = 0;
    for (const auto& graph : graphs_) most = std::max(most, graph->shared_bytes(tokens));
    return most;
  }

  void forward(Exec& exec) const override {
    route(exec);
    std::memcpy(exec.data<float>(v_.out), exec.data<float>(v_.residual),
                static_cast<size_t>(exec.tokens() * hidden_) * sizeof(float));
    for_experts(exec, [&](Exec& pass, const Batch& batch) {
      routing_->writes_output = true;
      pass.forward(batch);
    });
  }

  void backward(Exec& exec) const override {
    std::memset(exec.data<float>(v_.sum), 0,
                static_cast<size_t>(exec.tokens() * hidden_) * sizeof(float));
    for_experts(exec, [&](Exec& pass, const Batch& batch) {
      routing_->writes_output = false;
      pass.forward(batch);
      pass.backward();
    });
    if (!exec.graph().requires_grad(v_.x)) return;
    exec.for_token_blocks([&](int64_t first, int64_t count, int) {
      for (int64_t t = first; t < first + count; ++t) router_backward(exec, t);
    });
  }

 private:
  // Logits, the chosen experts (largest first) and their weights.
  void route(Exec& exec) const {
    exec.for_token_blocks([&](int64_t first, int64_t count, int worker) {
      float* logits = exec.data<float>(v_.logits) + first * num_experts_;
      exec.rows<T>().rank_project(exec.data<T>(v_.x) + first * hidden_, count, hidden_, hidden_,
                                  spec_.router->value.f32(), hidden_, num_experts_, 1.0f, logits);
      float* best = reinterpret_cast<float*>(exec.scratch(worker));
      std::vector<int32_t> order(static_cast<size_t>(num_experts_));
      for (int64_t t = first; t < first + count; ++t, logits += num_experts_) {
        for (size_t e = 0; e < order.size(); ++e) order[e] = static_cast<int32_t>(e);
        std::stable_sort(order.begin(), order.end(),
                         [&](int32_t a, int32_t b) { return logits[a] > logits[b]; });
        for (int64_t i = 0; i < choices_; ++i) {
          exec.data<int32_t>(v_.chosen)[t * choices_ + i] = order[static_cast<size_t>(i)];
          best[i] = logits[order[static_cast<size_t>(i)]];
        }
        exec.rows<float>().softmax(best, choices_, choices_, 1.0f,
                                   exec.data<float>(v_.weights) + t * choices_);
      }
    });
  }

  // body(pass, batch) for each expert that some token has chosen, in order.
  template <class Body>
  void for_experts(Exec& exec, const Body& body) const {
    for (size_t e = 0; e < graphs_.size(); ++e) {
      const Batch batch = gather_batch(exec, static_cast<int32_t>(e));
      if (routing_->tokens.empty()) continue;
      Exec pass(*graphs_[e], exec, exec.data<std::byte>(v_.memory));
      pass.dropout_on = exec.dropout_on;
      body(pass, batch);
    }
  }

  // The rows of the outer batch without the tokens that did not choose the expert.
  Batch gather_batch(Exec& exec, int32_t expert) const {
    routing_->outer = &exec;
    routing_->tokens.clear();
    routing_->slots.clear();
    Batch batch;
    const int32_t* chosen = exec.data<int32_t>(v_.chosen);
    for (const BatchRow& row : exec.batch().rows) {
      const int64_t begin = routing_->count();
      for (int64_t t = row.begin; t < row.end; ++t) {
        for (int64_t i = 0; i < choices_; ++i) {
          if (chosen[t * choices_ + i] != expert) continue;
          routing_->tokens.push_back(t);
          routing_->slots.push_back(i);
        }
      }
      if (routing_->count() > begin) batch.rows.push_back({begin, routing_->count(), row.id});
    }
    // Products of very few tokens take another path, with other bits: lines of zeros keep a row's
    // result from depending on the rows beside it.
    const int64_t lines =
        spec_.is_batch_invariant ? std::max(routing_->count(), kTokenBlock) : routing_->count();
    batch.tokens.resize(static_cast<size_t>(lines));
    batch.positions.resize(static_cast<size_t>(lines));
    return batch;
  }

  // Through the softmax over the chosen logits: dl_i = w_i (dw_i - sum_j w_j dw_j).
  void router_backward(Exec& exec, int64_t t) const {
    const float* w = exec.data<float>(v_.weights) + t * choices_;
    const float* dw = exec.grad<float>(v_.weights) + t * choices_;
    float* sum = exec.data<float>(v_.sum) + t * hidden_;
    float mean = 0;
    for (int64_t i = 0; i < choices_; ++i) mean += w[i] * dw[i];
    for (int64_t i = 0; i < choices_; ++i) {
      const int64_t expert = exec.data<int32_t>(v_.chosen)[t * choices_ + i];
      exec.kernels().axpy(w[i] * (dw[i] - mean), spec_.router->value.f32() + expert * hidden_,
                          hidden_, sum);
    }
    exec.rows<T>().from_f32(sum, hidden_, exec.grad<T>(v_.x) + t * hidden_);
  }

  ExpertsSpec spec_;
  Values v_;
  std::unique_ptr<Routing> routing_;
  std::vector<std::unique_ptr<Graph>> graphs_;
  int64_t hidden_;
  int64_t num_experts_;
  int64_t choices_;
};

// gather, gate and up, activation, down, scatter.
std::unique_ptr<Graph> expert_graph(const ExpertSpec& expert, const ExpertsSpec& spec,
                                    const Routing* routing, const Values& outer, DType dtype) {
  auto graph = std::make_unique<Graph>();
  const int64_t hidden = spec.router->value.dim(1);
  const ValueId x = graph->add_value("expert input", hidden, dtype);
  add_typed<GatherOp>(*graph, dtype, routing, outer, hidden, spec.for_training, x);
  const std::vector<ValueId> gate_up = linear_group(*graph, x, {expert.gate, expert.up}, dtype);
  const ValueId a = silu_mul(*graph, gate_up[0], gate_up[1], dtype);
  const ValueId y = linear_group(*graph, a, {expert.down}, dtype)[0];
  const ValueId end = graph->add_value("expert output", 1, DType::kF32);
  add_typed<ScatterOp>(*graph, dtype, routing, outer, hidden, spec.experts_per_token, y, end);
  graph->finish(spec.for_training);
  return graph;
}

}  // namespace

ExpertsResult experts_add(Graph& graph, ValueId x, ExpertsSpec spec, ValueId residual,
                          DType dtype) {
  check(spec.router->value.dtype() == DType::kF32 && !spec.router->trains,
        "experts: the router is f32 and frozen");
  check(spec.router->value.dim(0) == static_cast<int64_t>(spec.experts.size()) &&
            spec.experts_per_token > 0 &&
            spec.experts_per_token <= static_cast<int64_t>(spec.experts.size()),
        "experts: the router does not fit the experts");
  const std::string& name = spec.router->name;
  const int64_t hidden = graph.cols(x);
  Values values;
  values.x = x;
  values.residual = residual;
  values.out = graph.add_value(name + " experts", hidden, DType::kF32, true);
  values.logits = graph.add_value(name, spec.router->value.dim(0), DType::kF32);
  values.chosen = graph.add_value(name + " chosen", spec.experts_per_token, DType::kI32);
  values.weights = graph.add_value(name + " weights", spec.experts_per_token, DType::kF32);
  values.sum = graph.add_value(name + " gradient", hidden, DType::kF32);
  auto routing = std::make_unique<Routing>();
  std::vector<std::unique_ptr<Graph>> graphs;
  // An adapter may be of another rank in one expert than in the next.
  int64_t bytes = 0;
  for (const ExpertSpec& expert : spec.experts) {
    graphs.push_back(expert_graph(expert, spec, routing.get(), values, dtype));
    bytes = std::max(bytes, graphs.back()->arena_bytes_per_token());
  }
  values.memory = graph.add_value(name + " memory", (bytes + 3) / 4, DType::kF32);
  add_typed<ExpertsOp>(graph, dtype, std::move(spec), values, std::move(routing),
                       std::move(graphs));
  return {values.out, values.logits};
}

}  // namespace dlm
