#include "model/gguf_config.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "model/gguf_fields.h"
#include "support/elementary.h"
#include "support/text.h"

namespace dlm {

namespace {

constexpr const char* kArchitectures[] = {"llama", "qwen2", "qwen3",  "gemma2",
                                          "phi3",  "olmo2", "smollm3"};

std::string architecture_of(const GgufFile& file) {
  if (const int64_t parts = file.integer("split.count", 1); parts > 1) {
    GgufFields(file, "").fail("the file is one of " + std::to_string(parts) + " parts of a model",
                              "join them, as llama-gguf-split --merge does, and give the whole");
  }
  const std::string name = file.text("general.architecture");
  if (std::find(std::begin(kArchitectures), std::end(kArchitectures), name) !=
      std::end(kArchitectures)) {
    return name;
  }
  GgufFields(file, "").fail(
      "the model's architecture \"" + name + "\" is not supported",
      "supported: " + join({std::begin(kArchitectures), std::end(kArchitectures)}, ", "));
}

class Reader {
 public:
  explicit Reader(const GgufFile& file)
      : file_(file), architecture_(architecture_of(file)), fields_(file, architecture_ + ".") {}

  ModelConfig read() {
    if (file_.text("general.type", "model") != "model") {
      GgufFields(file_, "").fail(
          "the file holds no model, but of type \"" + file_.text("general.type", "") + "\"",
          "a LoRA file goes with --lora, beside the model's file");
    }
    read_sizes();
    read_biases();
    read_rope();
    read_layers();
    read_softcaps();
    read_tokens();
    return std::move(c_);
  }

 private:
  void read_sizes() {
    c_.num_experts = fields_.has("expert_count") ? file_.integer(fields_.key("expert_count")) : 0;
    c_.model_type = architecture_ == "llama" && c_.num_experts != 0 ? "mixtral" : architecture_;
    if (c_.num_experts != 0) {
      if (!c_.family().has_experts) fields_.fail_key("expert_count", "is not 0");
      c_.num_experts = fields_.size("expert_count", 256);
      c_.experts_per_token = fields_.size("expert_used_count", c_.num_experts);
    }
    c_.num_layers = fields_.size("block_count", 1024);
    c_.max_positions = fields_.size("context_length");
    c_.hidden_size = fields_.size("embedding_length");
    c_.intermediate_size = fields_.size("feed_forward_length");
    c_.num_heads = fields_.size("attention.head_count", c_.hidden_size);
    c_.num_kv_heads = fields_.size_or("attention.head_count_kv", c_.num_heads, c_.num_heads);
    if (c_.num_heads % c_.num_kv_heads != 0) {
      fields_.fail_key("attention.head_count", "is no multiple of attention.head_count_kv");
    }
    if (!fields_.has("attention.key_length") && c_.hidden_size % c_.num_heads != 0) {
      fields_.fail_key("embedding_length", "is no multiple of attention.head_count");
    }
    c_.head_dim = fields_.size_or("attention.key_length", c_.hidden_size / c_.num_heads, 1024);
    if (c_.head_dim % 2 != 0 || c_.head_dim > 1024) {
      fields_.fail("heads of " + std::to_string(c_.head_dim) + " elements cannot be rotated");
    }
    if (fields_.size_or("attention.value_length", c_.head_dim) != c_.head_dim) {
      fields_.fail_key("attention.value_length", "is not attention.key_length");
    }
    c_.rms_norm_eps = fields_.number("attention.layer_norm_rms_epsilon");
    if (!(c_.rms_norm_eps > 0)) {
      fields_.fail_key("attention.layer_norm_rms_epsilon", "is not above 0");
    }
    const GgufTensor* table = file_.find_tensor("token_embd.weight");
    if (table == nullptr) fields_.fail("there is no tensor \"token_embd.weight\"");
    if (table->shape.size() != 2 || table->shape[0] < 1 || table->shape[0] > GgufFields::kMaxSize) {
      fields_.fail("the tensor \"token_embd.weight\" is no table of tokens");
    }
    c_.vocab_size = table->shape[0];
    check_layers();
    c_.tie_word_embeddings = file_.find_tensor("output.weight") == nullptr;
    if (c_.tie_word_embeddings && architecture_ == "olmo2") {
      fields_.fail("there is no tensor \"output.weight\", which olmo2 asks for");
    }
  }

  // Before anything is made for each layer and expert: the file holds so many.
  void check_layers() const {
    for (int64_t i = 0; i < c_.num_layers; ++i) {
      const bool stacks = c_.num_experts != 0;
      const std::string name =
          "blk." + std::to_string(i) + (stacks ? ".ffn_down_exps" : ".ffn_down") + ".weight";
      const GgufTensor* down = file_.find_tensor(name);
      if (down == nullptr) fields_.fail("there is no tensor \"" + name + "\"");
      if (stacks && (down->shape.size() != 3 || down->shape[0] != c_.num_experts)) {
        fields_.fail("the tensor \"" + name + "\" does not stack " +
                     std::to_string(c_.num_experts) + " experts");
      }
    }
  }

  void read_biases() {
    const auto has = [&](const char* name) { return file_.find_tensor(name) != nullptr; };
    if (c_.family().attention_bias == AttentionBias::kConfigured) {
      c_.attention_bias = has("blk.0.attn_q.bias");
    }
    if (c_.family().may_have_mlp_bias) c_.mlp_bias = has("blk.0.ffn_gate.bias");
  }

  void read_rope() {
    RopeConfig& rope = c_.rope;
    rope.theta = fields_.number_or("rope.freq_base", 10000.0);
    if (!(rope.theta > 1.0)) fields_.fail_key("rope.freq_base", "is not above 1");
    const int64_t rot = fields_.size_or("rope.dimension_count", c_.head_dim, c_.head_dim);
    if (rot % 2 != 0) fields_.fail_key("rope.dimension_count", "is odd");
    if (rot != c_.head_dim && gguf_rotates_neighbours(c_)) {
      fields_.fail_key("rope.dimension_count", "is not the size of a head");
    }
    double& share = rope.partial_rotary_factor;
    share = static_cast<double>(rot) / static_cast<double>(c_.head_dim);
    if (rope.rot(c_.head_dim) != rot) share = std::nextafter(share, 1.0);  // rot() rounds down
    const auto context = static_cast<double>(c_.max_positions);
    rope.original_max_positions = static_cast<double>(
        fields_.size_or("rope.scaling.original_context_length", static_cast<int64_t>(context)));
    const std::string type = fields_.text_or("rope.scaling.type", "none");
    if (type == "linear" || type == "yarn") {
      rope.type = type;
      rope.factor = fields_.number("rope.scaling.factor");
      if (!(rope.factor >= 1.0)) fields_.fail_key("rope.scaling.factor", "is below 1");
    } else if (type != "none" && type != "longrope") {
      fields_.fail_key("rope.scaling.type", "is \"" + type + "\", which is not supported");
    }
    if (rope.type == "yarn") read_yarn(rope);
    read_factors(rope, rot / 2);
  }

  // The amplitude that makes up for interpolated angles is implied by the factor; the key scales
  // it.
  void read_yarn(RopeConfig& rope) const {
    rope.beta_fast = fields_.positive_or("rope.scaling.yarn_beta_fast", 32.0);
    rope.beta_slow = fields_.positive_or("rope.scaling.yarn_beta_slow", 1.0);
    const double scale = fields_.positive_or("rope.scaling.yarn_attn_factor",
                                             fields_.positive_or("rope.scaling.attn_factor", 1.0));
    if (fields_.number_or("rope.scaling.yarn_ext_factor", 1.0) != 1.0) {
      fields_.fail_key("rope.scaling.yarn_ext_factor", "is not 1");
    }
    rope.attention_factor = scale * (1.0 + 0.1 * exact_log(rope.factor));
  }

  // Numbers that divide the frequencies: one list for all lengths, or two.
  void read_factors(RopeConfig& rope, int64_t half) const {
    const GgufTensor* all = file_.find_tensor("rope_freqs.weight");
    const GgufTensor* low = file_.find_tensor("rope_factors_short.weight");
    const GgufTensor* high = file_.find_tensor("rope_factors_long.weight");
    if (all == nullptr && low == nullptr && high == nullptr) return;
    if (rope.type != "default") {
      fields_.fail("the file has both a rope.scaling.type and tensors of rope factors");
    }
    rope.type = "longrope";
    if (all != nullptr) {
      rope.short_factors = rope.long_factors = factors(*all, half);
      return;
    }
    if (low == nullptr || high == nullptr) {
      fields_.fail("the file has one of rope_factors_short and rope_factors_long, not both");
    }
    rope.short_factors = factors(*low, half);
    rope.long_factors = factors(*high, half);
    rope.attention_factor = fields_.positive_or("rope.scaling.attn_factor", 1.0);
  }

  std::vector<double> factors(const GgufTensor& tensor, int64_t half) const {
    if (tensor.type != GgmlType::kF32 || tensor.shape != std::vector<int64_t>{half}) {
      fields_.fail("the tensor \"" + tensor.name + "\" is not F32 [" + std::to_string(half) + "]");
    }
    std::vector<double> values;
    for (int64_t i = 0; i < half; ++i) {
      float value = 0;
      std::memcpy(&value, tensor.bytes.data() + i * 4, 4);
      if (!std::isfinite(value) || !(value > 0)) {
        fields_.fail("the tensor \"" + tensor.name + "\" holds a factor that is not above 0");
      }
      values.push_back(static_cast<double>(value));
    }
    return values;
  }

  void read_layers() {
    c_.layer_attention.resize(static_cast<size_t>(c_.num_layers));
    int64_t window = 0;
    if (c_.model_type == "gemma2") window = fields_.size_or("attention.sliding_window", 4096);
    // A window of 0 is written on purpose: none.
    if (c_.model_type == "phi3" && fields_.has("attention.sliding_window") &&
        file_.integer(fields_.key("attention.sliding_window")) != 0) {
      window = fields_.size("attention.sliding_window");
    }
    if (c_.model_type == "olmo2" && fields_.has("attention.sliding_window")) {
      fields_.fail_key("attention.sliding_window", "is not supported in olmo2");
    }
    for (size_t i = 0; i < c_.layer_attention.size(); ++i) {
      LayerAttention& layer = c_.layer_attention[i];
      layer.has_rope = c_.model_type != "smollm3" || (i + 1) % 4 != 0;
      layer.is_sliding = window > 0 && (c_.model_type == "phi3" || i % 2 == 0);
      layer.window = layer.is_sliding ? window : 0;
    }
  }

  void read_softcaps() {
    if (!c_.family().has_softcaps) return;
    // The largest Gemma 2 alone scales by its width, and is known by its layers.
    const bool is_27b = c_.num_layers == 46;
    c_.query_pre_attn_scalar =
        static_cast<double>(is_27b ? c_.hidden_size / c_.num_heads : c_.head_dim);
    c_.attention_softcap = fields_.number_or("attn_logit_softcapping", 50.0);
    c_.final_softcap = fields_.number_or("final_logit_softcapping", 30.0);
    if (c_.attention_softcap < 0) fields_.fail_key("attn_logit_softcapping", "is below 0");
    if (c_.final_softcap < 0) fields_.fail_key("final_logit_softcapping", "is below 0");
  }

  void read_tokens() {
    const auto token = [&](const char* key) -> std::optional<int64_t> {
      if (file_.find(key) == nullptr) return std::nullopt;
      return file_.integer(key);
    };
    c_.bos_token_id = token("tokenizer.ggml.bos_token_id");
    c_.pad_token_id = token("tokenizer.ggml.padding_token_id");
    if (const auto eos = token("tokenizer.ggml.eos_token_id")) c_.eos_token_ids = {*eos};
  }

  const GgufFile& file_;
  std::string architecture_;
  GgufFields fields_;
  ModelConfig c_;
};

}  // namespace

ModelConfig gguf_model_config(const GgufFile& file) {
  return Reader(file).read();
}

bool gguf_rotates_neighbours(const ModelConfig& config) {
  return config.model_type == "llama" || config.model_type == "mixtral" ||
         config.model_type == "smollm3";
}

}  // namespace dlm
