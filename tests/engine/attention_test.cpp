// Attention against a plain f64 computation: rows of many lengths, grouped heads, sliding windows
// that cross blocks of queries, soft caps; forward, backward, and token by token from the cache.

#include <gtest/gtest.h>

#include <cmath>

#include "engine/exec.h"
#include "engine/numbers.h"
#include "engine/ops.h"

namespace dlm {
namespace {

struct Case {
  const char* name;
  std::vector<int64_t> row_lengths;
  AttentionSpec spec;
};

std::vector<Case> cases() {
  AttentionSpec plain{.num_heads = 4, .num_kv_heads = 2, .head_dim = 16, .scale = 0.25f};
  AttentionSpec window = plain;
  window.window = 40;
  AttentionSpec narrow = plain;
  narrow.window = 1;
  AttentionSpec capped = plain;
  capped.softcap = 1.5f;
  AttentionSpec both = window;
  both.softcap = 2.0f;
  return {{"plain", {300, 5, 64}, plain},
          {"window", {300, 1, 129, 40, 41}, window},
          {"own_token_only", {70}, narrow},
          {"capped", {33, 200}, capped},
          {"window_and_cap", {260, 31}, both}};
}

// Hands a value to the graph, and asks for its gradient.
class SourceOp : public Op {
 public:
  SourceOp(ValueId out, const std::vector<float>& numbers, Parameter* trains)
      : out_(out), numbers_(numbers), trains_(trains) {}
  std::string name() const override { return "source"; }
  std::vector<ValueId> reads() const override { return {}; }
  std::vector<ValueId> writes() const override { return {out_}; }
  std::vector<ValueId> saves() const override { return {}; }
  std::vector<Parameter*> parameters() const override { return {trains_}; }
  void forward(Exec& exec) const override {
    const int64_t n = exec.tokens() * exec.graph().cols(out_);
    const auto first = exec.batch().positions[0] * exec.graph().cols(out_);
    std::copy_n(numbers_.begin() + first, n, exec.data<float>(out_));
  }
  void backward(Exec& exec) const override {
    gradient.assign(exec.grad<float>(out_),
                    exec.grad<float>(out_) + exec.tokens() * exec.graph().cols(out_));
  }
  mutable std::vector<float> gradient;

 private:
  ValueId out_;
  const std::vector<float>& numbers_;
  Parameter* trains_;
};

// Sends a given gradient into the graph.
class SinkOp : public Op {
 public:
  SinkOp(ValueId in, ValueId out, const std::vector<float>& gradient)
      : in_(in), out_(out), gradient_(gradient) {}
  std::string name() const override { return "sink"; }
  std::vector<ValueId> reads() const override { return {in_}; }
  std::vector<ValueId> writes() const override { return {out_}; }
  std::vector<ValueId> saves() const override { return {}; }
  void forward(Exec& exec) const override {
    result.assign(exec.data<float>(in_),
                  exec.data<float>(in_) + exec.tokens() * exec.graph().cols(in_));
  }
  void backward(Exec& exec) const override {
    std::copy(gradient_.begin(), gradient_.end(), exec.grad<float>(in_));
  }
  mutable std::vector<float> result;

 private:
  ValueId in_;
  ValueId out_;
  const std::vector<float>& gradient_;
};

struct Exact {
  std::vector<double> out, dq, dk, dv;
};

Exact exact_attention(const Case& c, const std::vector<float>& q, const std::vector<float>& k,
                      const std::vector<float>& v, const std::vector<float>& dout) {
  const AttentionSpec& s = c.spec;
  Exact e;
  e.out.resize(q.size());
  e.dq.resize(q.size());
  e.dk.resize(k.size());
  e.dv.resize(v.size());
  const auto at = [](const std::vector<float>& x, int64_t i) {
    return static_cast<double>(x[static_cast<size_t>(i)]);
  };
  int64_t begin = 0;
  for (const int64_t length : c.row_lengths) {
    for (int64_t h = 0; h < s.num_heads; ++h) {
      const int64_t g = h / (s.num_heads / s.num_kv_heads);
      const auto q_at = [&](int64_t t) { return ((begin + t) * s.num_heads + h) * s.head_dim; };
      const auto k_at = [&](int64_t t) { return ((begin + t) * s.num_kv_heads + g) * s.head_dim; };
      for (int64_t t = 0; t < length; ++t) {
        const int64_t first = s.window > 0 ? std::max<int64_t>(0, t - s.window + 1) : 0;
        std::vector<double> p, slope;
        double z = 0;
        for (int64_t j = first; j <= t; ++j) {
          double score = 0;
          for (int64_t d = 0; d < s.head_dim; ++d) score += at(q, q_at(t) + d) * at(k, k_at(j) + d);
          score *= static_cast<double>(s.scale);
          double bend = 1;
          if (s.softcap > 0) {
            const double cap = static_cast<double>(s.softcap);
            const double tanh = std::tanh(score / cap);
            score = cap * tanh;
            bend = 1 - tanh * tanh;
          }
          p.push_back(std::exp(score));
          slope.push_back(bend * static_cast<double>(s.scale));
          z += p.back();
        }
        double delta = 0;
        std::vector<double> dp;
        for (int64_t j = first; j <= t; ++j) {
          double& prob = p[static_cast<size_t>(j - first)];
          prob /= z;
          double product = 0;
          for (int64_t d = 0; d < s.head_dim; ++d) {
            e.out[static_cast<size_t>(q_at(t) + d)] += prob * at(v, k_at(j) + d);
            e.dv[static_cast<size_t>(k_at(j) + d)] += prob * at(dout, q_at(t) + d);
            product += at(dout, q_at(t) + d) * at(v, k_at(j) + d);
          }
          dp.push_back(product);
          delta += prob * product;
        }
        for (int64_t j = first; j <= t; ++j) {
          const auto i = static_cast<size_t>(j - first);
          const double ds = p[i] * (dp[i] - delta) * slope[i];
          for (int64_t d = 0; d < s.head_dim; ++d) {
            e.dq[static_cast<size_t>(q_at(t) + d)] += ds * at(k, k_at(j) + d);
            e.dk[static_cast<size_t>(k_at(j) + d)] += ds * at(q, q_at(t) + d);
          }
        }
      }
    }
    begin += length;
  }
  return e;
}

void expect_near(const std::vector<float>& got, const std::vector<double>& exact,
                 const char* what) {
  ASSERT_EQ(got.size(), exact.size());
  double worst = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    worst = std::max(worst, std::abs(static_cast<double>(got[i]) - exact[i]));
  }
  EXPECT_LT(worst, 2e-5) << what;
}

class AttentionOf : public testing::TestWithParam<Case> {};

TEST_P(AttentionOf, EqualsThePlainComputation) {
  const Case& c = GetParam();
  int64_t tokens = 0;
  for (const int64_t length : c.row_lengths) tokens += length;
  const int64_t q_cols = c.spec.num_heads * c.spec.head_dim;
  const int64_t kv_cols = c.spec.num_kv_heads * c.spec.head_dim;
  const auto q = numbers(tokens * q_cols, 1, 2.0);
  const auto k = numbers(tokens * kv_cols, 2, 2.0);
  const auto v = numbers(tokens * kv_cols, 3);
  const auto dout = numbers(tokens * q_cols, 4);
  Parameter trains;
  trains.trains = true;
  Graph graph;
  std::vector<SourceOp*> sources;
  const auto add_source = [&](const std::vector<float>& x, int64_t cols) {
    const ValueId value = graph.add_value("source", cols, DType::kF32);
    auto op = std::make_unique<SourceOp>(value, x, &trains);
    sources.push_back(op.get());
    graph.add_op(std::move(op));
    return value;
  };
  const ValueId q_value = add_source(q, q_cols);
  const ValueId k_value = add_source(k, kv_cols);
  const ValueId v_value = add_source(v, kv_cols);
  const ValueId out = attention(graph, q_value, k_value, v_value, c.spec, DType::kF32);
  auto sink_op = std::make_unique<SinkOp>(out, graph.add_value("sink", 1, DType::kF32), dout);
  const SinkOp& sink = *sink_op;
  graph.add_op(std::move(sink_op));
  graph.finish(true);
  Device device(2);
  Exec exec(graph, device);
  Batch batch;
  for (size_t r = 0; r < c.row_lengths.size(); ++r) {
    batch.add_row(std::vector<int32_t>(static_cast<size_t>(c.row_lengths[r]), 1), {}, r);
  }
  exec.forward(batch);
  exec.backward();
  const Exact exact = exact_attention(c, q, k, v, dout);
  expect_near(sink.result, exact.out, "out");
  expect_near(sources[0]->gradient, exact.dq, "dq");
  expect_near(sources[1]->gradient, exact.dk, "dk");
  expect_near(sources[2]->gradient, exact.dv, "dv");
}

TEST_P(AttentionOf, GivesTheSameFromTheCache) {
  Case c = GetParam();
  c.row_lengths.resize(1);
  const int64_t tokens = c.row_lengths[0];
  const int64_t q_cols = c.spec.num_heads * c.spec.head_dim;
  const int64_t kv_cols = c.spec.num_kv_heads * c.spec.head_dim;
  const auto q = numbers(tokens * q_cols, 1, 2.0);
  const auto k = numbers(tokens * kv_cols, 2, 2.0);
  const auto v = numbers(tokens * kv_cols, 3);
  Parameter frozen;
  const std::vector<int64_t> shape{c.spec.num_kv_heads, tokens, c.spec.head_dim};
  KvCacheLayer cache{{Tensor::zeros(shape, DType::kF32), Tensor::zeros(shape, DType::kF32)}, {}};
  Graph graph;
  const auto add_source = [&](const std::vector<float>& x, int64_t cols) {
    const ValueId value = graph.add_value("source", cols, DType::kF32);
    graph.add_op(std::make_unique<SourceOp>(value, x, &frozen));
    return value;
  };
  const ValueId q_value = add_source(q, q_cols);
  const ValueId k_value = add_source(k, kv_cols);
  const ValueId v_value = add_source(v, kv_cols);
  const ValueId out =
      cached_attention(graph, q_value, k_value, v_value, c.spec, &cache, DType::kF32);
  const std::vector<float> nothing;
  auto sink_op = std::make_unique<SinkOp>(out, graph.add_value("sink", 1, DType::kF32), nothing);
  const SinkOp& sink = *sink_op;
  graph.add_op(std::move(sink_op));
  graph.finish(false);
  Device device(2);
  Exec exec(graph, device);
  std::vector<float> all;
  // A prompt of a few tokens at once, then one at a time, then a few and many at once again.
  for (int64_t at = 0; at < tokens;) {
    const int64_t count = std::min(tokens - at, at == 0    ? int64_t{35}
                                                : at == 50 ? int64_t{3}
                                                : at == 57 ? int64_t{150}
                                                           : int64_t{1});
    Batch batch;
    batch.tokens.assign(static_cast<size_t>(count), 1);
    for (int64_t i = 0; i < count; ++i) batch.positions.push_back(static_cast<int32_t>(at + i));
    batch.rows = {{0, count, 0}};
    exec.forward(batch);
    all.insert(all.end(), sink.result.begin(), sink.result.end());
    at += count;
  }
  const Exact exact = exact_attention(c, q, k, v, std::vector<float>(q.size()));
  expect_near(all, exact.out, "out");
}

INSTANTIATE_TEST_SUITE_P(Cases, AttentionOf, testing::ValuesIn(cases()),
                         [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace dlm
