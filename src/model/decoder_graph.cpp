// The forward pass of a decoder, written once for all families: attention with rotary embedding and
// grouped queries, then a gated MLP or several, on a residual stream in f32 (Touvron et al. 2023).
// What differs between families is asked of config and family where it matters.

#include <cmath>

#include "model/decoder.h"

namespace dlm {

namespace {

class Writer {
 public:
  Writer(Decoder& decoder, LoraAdapter* adapter, KvCache* cache, bool for_training,
         DecoderGraph& out)
      : decoder_(decoder),
        adapter_(adapter),
        cache_(cache),
        for_training_(for_training),
        out_(out),
        graph_(out.graph),
        c_(decoder.config()),
        eps_(static_cast<float>(c_.rms_norm_eps)),
        dtype_(decoder.dtype()) {}

  void write() {
    ValueId x = embed(graph_, &embedding_of(decoder_, adapter_), dtype_, c_.embedding_scale());
    out_.hidden.push_back(x);
    graph_.mark_checkpoint(x);
    for (size_t i = 0; i < decoder_.layers().size(); ++i) {
      DecoderLayer& layer = decoder_.layers()[i];
      x = write_attention(layer, i, x);
      x = write_mlp(layer, i, x);
      out_.hidden.push_back(x);
      graph_.mark_checkpoint(x);
    }
    out_.final = rmsnorm(graph_, x, &decoder_.final_norm(), eps_, dtype_);
  }

 private:
  ValueId write_attention(DecoderLayer& layer, size_t index, ValueId x) {
    const std::string prefix = "model.layers." + std::to_string(index) + ".self_attn.";
    const LayerAttention kind = c_.attention_of(index);
    const ValueId h = sublayer_input(x, layer.attention_norm);
    std::vector<ValueId> qkv = write_qkv(layer, prefix, h);
    normalize(qkv[0], c_.num_heads, layer.q_norm);
    normalize(qkv[1], c_.num_kv_heads, layer.k_norm);
    if (kind.has_rope) {
      const RopeTables* tables =
          kind.is_sliding && out_.sliding_rope ? out_.sliding_rope.get() : out_.rope.get();
      rope(graph_, qkv[0], c_.num_heads, c_.head_dim, tables, dtype_);
      rope(graph_, qkv[1], c_.num_kv_heads, c_.head_dim, tables, dtype_);
    }
    AttentionSpec spec;
    spec.num_heads = c_.num_heads;
    spec.num_kv_heads = c_.num_kv_heads;
    spec.head_dim = c_.head_dim;
    spec.scale = c_.attention_scale();
    spec.softcap = static_cast<float>(c_.attention_softcap);
    spec.window = kind.window;
    const ValueId o = cache_ == nullptr ? attention(graph_, qkv[0], qkv[1], qkv[2], spec, dtype_)
                                        : cached_attention(graph_, qkv[0], qkv[1], qkv[2], spec,
                                                           &cache_->layers[index], dtype_);
    return add_to_residual(o, linear(layer.o, layer.o_bias, prefix + "o_proj"),
                           layer.attention_post_norm, x);
  }

  std::vector<ValueId> write_qkv(DecoderLayer& layer, const std::string& prefix, ValueId h) {
    if (c_.family().has_fused_projections) {
      const ValueId fused =
          linear_group(graph_, h, {linear(layer.qkv, none_, prefix + "qkv_proj")}, dtype_)[0];
      const int64_t kv = c_.num_kv_heads * c_.head_dim;
      return split(graph_, fused, {c_.num_heads * c_.head_dim, kv, kv}, dtype_);
    }
    return linear_group(graph_, h,
                        {linear(layer.q, layer.q_bias, prefix + "q_proj"),
                         linear(layer.k, layer.k_bias, prefix + "k_proj"),
                         linear(layer.v, layer.v_bias, prefix + "v_proj")},
                        dtype_);
  }

  ValueId write_mlp(DecoderLayer& layer, size_t index, ValueId x) {
    const std::string prefix = "model.layers." + std::to_string(index) + ".";
    const ValueId h = sublayer_input(x, layer.mlp_norm);
    if (c_.family().has_experts) return write_experts(layer, prefix + "block_sparse_moe.", h, x);
    const std::string mlp = prefix + "mlp.";
    std::vector<ValueId> gate_up;
    if (c_.family().has_fused_projections) {
      const ValueId fused =
          linear_group(graph_, h, {linear(layer.gate_up, none_, mlp + "gate_up_proj")}, dtype_)[0];
      gate_up = split(graph_, fused, {c_.intermediate_size, c_.intermediate_size}, dtype_);
    } else {
      gate_up = linear_group(graph_, h,
                             {linear(layer.gate, layer.gate_bias, mlp + "gate_proj"),
                              linear(layer.up, layer.up_bias, mlp + "up_proj")},
                             dtype_);
    }
    const ValueId a = c_.family().activation == Activation::kSilu
                          ? silu_mul(graph_, gate_up[0], gate_up[1], dtype_)
                          : gelu_mul(graph_, gate_up[0], gate_up[1], dtype_);
    return add_to_residual(a, linear(layer.down, layer.down_bias, mlp + "down_proj"),
                           layer.mlp_post_norm, x);
  }

  ValueId write_experts(DecoderLayer& layer, const std::string& prefix, ValueId h, ValueId x) {
    ExpertsSpec spec;
    spec.router = &layer.router;
    spec.experts_per_token = c_.experts_per_token;
    spec.for_training = for_training_;
    spec.is_batch_invariant = cache_ == nullptr;
    for (size_t e = 0; e < layer.experts.size(); ++e) {
      const std::string expert = prefix + "experts." + std::to_string(e) + ".";
      spec.experts.push_back({linear(layer.experts[e].gate, none_, expert + "w1"),
                              linear(layer.experts[e].up, none_, expert + "w3"),
                              linear(layer.experts[e].down, none_, expert + "w2")});
    }
    const ExpertsResult result = experts_add(graph_, h, std::move(spec), x, dtype_);
    out_.router_logits.push_back(result.router_logits);
    return result.out;
  }

  ValueId sublayer_input(ValueId x, Parameter& norm) {
    return norm.value.empty() ? narrow(graph_, x, dtype_) : rmsnorm(graph_, x, &norm, eps_, dtype_);
  }

  // residual + linear(x), or residual + norm(linear(x)).
  ValueId add_to_residual(ValueId x, const LinearSpec& spec, Parameter& norm, ValueId residual) {
    if (norm.value.empty()) return linear_add(graph_, x, spec, residual, dtype_);
    const ValueId y = linear_group(graph_, x, {spec}, dtype_)[0];
    return rmsnorm_add(graph_, y, &norm, eps_, residual, dtype_);
  }

  // Queries or keys, by head or over their full width.
  void normalize(ValueId& x, int64_t num_heads, Parameter& norm) {
    if (norm.value.empty()) return;
    const bool is_per_head = c_.family().qk_norm == QkNorm::kPerHead;
    x = head_norm(graph_, x, is_per_head ? num_heads : 1, &norm, eps_, dtype_);
  }

  LinearSpec linear(Parameter& weight, Parameter& bias, const std::string& module) {
    LinearSpec s;
    s.weight = &weight;
    s.bias = bias.value.empty() ? nullptr : &bias;
    s.lora = adapter_ == nullptr ? nullptr : adapter_->find(module);
    return s;
  }

  Decoder& decoder_;
  LoraAdapter* adapter_;
  KvCache* cache_;
  bool for_training_;
  DecoderGraph& out_;
  Graph& graph_;
  const ModelConfig& c_;
  float eps_;
  DType dtype_;
  Parameter none_;  // for projections that never have a bias
};

void add_rope(const ModelConfig& c, int64_t positions, DecoderGraph& out) {
  out.rope = std::make_unique<RopeTables>(c.rope, c.head_dim, positions);
  if (c.sliding_rope) {
    out.sliding_rope = std::make_unique<RopeTables>(*c.sliding_rope, c.head_dim, positions);
  }
}

}  // namespace

std::unique_ptr<DecoderGraph> build_graph(Decoder& decoder, LoraAdapter* adapter, GraphUse use,
                                          int64_t max_positions, Recompute recompute) {
  auto out = std::make_unique<DecoderGraph>();
  add_rope(decoder.config(), max_positions, *out);
  Writer(decoder, adapter, nullptr, use == GraphUse::kTraining, *out).write();
  if (use == GraphUse::kHidden) {
    out->graph.keep_all_values();
  } else {
    cross_entropy(out->graph, out->final, &head_of(decoder, adapter), decoder.dtype(),
                  static_cast<float>(decoder.config().final_softcap));
  }
  out->graph.finish(use == GraphUse::kTraining, recompute);
  return out;
}

std::unique_ptr<DecoderGraph> build_generation_graph(Decoder& decoder, LoraAdapter* adapter,
                                                     KvCache& cache, int64_t max_positions) {
  auto out = std::make_unique<DecoderGraph>();
  add_rope(decoder.config(), max_positions, *out);
  out->graph.set_generates();
  Writer(decoder, adapter, &cache, false, *out).write();
  out->graph.finish(false);
  return out;
}

}  // namespace dlm
