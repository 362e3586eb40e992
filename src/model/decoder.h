// A decoder: its weights by name, and how its forward pass is written in operations. The same text
// serves training (with adapters, all rows at once) and generation (one sequence, with a cache).
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/arena.h"
#include "engine/exec.h"
#include "engine/graph.h"
#include "engine/ops.h"
#include "model/config.h"
#include "model/lora.h"
#include "model/rope.h"
#include "model/weights.h"
#include "support/file.h"

namespace dlm {

class GgufFile;

// How a frozen base is held in memory: in the computing type, or quantized. Norms and biases are
// never quantized.
struct BaseFormat {
  std::optional<QuantFormat> linear;  // the layers that can carry an adapter
  std::optional<QuantFormat> head;    // the head, and the embedding where they are one

  // What `adapter: qlora` trains on: the paper leaves embedding and head alone.
  static BaseFormat qlora() { return {QuantFormat::kNF4, std::nullopt}; }
  // What reads the fewest bytes a token at that precision. A head in 4 bits costs more accuracy
  // than the layers do.
  static BaseFormat int8() { return {QuantFormat::kInt8, QuantFormat::kInt8}; }
  static BaseFormat nf4() { return {QuantFormat::kNF4, QuantFormat::kInt8}; }

  bool operator==(const BaseFormat&) const = default;
};

// How a base is held while an adapter trains on it, in words that records and options share: the
// layers in 8 or 4 bits or in full, the head always in full.
inline constexpr std::array<std::string_view, 3> kTrainedBaseWords{"full", "int8", "nf4"};
std::string_view trained_base_word(const BaseFormat& format);
// Whether frozen matrices of that stored type are multiplied as they lie in their file while an
// adapter trains in the computing type: half the memory, the same bits.
bool trains_as_stored(DType computing, DType stored);
// The type that they have in memory then.
inline DType held_type(DType computing, DType stored) {
  return trains_as_stored(computing, stored) ? stored : computing;
}
// Throws Error(kFormat) for another word.
BaseFormat trained_base_format(std::string_view word);

class Decoder {
 public:
  // Maps `folder`/model.safetensors (or its shards). Weights whose type is not `dtype` are
  // converted once. Throws Error(kBase) naming the tensor for missing and extra ones, wrong shapes
  // and values that are not finite (see load_weight for which are looked at).
  static std::unique_ptr<Decoder> load(const fs::path& folder, DType dtype);
  // The same, quantized tensor by tensor from the file's own type; the file's pages do not stay in
  // memory. A decoder with a quantized head generates, but gives no loss.
  static std::unique_ptr<Decoder> load(const fs::path& folder, DType dtype,
                                       const BaseFormat& format, Device& device);
  // The same for a decoder that only answers, with `adapter` (empty: none): matrices that are not
  // quantized are multiplied as they lie in the file, whatever their type, so that none is copied,
  // unless the adapter brings some of them whole. Throws what reading its configuration throws,
  // too.
  static std::unique_ptr<Decoder> load_to_answer(const fs::path& folder, const fs::path& adapter,
                                                 DType dtype, const BaseFormat& format,
                                                 Device& device);
  // The same for a decoder that an adapter trains on: see trains_as_stored() for what is not
  // converted. trains_whole: the embedding or the head trains, too. Mapped matrices are searched
  // for NaN and infinities as well, but for a table that is not the head.
  static std::unique_ptr<Decoder> load_to_train(const fs::path& folder, DType dtype,
                                                const BaseFormat& format, bool trains_whole,
                                                Device& device);
  // From a GGUF file, whose keys and tensors alone say what the model is. Matrices are multiplied
  // in the file's own types. Throws Error(kFormat) naming file and key or tensor.
  // The decoder keeps a mapped file alive; bytes given to GgufFile::parse() must outlive it.
  static std::unique_ptr<Decoder> load_gguf(const GgufFile& file, DType dtype);
  // Seeded random weights, normal with deviation 0.02 (projections into the residual stream divided
  // by sqrt(2 * layers), as in GPT-2); for pre-training and for measuring speed.
  static std::unique_ptr<Decoder> random(const ModelConfig& config, DType dtype, uint64_t seed);
  // Weights of the same spread from one small block of normals that repeats; for measuring the
  // speed of large shapes, which random() would take minutes to fill. Never for training. Matrices
  // are multiplied as they are `stored`, if that is given.
  static std::unique_ptr<Decoder> tiled(const ModelConfig& config, DType dtype,
                                        std::optional<DType> stored = std::nullopt);
  // Shapes alone: every weight reads as zero and takes no memory. For plans.
  static std::unique_ptr<Decoder> shapes(const ModelConfig& config, DType dtype);

  // For a while the weights are not needed: what is mapped of them stops counting as this process's
  // memory, and is read from its file again when it is.
  void release_pages() const;

  // Quantizes what is not yet; adapters and graphs are made afterwards.
  void quantize(const BaseFormat& format, Device& device);

  const ModelConfig& config() const { return config_; }
  DType dtype() const { return dtype_; }

  // All weights with their checkpoint names, in file order; a tied head appears once.
  std::vector<Parameter*> parameters();
  // Name and weight of each linear layer that can carry an adapter:
  // "model.layers.0.self_attn.q_proj".
  std::vector<std::pair<std::string, Parameter*>> linear_layers();
  Parameter& head() { return config_.tie_word_embeddings ? weights_.embed : weights_.head; }
  Parameter& embedding() { return weights_.embed; }
  std::vector<DecoderLayer>& layers() { return weights_.layers; }
  Parameter& final_norm() { return weights_.final_norm; }

  // Memory that this process allocated for weights, quantized ones included, those that are held as
  // they are stored too, without what else is mapped from files.
  size_t owned_bytes();

  // Where every weight is, in file order.
  std::vector<WeightSlot> slots() { return weight_slots(config_, weights_); }

  // Writes config.json and model.safetensors (bf16) into `folder`; family llama only.
  void save(const fs::path& folder);

 private:
  // What happens to matrices that are not quantized.
  struct Loading {
    // Which of them stay in the type of their file; none: no matrix does.
    std::function<bool(const WeightSlot& slot, DType stored)> keeps_type;
    bool checks_mapped = false;  // for NaN and infinities
  };
  Decoder() = default;
  static std::unique_ptr<Decoder> load(const fs::path& folder, DType dtype,
                                       const BaseFormat& format, Device* device,
                                       const Loading& loading);

  ModelConfig config_;
  DType dtype_ = DType::kF32;
  DecoderWeights weights_;
  Arena quantized_memory_;
  // Weights that are used as they lie in their files.
  std::vector<std::pair<std::shared_ptr<const MappedFile>, std::span<const std::byte>>> mapped_;
};

// A graph of a decoder and the values in it that others ask for.
struct DecoderGraph {
  Graph graph;
  std::unique_ptr<RopeTables> rope;
  std::unique_ptr<RopeTables> sliding_rope;  // null: as the other layers
  std::vector<ValueId> hidden;  // input of each layer, then the last layer's output; f32 [hidden]
  std::vector<ValueId> router_logits;  // of each layer with experts; f32 [experts]
  ValueId final;                       // output of the final norm
};

// Keys and values of so many tokens, in all layers.
struct KvCache {
  std::vector<KvCacheLayer> layers;
};
KvCache make_kv_cache(const Decoder& decoder, int64_t kept_tokens, int64_t passing_tokens = 0);

enum class GraphUse {
  kTraining,  // forward, loss and backward
  kLoss,      // forward and loss only
  kHidden,    // forward only, up to the final norm; every value is kept
};

// `adapter` may be null. Positions up to max_positions - 1 can be used. The graph refers to decoder
// and adapter, which must outlive it. `recompute` is for training only.
std::unique_ptr<DecoderGraph> build_graph(Decoder& decoder, LoraAdapter* adapter, GraphUse use,
                                          int64_t max_positions,
                                          Recompute recompute = Recompute::kNothing);
std::unique_ptr<DecoderGraph> build_generation_graph(Decoder& decoder, LoraAdapter* adapter,
                                                     KvCache& cache, int64_t max_positions);

}  // namespace dlm
