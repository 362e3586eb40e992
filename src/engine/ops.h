// The operations that a model is written in; each call adds one to a graph and returns its value.
// T stands for the graph's activation type, f32 or bf16. Shapes are per token: [n] is n numbers a
// token.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/graph.h"

namespace dlm {

// The magnitudes of a DoRA layer (Liu et al. 2024) and what the layer derives from them. The norm
// of row j of W + scale B A is a constant in the backward pass, as in the paper's section 4.3.
struct Dora {
  Parameter magnitude;                 // f32 [out]
  std::vector<float> row_norm;         // [out], of W + scale B A
  std::vector<float> row_scale;        // [out], magnitude / row_norm; 0 where the row is zero
  std::vector<double> weight_squares;  // [out], of W alone; empty until first needed
  uint64_t version = 0;                // of the parameters that the rows were computed from
};

// Low-rank update of one linear layer (Hu et al. 2021): y += scale * B A dropout(x). With DoRA
// y = row_scale * (W x + scale * B A dropout(x)) + bias: dropout acts on the low-rank path alone.
struct Lora {
  Parameter a;   // [rank, in]
  Parameter bt;  // [rank, out]: B transposed, so that all three products walk along memory
  int64_t rank = 0;
  float scale = 1.0f;
  float dropout = 0.0f;
  uint64_t key = 0;            // names (layer, projection) in the random numbers
  std::unique_ptr<Dora> dora;  // null: plain LoRA
};

struct LinearSpec {
  Parameter* weight = nullptr;  // T [out, in]
  Parameter* bias = nullptr;    // f32 [out], frozen, may be null
  Lora* lora = nullptr;         // may be null
};

// Cosines and sines of rotary angles, [positions, rot / 2] each, f32.
struct RopeTable {
  int64_t rot = 0;
  std::vector<float> cos;
  std::vector<float> sin;
};

// The table that a row of `length` tokens is rotated with. Some rules for long contexts depend on
// the length; others give the same table for all.
class RopeSource {
 public:
  virtual ~RopeSource() = default;
  virtual std::shared_ptr<const RopeTable> table(int64_t length) const = 0;
};

// Several MLPs, of which each token takes some (Jiang et al. 2024).
struct ExpertSpec {
  LinearSpec gate, up, down;
};
struct ExpertsSpec {
  Parameter* router = nullptr;  // f32 [experts, hidden], frozen
  std::vector<ExpertSpec> experts;
  int64_t experts_per_token = 0;
  bool for_training = false;
  // Whether results must not depend on how many tokens a pass has; generation gives that up for
  // speed.
  bool is_batch_invariant = true;
};
struct ExpertsResult {
  ValueId out;            // residual stream
  ValueId router_logits;  // f32 [experts]
};

struct AttentionSpec {
  int64_t num_heads = 0;
  int64_t num_kv_heads = 0;
  int64_t head_dim = 0;
  float scale = 1.0f;    // of the scores, usually 1 / sqrt(head_dim)
  float softcap = 0.0f;  // above 0: scores become cap * tanh(score / cap), after scaling
  int64_t window = 0;    // above 0: a query sees at most this many keys, itself included
};

// Keys and values of sequences, each a run of lines: T [num_kv_heads, lines, head_dim], so that
// what a head reads lies one after the other.
struct KvLines {
  Tensor keys;
  Tensor values;
  int64_t lines() const { return keys.empty() ? 0 : keys.dim(1); }
};
// Of one layer. What passes is needed within a pass only: all layers may have the same memory.
struct KvCacheLayer {
  KvLines kept;
  KvLines passing;
};

// Residual stream [hidden], f32, from a table T [vocab, hidden]; times scale.
ValueId embed(Graph& graph, Parameter* table, DType dtype, float scale = 1.0f);

// T [hidden] from f32 [hidden] (Zhang and Sennrich 2019); weight f32 [hidden].
ValueId rmsnorm(Graph& graph, ValueId x, Parameter* weight, float eps, DType dtype);

// T from T [num_heads * n], each head by itself; weight f32 [n], frozen.
ValueId head_norm(Graph& graph, ValueId x, int64_t num_heads, Parameter* weight, float eps,
                  DType dtype);

// residual + rmsnorm(x), f32 [hidden], from x T [hidden]; weight f32 [hidden], frozen.
ValueId rmsnorm_add(Graph& graph, ValueId x, Parameter* weight, float eps, ValueId residual,
                    DType dtype);

// T [hidden] from the residual stream.
ValueId narrow(Graph& graph, ValueId x, DType dtype);

// One T [out] per spec, all from the same T [in].
std::vector<ValueId> linear_group(Graph& graph, ValueId x, std::vector<LinearSpec> specs,
                                  DType dtype);

// residual + linear(x), f32 [out].
ValueId linear_add(Graph& graph, ValueId x, LinearSpec spec, ValueId residual, DType dtype);

// One T [width] per width from T [sum of widths], in their order.
std::vector<ValueId> split(Graph& graph, ValueId x, const std::vector<int64_t>& widths,
                           DType dtype);

// Rotates num_heads heads of head_dim in place (Su et al. 2021, half-split layout). The source must
// outlive the graph, its tables reach every position of a batch.
void rope(Graph& graph, ValueId x, int64_t num_heads, int64_t head_dim, const RopeSource* source,
          DType dtype);

// Causal grouped-query attention within each row: T [num_heads * head_dim] from q of that size and
// k, v of [num_kv_heads * head_dim].
ValueId attention(Graph& graph, ValueId q, ValueId k, ValueId v, const AttentionSpec& spec,
                  DType dtype);

// The same for rows that carry on what the cache holds; puts k and v there at the batch's
// positions. Forward only.
ValueId cached_attention(Graph& graph, ValueId q, ValueId k, ValueId v, const AttentionSpec& spec,
                         KvCacheLayer* cache, DType dtype);

// silu(gate) * up; gelu(gate) * up in the tanh form.
ValueId silu_mul(Graph& graph, ValueId gate, ValueId up, DType dtype);
ValueId gelu_mul(Graph& graph, ValueId gate, ValueId up, DType dtype);

// residual + sum over a token's experts of weight * down(silu(gate(x)) * up(x)), f32 [hidden]. A
// token takes the experts with the largest router logits x router^T (the lower index among equals);
// weights are the softmax over theirs. Gradients flow through the weights too.
ExpertsResult experts_add(Graph& graph, ValueId x, ExpertsSpec spec, ValueId residual, DType dtype);

// Cross-entropy of the batch's labels under logits = x * head^T, head T [vocab, hidden], in chunks
// of labelled tokens: logits of a whole batch never exist. Fills Exec::token_losses; the gradient
// is scaled by Exec::loss_scale. softcap above 0: logits become cap * tanh(logit / cap).
void cross_entropy(Graph& graph, ValueId x, Parameter* head, DType dtype, float softcap = 0.0f);

}  // namespace dlm
