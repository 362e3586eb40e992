// The memory plan of a graph: two values that are alive at the same time never share bytes, memory
// of dead ones is used again, and gradients exist only where something trains.
#include "engine/graph.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "engine/random.h"

namespace dlm {
namespace {

// An operation that computes nothing; the plan sees only its lists.
class FakeOp : public Op {
 public:
  FakeOp(std::vector<ValueId> reads, std::vector<ValueId> writes, std::vector<ValueId> saves = {},
         Parameter* parameter = nullptr, std::vector<ValueId> scratch = {})
      : reads_(std::move(reads)),
        writes_(std::move(writes)),
        saves_(std::move(saves)),
        scratch_(std::move(scratch)),
        parameter_(parameter) {}
  std::string name() const override { return "fake"; }
  std::vector<ValueId> reads() const override { return reads_; }
  std::vector<ValueId> writes() const override { return writes_; }
  std::vector<ValueId> saves() const override { return saves_; }
  std::vector<ValueId> backward_scratch() const override { return scratch_; }
  std::vector<Parameter*> parameters() const override {
    return parameter_ == nullptr ? std::vector<Parameter*>{} : std::vector<Parameter*>{parameter_};
  }
  size_t scratch_bytes(int64_t tokens) const override { return static_cast<size_t>(tokens) * 3; }
  void forward(Exec&) const override {}
  void backward(Exec&) const override {}

 private:
  std::vector<ValueId> reads_, writes_, saves_, scratch_;
  Parameter* parameter_;
};

struct Span {
  int64_t begin, end;
};
Span data_span(const Graph& g, ValueId v) {
  const int64_t size = g.cols(v) * static_cast<int64_t>(dtype_size(g.dtype(v)));
  return {g.data_offset(v), g.data_offset(v) + size};
}
Span grad_span(const Graph& g, ValueId v) {
  const int64_t size = g.cols(v) * static_cast<int64_t>(dtype_size(g.dtype(v)));
  return {g.grad_offset(v), g.grad_offset(v) + size};
}
bool overlap(Span a, Span b) {
  return a.begin < b.end && b.begin < a.end;
}

Parameter trained() {
  Parameter p;
  p.trains = true;
  return p;
}

TEST(Graph, ForwardBuffersOfDeadValuesAreUsedAgain) {
  Graph g;
  std::vector<ValueId> chain;
  for (int i = 0; i < 10; ++i) chain.push_back(g.add_value("v", 8, DType::kF32));
  g.add_op(std::make_unique<FakeOp>(std::vector<ValueId>{}, std::vector{chain[0]}));
  for (size_t i = 1; i < chain.size(); ++i) {
    g.add_op(std::make_unique<FakeOp>(std::vector{chain[i - 1]}, std::vector{chain[i]}));
  }
  g.finish(false);
  EXPECT_EQ(g.arena_bytes_per_token(), 2 * 8 * 4) << "two neighbours live at a time";
  for (size_t i = 1; i < chain.size(); ++i) {
    EXPECT_FALSE(overlap(data_span(g, chain[i - 1]), data_span(g, chain[i])));
    EXPECT_EQ(g.grad_offset(chain[i]), -1);
  }
}

TEST(Graph, SavedValuesLiveUntilTheirBackwardPass) {
  Parameter weight = trained();
  Graph g;
  const ValueId x = g.add_value("x", 4, DType::kF32);
  const ValueId y = g.add_value("y", 4, DType::kF32);
  const ValueId z = g.add_value("z", 4, DType::kF32);
  const ValueId loss = g.add_value("loss", 1, DType::kF32);
  g.add_op(std::make_unique<FakeOp>(std::vector<ValueId>{}, std::vector{x}));
  g.add_op(std::make_unique<FakeOp>(std::vector{x}, std::vector{y}, std::vector{x}, &weight));
  g.add_op(std::make_unique<FakeOp>(std::vector{y}, std::vector{z}, std::vector{y}));
  g.add_op(std::make_unique<FakeOp>(std::vector{z}, std::vector{loss}, std::vector{z}));
  g.finish(true);
  EXPECT_FALSE(g.requires_grad(x));
  EXPECT_TRUE(g.requires_grad(y));
  EXPECT_TRUE(g.requires_grad(loss));
  for (const ValueId a : {x, y, z}) {
    for (const ValueId b : {x, y, z}) {
      if (a.index == b.index) continue;
      EXPECT_FALSE(overlap(data_span(g, a), data_span(g, b)));
    }
  }
  EXPECT_FALSE(overlap(grad_span(g, z), data_span(g, z)));
  EXPECT_FALSE(overlap(grad_span(g, y), data_span(g, x)));
  EXPECT_EQ(g.grad_offset(x), -1) << "nothing below x trains";
}

TEST(Graph, NothingTrainsMeansNoGradients) {
  Parameter frozen;
  Graph g;
  const ValueId x = g.add_value("x", 4, DType::kF32);
  const ValueId y = g.add_value("y", 4, DType::kBF16);
  g.add_op(std::make_unique<FakeOp>(std::vector<ValueId>{}, std::vector{x}, std::vector<ValueId>{},
                                    &frozen));
  g.add_op(std::make_unique<FakeOp>(std::vector{x}, std::vector{y}, std::vector{x}, &frozen));
  g.finish(true);
  EXPECT_FALSE(g.requires_grad(y));
  EXPECT_EQ(g.grad_offset(y), -1);
  EXPECT_FALSE(g.any_residual_with_grad().valid());
}

TEST(Graph, ResidualValuesShareOneGradient) {
  Parameter weight = trained();
  Graph g;
  const ValueId a = g.add_value("a", 4, DType::kF32, true);
  const ValueId h = g.add_value("h", 4, DType::kF32);
  const ValueId b = g.add_value("b", 4, DType::kF32, true);
  g.add_op(std::make_unique<FakeOp>(std::vector<ValueId>{}, std::vector{a}, std::vector<ValueId>{},
                                    &weight));
  g.add_op(std::make_unique<FakeOp>(std::vector{a}, std::vector{h}, std::vector{a}, &weight));
  g.add_op(std::make_unique<FakeOp>(std::vector{h, a}, std::vector{b}, std::vector{h}, &weight));
  g.finish(true);
  EXPECT_EQ(g.grad_offset(a), g.grad_offset(b));
  EXPECT_GE(g.grad_offset(a), 0);
  EXPECT_EQ(g.any_residual_with_grad().index, a.index);
  EXPECT_FALSE(overlap(grad_span(g, a), grad_span(g, h)));
}

TEST(Graph, ScratchIsTheLargestNeedOfAnyOperation) {
  Graph g;
  const ValueId x = g.add_value("x", 4, DType::kF32);
  g.add_op(std::make_unique<FakeOp>(std::vector<ValueId>{}, std::vector{x}));
  EXPECT_EQ(g.scratch_bytes_per_worker(64), 192u);
}

TEST(Graph, KeptValuesNeverOverlap) {
  Graph g;
  std::vector<ValueId> chain;
  for (int i = 0; i < 6; ++i) chain.push_back(g.add_value("v", 8, DType::kBF16));
  g.add_op(std::make_unique<FakeOp>(std::vector<ValueId>{}, std::vector{chain[0]}));
  for (size_t i = 1; i < chain.size(); ++i) {
    g.add_op(std::make_unique<FakeOp>(std::vector{chain[i - 1]}, std::vector{chain[i]}));
  }
  g.keep_all_values();
  g.finish(false);
  EXPECT_EQ(g.arena_bytes_per_token(), 6 * 8 * 2);
  for (size_t i = 0; i < 6; ++i) {
    for (size_t j = 0; j < i; ++j) {
      EXPECT_FALSE(overlap(data_span(g, chain[i]), data_span(g, chain[j])));
    }
  }
}

// Random chains with saves, branches and scratch, checked against lifetimes that this test computes
// itself: forward times 0 .. n-1, then the backward pass of operation i at 2n - 1 - i.
TEST(Graph, LivingBuffersNeverOverlapInRandomGraphs) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    auto draw = [seed, n = uint64_t{0}](uint64_t limit) mutable {
      return mix64(random_key({seed, n++})) % limit;
    };
    Parameter weight = trained();
    Graph g;
    const int ops = 3 + static_cast<int>(draw(10));
    std::vector<ValueId> values;
    struct Life {
      int start, end;
    };
    std::vector<Life> data, grads;
    std::vector<ValueId> scratch_ids;
    for (int i = 0; i < ops; ++i) {
      std::vector<ValueId> reads;
      if (i > 0) reads.push_back(values.back());
      if (i > 1 && draw(3) == 0) reads.push_back(values[draw(values.size() - 1)]);
      const ValueId out = g.add_value("v", 1 + static_cast<int64_t>(draw(9)), DType::kF32);
      const ValueId scratch = g.add_value("s", 1 + static_cast<int64_t>(draw(5)), DType::kF32);
      std::vector<ValueId> saves;
      if (draw(2) == 0) saves.push_back(out);
      for (const ValueId r : reads) {
        if (draw(2) == 0) saves.push_back(r);
      }
      const int back = 2 * ops - 1 - i;
      data.resize(static_cast<size_t>(scratch.index) + 1, {1 << 20, -1});
      grads.resize(data.size(), {1 << 20, -1});
      const auto touch = [](Life& life, int time) {
        life.start = std::min(life.start, time);
        life.end = std::max(life.end, time);
      };
      for (const ValueId r : reads) {
        touch(data[static_cast<size_t>(r.index)], i);
        touch(grads[static_cast<size_t>(r.index)], back);
      }
      touch(data[static_cast<size_t>(out.index)], i);
      touch(grads[static_cast<size_t>(out.index)], back);
      for (const ValueId s : saves) touch(data[static_cast<size_t>(s.index)], back);
      touch(data[static_cast<size_t>(scratch.index)], back);
      g.add_op(
          std::make_unique<FakeOp>(reads, std::vector{out}, saves, &weight, std::vector{scratch}));
      values.push_back(out);
    }
    g.finish(true);
    struct Buffer {
      Span span;
      Life life;
    };
    std::vector<Buffer> buffers;
    for (size_t i = 0; i < data.size(); ++i) {
      const ValueId v{static_cast<int>(i)};
      if (data[i].end >= 0) buffers.push_back({data_span(g, v), data[i]});
      if (grads[i].end >= 0) buffers.push_back({grad_span(g, v), grads[i]});
    }
    int64_t peak = 0;
    for (size_t i = 0; i < buffers.size(); ++i) {
      ASSERT_GE(buffers[i].span.begin, 0);
      peak = std::max(peak, buffers[i].span.end);
      for (size_t j = 0; j < i; ++j) {
        const bool together = buffers[i].life.start <= buffers[j].life.end &&
                              buffers[j].life.start <= buffers[i].life.end;
        ASSERT_FALSE(together && overlap(buffers[i].span, buffers[j].span)) << "seed " << seed;
      }
    }
    EXPECT_EQ(g.arena_bytes_per_token(), peak);
  }
}

}  // namespace
}  // namespace dlm
