// The forward pass of the Llama family, written once (Touvron et al. 2023): pre-norm attention with
// rotary embedding and grouped queries, gated MLP, residual stream in f32.

#include <cmath>

#include "model/decoder.h"

namespace dlm {

namespace {

class Writer {
 public:
  Writer(Decoder& decoder, LoraAdapter* adapter, DecoderGraph& out)
      : decoder_(decoder),
        adapter_(adapter),
        out_(out),
        graph_(out.graph),
        dtype_(decoder.dtype()) {}

  void write(KvCache* cache) {
    const ModelConfig& c = decoder_.config();
    const auto eps = static_cast<float>(c.rms_norm_eps);
    ValueId x = embed(graph_, &embedding_of(decoder_, adapter_), dtype_);
    out_.hidden.push_back(x);
    graph_.mark_checkpoint(x);
    for (size_t i = 0; i < decoder_.layers().size(); ++i) {
      DecoderLayer& layer = decoder_.layers()[i];
      x = write_attention(layer, i, x, eps, cache);
      x = write_mlp(layer, i, x, eps);
      out_.hidden.push_back(x);
      graph_.mark_checkpoint(x);
    }
    out_.final = rmsnorm(graph_, x, &decoder_.final_norm(), eps, dtype_);
  }

 private:
  ValueId write_attention(DecoderLayer& layer, size_t index, ValueId x, float eps, KvCache* cache) {
    const ModelConfig& c = decoder_.config();
    const std::string prefix = "model.layers." + std::to_string(index) + ".self_attn.";
    const ValueId h = rmsnorm(graph_, x, &layer.input_norm, eps, dtype_);
    const std::vector<ValueId> qkv = linear_group(graph_, h,
                                                  {spec(layer.q, layer.q_bias, prefix + "q_proj"),
                                                   spec(layer.k, layer.k_bias, prefix + "k_proj"),
                                                   spec(layer.v, layer.v_bias, prefix + "v_proj")},
                                                  dtype_);
    rope(graph_, qkv[0], c.num_heads, c.head_dim, &out_.rope, dtype_);
    rope(graph_, qkv[1], c.num_kv_heads, c.head_dim, &out_.rope, dtype_);
    AttentionSpec attention_spec;
    attention_spec.num_heads = c.num_heads;
    attention_spec.num_kv_heads = c.num_kv_heads;
    attention_spec.head_dim = c.head_dim;
    attention_spec.scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(c.head_dim)));
    const ValueId o = cache == nullptr
                          ? attention(graph_, qkv[0], qkv[1], qkv[2], attention_spec, dtype_)
                          : cached_attention(graph_, qkv[0], qkv[1], qkv[2], attention_spec,
                                             &cache->layers[index], dtype_);
    return linear_add(graph_, o, spec(layer.o, layer.o_bias, prefix + "o_proj"), x, dtype_);
  }

  ValueId write_mlp(DecoderLayer& layer, size_t index, ValueId x, float eps) {
    const std::string prefix = "model.layers." + std::to_string(index) + ".mlp.";
    const ValueId h = rmsnorm(graph_, x, &layer.post_attention_norm, eps, dtype_);
    const std::vector<ValueId> gate_up =
        linear_group(graph_, h,
                     {spec(layer.gate, layer.gate_bias, prefix + "gate_proj"),
                      spec(layer.up, layer.up_bias, prefix + "up_proj")},
                     dtype_);
    const ValueId a = silu_mul(graph_, gate_up[0], gate_up[1], dtype_);
    return linear_add(graph_, a, spec(layer.down, layer.down_bias, prefix + "down_proj"), x,
                      dtype_);
  }

  LinearSpec spec(Parameter& weight, Parameter& bias, const std::string& module) {
    LinearSpec s;
    s.weight = &weight;
    s.bias = bias.value.empty() ? nullptr : &bias;
    s.lora = adapter_ == nullptr ? nullptr : adapter_->find(module);
    return s;
  }

  Decoder& decoder_;
  LoraAdapter* adapter_;
  DecoderGraph& out_;
  Graph& graph_;
  DType dtype_;
};

}  // namespace

std::unique_ptr<DecoderGraph> build_graph(Decoder& decoder, LoraAdapter* adapter, GraphUse use,
                                          int64_t max_positions, Recompute recompute) {
  auto out = std::make_unique<DecoderGraph>();
  out->rope = decoder.config().rope_table(max_positions);
  Writer(decoder, adapter, *out).write(nullptr);
  if (use == GraphUse::kHidden) {
    out->graph.keep_all_values();
  } else {
    cross_entropy(out->graph, out->final, &head_of(decoder, adapter), decoder.dtype());
  }
  out->graph.finish(use == GraphUse::kTraining, recompute);
  return out;
}

std::unique_ptr<DecoderGraph> build_generation_graph(Decoder& decoder, LoraAdapter* adapter,
                                                     KvCache& cache) {
  auto out = std::make_unique<DecoderGraph>();
  out->rope = decoder.config().rope_table(cache.capacity);
  Writer(decoder, adapter, *out).write(&cache);
  out->graph.finish(false);
  return out;
}

}  // namespace dlm
