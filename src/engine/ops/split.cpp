// Columns of one value as values of their own, for projections that a checkpoint keeps fused.

#include <cstring>
#include <vector>

#include "engine/exec.h"
#include "engine/ops.h"
#include "engine/ops/add_typed.h"
#include "support/error.h"

namespace dlm {

namespace {

template <class T>
class SplitOp : public Op {
 public:
  SplitOp(ValueId x, std::vector<ValueId> parts, std::vector<int64_t> widths, int64_t cols)
      : x_(x), parts_(std::move(parts)), widths_(std::move(widths)), cols_(cols) {}
  std::string name() const override { return "split"; }
  std::vector<ValueId> reads() const override { return {x_}; }
  std::vector<ValueId> writes() const override { return parts_; }
  std::vector<ValueId> saves() const override { return {}; }

  void forward(Exec& exec) const override {
    for_pieces(exec, [&](int64_t at, size_t part, int64_t of_part, size_t bytes) {
      std::memcpy(static_cast<void*>(exec.data<T>(parts_[part]) + of_part), exec.data<T>(x_) + at,
                  bytes);
    });
  }
  void backward(Exec& exec) const override {
    for_pieces(exec, [&](int64_t at, size_t part, int64_t of_part, size_t bytes) {
      std::memcpy(static_cast<void*>(exec.grad<T>(x_) + at), exec.grad<T>(parts_[part]) + of_part,
                  bytes);
    });
  }

 private:
  // body(place in x, part, place in the part, bytes) for each token's piece of each part.
  template <class Body>
  void for_pieces(Exec& exec, const Body& body) const {
    exec.for_token_blocks([&](int64_t first, int64_t count, int) {
      for (int64_t t = first; t < first + count; ++t) {
        int64_t at = t * cols_;
        for (size_t i = 0; i < parts_.size(); ++i) {
          body(at, i, t * widths_[i], static_cast<size_t>(widths_[i]) * sizeof(T));
          at += widths_[i];
        }
      }
    });
  }

  ValueId x_;
  std::vector<ValueId> parts_;
  std::vector<int64_t> widths_;
  int64_t cols_;
};

}  // namespace

std::vector<ValueId> split(Graph& graph, ValueId x, const std::vector<int64_t>& widths,
                           DType dtype) {
  std::vector<ValueId> parts;
  int64_t cols = 0;
  for (const int64_t width : widths) {
    parts.push_back(graph.add_value(graph.value_name(x) + " part", width, dtype));
    cols += width;
  }
  check(cols == graph.cols(x), "split: the widths do not add up");
  add_typed<SplitOp>(graph, dtype, x, parts, widths, cols);
  return parts;
}

}  // namespace dlm
