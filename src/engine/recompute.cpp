#include "engine/recompute.h"

#include <algorithm>
#include <functional>

#include "engine/graph.h"
#include "support/error.h"

namespace dlm {

namespace {

// Values of up to this many bytes a token (statistics of norms and softmax, inner lines of LoRA)
// are kept: they are small beside what is read to compute them.
constexpr int64_t kSmallBytes = 256;

using Writers = std::vector<std::vector<int>>;

// Operations that write each value, in order; more than one where an operation works in place.
Writers writers_of(const Graph& graph) {
  Writers writers(graph.num_values());
  for (size_t i = 0; i < graph.ops().size(); ++i) {
    for (const ValueId v : graph.ops()[i]->writes()) {
      writers[static_cast<size_t>(v.index)].push_back(static_cast<int>(i));
    }
  }
  return writers;
}

bool contains(const std::vector<ValueId>& values, ValueId v) {
  return std::any_of(values.begin(), values.end(), [&](ValueId o) { return o.index == v.index; });
}

// A value that is dropped must read the same in both passes: who reads it comes after the last
// operation that changes it.
void check_readers(const Graph& graph, const Writers& writers, const std::vector<bool>& dropped) {
  for (size_t i = 0; i < graph.ops().size(); ++i) {
    const std::vector<ValueId> writes = graph.ops()[i]->writes();
    for (const ValueId v : graph.ops()[i]->reads()) {
      const auto& by = writers[static_cast<size_t>(v.index)];
      check(!dropped[static_cast<size_t>(v.index)] || contains(writes, v) ||
                by.back() < static_cast<int>(i),
            "recompute: a value is read before the last operation that changes it");
    }
  }
}

// An operation that runs again must not spoil a kept value that another one changed in place later:
// then all that it writes is kept.
void keep_beside_kept(const Graph& graph, const Writers& writers, std::vector<bool>& dropped) {
  for (bool changed = true; changed;) {
    changed = false;
    for (const auto& op : graph.ops()) {
      const std::vector<ValueId> writes = op->writes();
      const bool spoils = std::any_of(writes.begin(), writes.end(), [&](ValueId v) {
        const auto i = static_cast<size_t>(v.index);
        return !dropped[i] && writers[i].size() > 1;
      });
      if (!spoils) continue;
      for (const ValueId v : writes) {
        changed |= dropped[static_cast<size_t>(v.index)];
        dropped[static_cast<size_t>(v.index)] = false;
      }
    }
  }
}

}  // namespace

const char* recompute_name(Recompute recompute) {
  switch (recompute) {
    case Recompute::kNothing:
      return "nothing";
    case Recompute::kCheap:
      return "norms and activations";
    case Recompute::kLayers:
      return "layers";
  }
  return "";
}

std::vector<bool> values_to_recompute(const Graph& graph, Recompute recompute) {
  std::vector<bool> dropped(graph.num_values(), false);
  if (recompute == Recompute::kNothing) return dropped;
  const Writers writers = writers_of(graph);
  // What is computed after the last checkpoint is used again at once.
  int last = -1;
  for (size_t v = 0; v < dropped.size(); ++v) {
    if (graph.is_checkpoint({static_cast<int>(v)}) && !writers[v].empty()) {
      last = std::max(last, writers[v].back());
    }
  }
  for (size_t i = 0; i < dropped.size(); ++i) {
    const ValueId v{static_cast<int>(i)};
    if (writers[i].empty() || graph.is_checkpoint(v) || writers[i].back() > last) continue;
    const bool is_cheap = std::all_of(writers[i].begin(), writers[i].end(), [&](int op) {
      return graph.ops()[static_cast<size_t>(op)]->is_cheap();
    });
    const bool is_small = graph.bytes_per_token(v) <= kSmallBytes && writers[i].size() == 1;
    dropped[i] = !is_small && (is_cheap || recompute == Recompute::kLayers);
  }
  keep_beside_kept(graph, writers, dropped);
  check_readers(graph, writers, dropped);
  return dropped;
}

std::vector<BackwardStep> backward_steps(const Graph& graph, const std::vector<bool>& dropped) {
  const Writers writers = writers_of(graph);
  std::vector<bool> ran_again(graph.ops().size(), false);
  std::vector<BackwardStep> steps;
  const std::function<void(ValueId)> bring_back = [&](ValueId v) {
    if (!dropped[static_cast<size_t>(v.index)]) return;
    for (const int index : writers[static_cast<size_t>(v.index)]) {
      const auto op = static_cast<size_t>(index);
      if (ran_again[op]) continue;
      ran_again[op] = true;
      const std::vector<ValueId> writes = graph.ops()[op]->writes();
      for (const ValueId w : writes) {
        const auto i = static_cast<size_t>(w.index);
        check(dropped[i] || writers[i].size() == 1, "recompute: a kept value would change twice");
      }
      for (const ValueId read : graph.ops()[op]->reads()) {
        if (!contains(writes, read)) bring_back(read);
      }
      steps.push_back({graph.ops()[op].get(), true});
    }
  };
  for (size_t i = graph.ops().size(); i-- > 0;) {
    const Op& op = *graph.ops()[i];
    const std::vector<ValueId> writes = op.writes();
    const bool has_backward = std::any_of(writes.begin(), writes.end(),
                                          [&](ValueId v) { return graph.requires_grad(v); });
    if (!has_backward) continue;
    for (const ValueId v : op.saves()) bring_back(v);
    steps.push_back({&op, false});
  }
  return steps;
}

}  // namespace dlm
