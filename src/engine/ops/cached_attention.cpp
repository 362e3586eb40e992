// Causal attention of rows that carry cached sequences on. Many queries go in blocks, as in
// training; few against many keys are bound by reading the cache, so theirs are plain dot products.

#include <algorithm>
#include <cstring>

#include "engine/few_tokens.h"
#include "engine/ops/attention_forward.h"
#include "support/error.h"

namespace dlm {

namespace {

template <class T>
class CachedAttentionOp : public Op {
 public:
  CachedAttentionOp(ValueId q, ValueId k, ValueId v, const AttentionSpec& spec, ValueId out,
                    ValueId lse, KvCacheLayer* cache)
      : q_(q), k_(k), v_(v), out_(out), lse_(lse), spec_(spec), cache_(cache) {}

  std::string name() const override { return "attention"; }
  std::vector<ValueId> reads() const override { return {q_, k_, v_}; }
  std::vector<ValueId> writes() const override { return {out_, lse_}; }
  std::vector<ValueId> saves() const override { return {}; }
  size_t scratch_bytes(int64_t) const override {
    // No sequence is longer than all lines together.
    const int64_t longest = std::max(cache_->kept.lines(), cache_->passing.lines());
    const int64_t dots = 2 * longest + 2 * spec_.head_dim;
    return std::max(AttentionForward<T>::block_bytes(spec_, longest),
                    static_cast<size_t>(dots) * sizeof(float) + 8 * 64);
  }

  void forward(Exec& exec) const override {
    const std::vector<BatchRow>& rows = exec.batch().rows;
    for (const BatchRow& row : rows) store_row(exec, row);
    for (const BatchRow& row : rows) copy_prefix(exec, row);
    const AttentionForward<T> math{spec_, {q_, out_, lse_}};
    std::vector<QueryBlock> tasks;
    for (size_t i = 0; i < rows.size(); ++i) {
      const int64_t position = first_position(exec, rows[i]);
      if (position == 0 || rows[i].end - rows[i].begin > kFewTokens) {
        add_blocks(i, rows[i], position, spec_.num_heads, tasks);
      } else {
        add_tokens(i, rows[i], position, tasks);
      }
    }
    exec.run(static_cast<int64_t>(tasks.size()), [&](int64_t index, int worker) {
      const QueryBlock& task = tasks[static_cast<size_t>(index)];
      const BatchRow& row = rows[task.row];
      KvLines& cache = cache_of(row.cache);
      const int64_t head = math.kv_head(task.head);
      const HeadLines<T> lines{place_of(cache.keys, head, row.cache.line),
                               place_of(cache.values, head, row.cache.line), spec_.head_dim,
                               first_position(exec, row) + row.end - row.begin};
      if (task.size == kOneToken) {
        attend_token(exec, math, task, lines, exec.scratch(worker));
      } else {
        math.attend_block(exec, task, lines, exec.scratch(worker));
      }
    });
  }
  void backward(Exec&) const override { check(false, "cached attention has no backward pass"); }

 private:
  static constexpr int64_t kOneToken = 1;  // blocks are larger

  size_t line_bytes() const { return static_cast<size_t>(spec_.head_dim) * sizeof(T); }
  KvLines& cache_of(const KvPlace& place) const {
    return place.is_passing ? cache_->passing : cache_->kept;
  }
  T* place_of(Tensor& lines, int64_t head, int64_t line) const {
    return static_cast<T*>(lines.mutable_data()) + (head * lines.dim(1) + line) * spec_.head_dim;
  }
  static int64_t first_position(Exec& exec, const BatchRow& row) {
    return exec.batch().positions[static_cast<size_t>(row.begin)];
  }

  void store_row(Exec& exec, const BatchRow& row) const {
    KvLines& cache = cache_of(row.cache);
    const int64_t count = row.end - row.begin;
    const int64_t line = row.cache.line + first_position(exec, row);
    check(line + count <= cache.lines(), "cached attention: the cache is full");
    const T* keys = exec.data<T>(k_) + row.begin * spec_.num_kv_heads * spec_.head_dim;
    const T* values = exec.data<T>(v_) + row.begin * spec_.num_kv_heads * spec_.head_dim;
    for (int64_t t = 0; t < count; ++t) {
      for (int64_t head = 0; head < spec_.num_kv_heads; ++head) {
        const int64_t from = (t * spec_.num_kv_heads + head) * spec_.head_dim;
        std::memcpy(place_of(cache.keys, head, line + t), keys + from, line_bytes());
        std::memcpy(place_of(cache.values, head, line + t), values + from, line_bytes());
      }
    }
  }

  // In the order of the rows, so that one may share what an earlier one shares.
  void copy_prefix(Exec& exec, const BatchRow& row) const {
    if (!row.prefix) return;
    KvLines& from = cache_of(*row.prefix);
    KvLines& to = cache_of(row.cache);
    const size_t bytes = static_cast<size_t>(first_position(exec, row)) * line_bytes();
    for (int64_t head = 0; head < spec_.num_kv_heads; ++head) {
      std::memcpy(place_of(to.keys, head, row.cache.line),
                  place_of(from.keys, head, row.prefix->line), bytes);
      std::memcpy(place_of(to.values, head, row.cache.line),
                  place_of(from.values, head, row.prefix->line), bytes);
    }
  }

  void add_tokens(size_t index, const BatchRow& row, int64_t position,
                  std::vector<QueryBlock>& tasks) const {
    for (int64_t t = row.begin; t < row.end; ++t) {
      for (int64_t head = 0; head < spec_.num_heads; ++head) {
        tasks.push_back({index, head, t, row.end, position + t - row.begin, kOneToken, 0});
      }
    }
  }

  void attend_token(Exec& exec, const AttentionForward<T>& math, const QueryBlock& task,
                    const HeadLines<T>& lines, std::byte* memory) const {
    const int64_t hd = spec_.head_dim;
    const int64_t end = task.position + 1;
    const int64_t keys = spec_.window > 0 ? std::min(end, spec_.window) : end;
    const int64_t line = task.token * spec_.num_heads + task.head;
    const int64_t oldest = (end - keys) * hd;
    Scratch scratch(memory);
    float* scores = scratch.take<float>(keys);
    float* probs = scratch.take<float>(keys);
    float* query = scratch.take<float>(hd);
    float* sum = scratch.take<float>(hd);
    std::memset(sum, 0, static_cast<size_t>(hd) * sizeof(float));
    exec.rows<T>().to_f32(exec.data<T>(q_) + line * hd, hd, query);
    exec.rows<T>().rank_project(lines.keys + oldest, keys, hd, hd, query, hd, 1, 1.0f, scores);
    exec.data<float>(lse_)[line] = math.softmax_line(exec, scores, 0, keys, keys, probs);
    exec.rows<T>().rank_outer(lines.values + oldest, keys, hd, hd, probs, 1, sum, hd);
    exec.rows<T>().from_f32(sum, hd, exec.data<T>(out_) + line * hd);
  }

  ValueId q_;
  ValueId k_;
  ValueId v_;
  ValueId out_;
  ValueId lse_;
  AttentionSpec spec_;
  KvCacheLayer* cache_;
};

}  // namespace

ValueId cached_attention(Graph& graph, ValueId q, ValueId k, ValueId v, const AttentionSpec& spec,
                         KvCacheLayer* cache, DType dtype) {
  check(cache != nullptr, "cached attention: no cache");
  check(spec.num_heads % spec.num_kv_heads == 0,
        "attention: heads must share key-value heads evenly");
  const ValueId out = graph.add_value("attention", spec.num_heads * spec.head_dim, dtype);
  const ValueId lse = graph.add_value("attention lse", spec.num_heads, DType::kF32);
  if (dtype == DType::kBF16) {
    graph.add_op(std::make_unique<CachedAttentionOp<BF16>>(q, k, v, spec, out, lse, cache));
  } else {
    graph.add_op(std::make_unique<CachedAttentionOp<float>>(q, k, v, spec, out, lse, cache));
  }
  return out;
}

}  // namespace dlm
