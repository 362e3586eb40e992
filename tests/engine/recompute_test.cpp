// Computing again instead of keeping: the backward pass sees the values of the forward pass, bit
// for bit, in random graphs with operations that work in place, and memory falls.
#include "engine/recompute.h"

#include <gtest/gtest.h>

#include <map>

#include "engine/exec.h"
#include "engine/random.h"
#include "support/error.h"

namespace dlm {
namespace {

// What values held when the forward pass was over with them.
using Expected = std::map<int, uint32_t>;

// Writes a hash of what it reads into each value that it writes; on the way back it compares what
// it saved, and overwrites what it may overwrite.
class HashOp : public Op {
 public:
  HashOp(uint32_t salt, std::vector<ValueId> reads, std::vector<ValueId> writes,
         std::vector<ValueId> saves, ValueId scratch, bool is_cheap, Parameter* parameter,
         Expected* expected, std::vector<int>* runs)
      : salt_(salt),
        reads_(std::move(reads)),
        writes_(std::move(writes)),
        saves_(std::move(saves)),
        scratch_(scratch),
        is_cheap_(is_cheap),
        parameter_(parameter),
        expected_(expected),
        runs_(runs) {}
  std::string name() const override { return "hash"; }
  std::vector<ValueId> reads() const override { return reads_; }
  std::vector<ValueId> writes() const override { return writes_; }
  std::vector<ValueId> saves() const override { return saves_; }
  std::vector<ValueId> backward_scratch() const override { return {scratch_}; }
  std::vector<Parameter*> parameters() const override { return {parameter_}; }
  bool is_cheap() const override { return is_cheap_; }

  void forward(Exec& exec) const override {
    ++(*runs_)[salt_];
    uint64_t hash = salt_;
    for (const ValueId v : reads_) hash = random_key({hash, exec.data<uint32_t>(v)[0]});
    for (const ValueId v : writes_) {
      fill(exec, exec.data<uint32_t>(v), v, static_cast<uint32_t>(hash + v.index));
      if ((*runs_)[salt_] == 1) (*expected_)[v.index] = static_cast<uint32_t>(hash + v.index);
    }
  }
  void backward(Exec& exec) const override {
    for (const ValueId v : saves_) {
      EXPECT_EQ(exec.data<uint32_t>(v)[0], expected_->at(v.index)) << "value " << v.index;
    }
    fill(exec, exec.data<uint32_t>(scratch_), scratch_, 0xdeadbeef);
    for (const ValueId v : reads_) {
      if (exec.graph().requires_grad(v)) fill(exec, exec.grad<uint32_t>(v), v, 0xfeedface);
    }
  }

 private:
  static void fill(Exec& exec, uint32_t* data, ValueId v, uint32_t value) {
    std::fill_n(data, exec.graph().cols(v) * exec.padded_tokens(), value);
  }

  uint32_t salt_;
  std::vector<ValueId> reads_, writes_, saves_;
  ValueId scratch_;
  bool is_cheap_;
  Parameter* parameter_;
  Expected* expected_;
  std::vector<int>* runs_;
};

// Layers of random operations between checkpoints; within a layer an operation reads the layer's
// input and what the layer has computed, and some work in place on what the last one wrote.
struct RandomGraph {
  RandomGraph(uint64_t seed, Recompute recompute) {
    auto draw = [seed, n = uint64_t{0}](uint64_t limit) mutable {
      return mix64(random_key({seed, n++})) % limit;
    };
    weight.trains = true;
    uint32_t salt = 0;
    const auto add = [&](std::vector<ValueId> reads, std::vector<ValueId> writes,
                         std::vector<ValueId> saves) {
      const ValueId scratch = graph.add_value("scratch", 1 + draw(100), DType::kF32);
      graph.add_op(std::make_unique<HashOp>(salt++, reads, writes, saves, scratch, draw(3) == 0,
                                            &weight, &expected, &runs));
    };
    ValueId input = graph.add_value("input", 80, DType::kF32);
    add({}, {input}, {});
    graph.mark_checkpoint(input);
    for (uint64_t layer = 0; layer < 4; ++layer) {
      std::vector<ValueId> known{input};
      for (uint64_t n = 1 + draw(5); n > 0; --n) {
        std::vector<ValueId> reads{known[draw(known.size())]};
        if (draw(2) == 0) reads.push_back(known[draw(known.size())]);
        const ValueId a = graph.add_value("a", 65 + draw(40), DType::kF32);
        const ValueId b = graph.add_value("b", 1 + draw(100), DType::kF32);
        std::vector<ValueId> saves;
        for (const ValueId v : reads) {
          if (draw(2) == 0) saves.push_back(v);
        }
        const bool in_place = draw(3) == 0;
        if (draw(2) == 0 && !in_place) saves.push_back(a);
        add(reads, {a, b}, saves);
        if (in_place) add({a}, {a}, {});
        known.push_back(a);
        known.push_back(b);
      }
      input = graph.add_value("output", 80, DType::kF32);
      add({known.back(), known[0]}, {input}, {known[draw(known.size())]});
      graph.mark_checkpoint(input);
    }
    const ValueId loss = graph.add_value("loss", 1, DType::kF32);
    add({input}, {loss}, {input});
    runs.assign(salt, 0);
    graph.finish(true, recompute);
  }

  Parameter weight;
  Graph graph;
  Expected expected;
  std::vector<int> runs;
};

TEST(Recompute, TheBackwardPassSeesWhatTheForwardPassComputed) {
  Device device(1);
  Batch batch;
  batch.add_row(std::vector<int32_t>{1}, {}, 0);
  int64_t saved = 0;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    int64_t all = 0;
    for (const Recompute recompute : {Recompute::kNothing, Recompute::kCheap, Recompute::kLayers}) {
      SCOPED_TRACE(std::string(recompute_name(recompute)) + ", seed " + std::to_string(seed));
      RandomGraph g(seed, recompute);
      if (recompute == Recompute::kNothing) all = g.graph.arena_bytes_per_token();
      if (recompute == Recompute::kLayers) saved += all - g.graph.arena_bytes_per_token();
      Exec exec(g.graph, device);
      exec.forward(batch);
      exec.backward();
      for (const int runs : g.runs) {
        EXPECT_GE(runs, 1);
        EXPECT_LE(runs, recompute == Recompute::kNothing ? 1 : 2);
      }
    }
  }
  EXPECT_GT(saved, 0);
}

TEST(Recompute, KeepsCheckpointsAndSmallValuesAndWhatFollowsTheLastCheckpoint) {
  RandomGraph g(7, Recompute::kLayers);
  const std::vector<bool> dropped = values_to_recompute(g.graph, Recompute::kLayers);
  size_t num_dropped = 0;
  for (size_t i = 0; i < dropped.size(); ++i) {
    const ValueId v{static_cast<int>(i)};
    if (!dropped[i]) continue;
    ++num_dropped;
    EXPECT_FALSE(g.graph.is_checkpoint(v));
    EXPECT_TRUE(g.graph.value_name(v) == "a" || g.graph.value_name(v) == "b");
  }
  EXPECT_GT(num_dropped, 0u);
}

}  // namespace
}  // namespace dlm
