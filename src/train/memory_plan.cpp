#include "train/memory_plan.h"

#include <algorithm>
#include <array>
#include <functional>

#include <fmt/format.h>

#include "model/decoder.h"
#include "support/error.h"

namespace dlm {

namespace {

// Batches beyond this many tokens gain no speed: every product is eight full tiles high.
constexpr int64_t kBatchTokens = 1024;
// Batches below this many pay more for reading the weights again than recomputation costs.
constexpr int64_t kFewTokens = 256;

// oneDNN's compiled products and packing buffers, a worker; and tables, logs and what the allocator
// keeps, a process. Measured: 5 to 9 MiB on two workers.
constexpr uint64_t kProductsBytes = uint64_t{3} << 20;
constexpr uint64_t kOtherBytes = uint64_t{4} << 20;
// Weights and gradient, two moments, the copy that is kept and its successor, the last.
constexpr uint64_t kAdapterCopies = 7;
// A read brings in so much of a mapped table around the line that it wants.
constexpr uint64_t kFaultAroundBytes = 65536;
// What the kept lines of frozen layers may take when nothing limits them.
constexpr uint64_t kFrozenLinesBytes = uint64_t{1} << 30;

uint64_t mib(uint64_t bytes) {
  return (bytes + (uint64_t{1} << 20) - 1) >> 20;
}

// Calls `visit` with the choices of tokens and recomputation, fastest first, until it returns true.
bool visit_choices(DType dtype, int64_t most, int64_t least,
                   const std::function<bool(int64_t, Recompute)>& visit) {
  for (int64_t tokens = most; tokens >= std::min(kFewTokens, most); tokens /= 2) {
    const int64_t now = std::max(tokens, least);
    const Recompute first = unlimited_recompute(dtype);
    if (visit(now, first) || (first != Recompute::kCheap && visit(now, Recompute::kCheap))) {
      return true;
    }
    if (now == least) break;
  }
  for (int64_t tokens = most;; tokens /= 2) {
    const int64_t now = std::max(tokens, least);
    if (visit(now, Recompute::kLayers)) return true;
    if (now == least) return false;
  }
}

// Bytes of a quantized matrix: its rows end with a whole block.
double quantized_bytes(const std::vector<int64_t>& shape, QuantFormat format) {
  const int64_t blocks = (shape[1] + kQuantBlock - 1) / kQuantBlock;
  const double bits = format == QuantFormat::kNF4 ? 4.13 : 8.5;
  return static_cast<double>(shape[0] * blocks * kQuantBlock) * bits / 8;
}

}  // namespace

struct MemoryModel::State {
  MemoryInput input;
  std::unique_ptr<Decoder> decoder;
  std::unique_ptr<LoraAdapter> adapter;
  std::array<std::unique_ptr<DecoderGraph>, 3> training;
  std::unique_ptr<DecoderGraph> loss;

  const Graph& graph(Recompute recompute) {
    auto& slot = training[static_cast<size_t>(recompute)];
    if (slot == nullptr) {
      slot = build_graph(*decoder, adapter.get(), GraphUse::kTraining, 1, recompute);
    }
    return slot->graph;
  }

  uint64_t adapter_bytes() const {
    return static_cast<uint64_t>(adapter->num_parameters()) * sizeof(float) * kAdapterCopies;
  }

  // As Decoder::load_to_train() holds the weights.
  uint64_t weight_bytes() const {
    const ModelConfig& m = *input.model;
    const auto format = input.base_format.linear;
    const bool is_mapped = input.stored_type == input.dtype;
    const bool is_kept = input.stored_type && trains_as_stored(input.dtype, *input.stored_type);
    double bytes = 0;
    for (const WeightSlot& slot : decoder->slots()) {
      const auto count = static_cast<double>(slot.parameter->value.numel());
      if (slot.role == WeightRole::kLinear && format) {
        bytes += quantized_bytes(slot.shape, *format);
        continue;
      }
      const bool is_linear = slot.role == WeightRole::kLinear;
      const bool keeps_type = is_kept && (is_linear || input.lora.modules_to_save.empty());
      const DType held = !slot.is_matrix() ? DType::kF32
                         : keeps_type      ? *input.stored_type
                                           : input.dtype;
      double size = count * static_cast<double>(dtype_size(held));
      if (slot.role == WeightRole::kEmbedding && !m.tie_word_embeddings &&
          (is_mapped || keeps_type) && input.lora.modules_to_save.empty()) {
        // Only the lines of the document's tokens are read.
        const double line =
            static_cast<double>(slot.shape[1]) * static_cast<double>(dtype_size(held));
        const int64_t tokens = std::max(input.num_tokens, input.step_tokens);
        size = std::min(size, static_cast<double>(tokens) *
                                  std::max(line, static_cast<double>(kFaultAroundBytes)));
      }
      bytes += size;
    }
    return static_cast<uint64_t>(bytes);
  }

  // The largest group of layers, where groups are decoded to be multiplied.
  uint64_t decoded_bytes() const {
    if (!input.base_format.linear) return 0;
    const ModelConfig& m = *input.model;
    const int64_t group = m.hidden_size * std::max(2 * m.intermediate_size,
                                                   m.head_dim * (m.num_heads + 2 * m.num_kv_heads));
    return static_cast<uint64_t>(group) * dtype_size(input.dtype);
  }
};

MemoryModel::MemoryModel(const MemoryInput& input) : state_(std::make_unique<State>()) {
  State& s = *state_;
  s.input = input;
  s.decoder = Decoder::shapes(*input.model, input.dtype);
  s.adapter = LoraAdapter::shapes(*s.decoder, input.lora);
  for (Parameter* p : s.adapter->parameters()) p->trains = true;
  s.loss = build_graph(*s.decoder, s.adapter.get(), GraphUse::kLoss, 1);
}

MemoryModel::~MemoryModel() = default;

MemoryNeeds MemoryModel::needs(int64_t batch_tokens, Recompute recompute) {
  State& s = *state_;
  const Graph& training = s.graph(recompute);
  const Graph& loss = s.loss->graph;
  const int threads = s.input.num_threads;
  MemoryNeeds n;
  n.program = s.input.program_bytes;
  n.weights = s.weight_bytes();
  n.adapter = s.adapter_bytes();
  if (s.adapter->head() != nullptr) {
    // The gradient of 512 tokens' logits, with their lines (ops/cross_entropy.cpp).
    const ModelConfig& m = *s.input.model;
    n.adapter +=
        512 * static_cast<uint64_t>(m.vocab_size + m.hidden_size) * dtype_size(s.input.dtype);
  }
  n.activations =
      std::max(Exec::arena_bytes(training, batch_tokens), Exec::arena_bytes(loss, batch_tokens));
  n.working = std::max(Exec::scratch_bytes(training, batch_tokens, threads),
                       Exec::scratch_bytes(loss, batch_tokens, threads)) +
              std::max<uint64_t>({s.decoded_bytes(), training.shared_bytes(batch_tokens),
                                  loss.shared_bytes(batch_tokens)}) +
              static_cast<uint64_t>(threads) * kProductsBytes + kOtherBytes;
  if (training.num_frozen_ops() > 0) {
    const uint64_t wanted =
        static_cast<uint64_t>(s.input.reused_tokens) *
        static_cast<uint64_t>(training.bytes_per_token(training.frozen_value()));
    uint64_t room = kFrozenLinesBytes;
    if (const uint64_t limit = s.input.limit_bytes; limit > 0) {
      room = std::min(room, limit - std::min(limit, n.total()));
    }
    n.frozen_lines = std::min(wanted, room);
  }
  return n;
}

uint64_t MemoryModel::least_bytes() const {
  return state_->input.program_bytes + state_->weight_bytes() + state_->adapter_bytes();
}

int64_t MemoryModel::num_trained() const {
  return state_->adapter->num_parameters();
}

MemoryPlan plan_memory(const MemoryInput& input) {
  MemoryModel model(input);
  const int64_t least = std::max<int64_t>(kTokenBlock, input.longest_row);
  const int64_t most =
      std::max(least, std::min(kBatchTokens, std::max<int64_t>(1, input.step_tokens)));
  MemoryPlan plan;
  plan.num_trained = model.num_trained();
  const auto try_choice = [&](int64_t tokens, Recompute recompute) {
    plan.micro_batch_tokens = tokens;
    plan.recompute = recompute;
    plan.needs = model.needs(tokens, recompute);
    return input.limit_bytes == 0 || plan.needs.total() <= input.limit_bytes;
  };
  // Most choices of a base that is too large by itself need not be looked at.
  const bool is_too_large = input.limit_bytes > 0 && model.least_bytes() > input.limit_bytes;
  if (is_too_large) try_choice(least, Recompute::kLayers);
  if (!is_too_large && visit_choices(input.dtype, most, least, try_choice)) {
    const bool is_first = plan.recompute == unlimited_recompute(input.dtype);
    const char* why =
        plan.micro_batch_tokens == most && is_first ? "nothing limits it" : "to fit the memory";
    plan.reason = fmt::format("{} tokens at once, {} computed again: {}", plan.micro_batch_tokens,
                              recompute_name(plan.recompute), why);
    return plan;
  }
  if (input.may_exceed) {
    plan.reason = fmt::format(
        "{} tokens at once, all but the inputs of layers computed again: the "
        "least that training needs",
        plan.micro_batch_tokens);
    return plan;
  }
  // What would fit: shorter rows, in steps of the token block.
  int64_t fits = 0;
  for (int64_t low = 1, high = is_too_large ? 0 : least / kTokenBlock; low < high;) {
    const int64_t middle = (low + high) / 2;
    const bool is_ok =
        model.needs(middle * kTokenBlock, Recompute::kLayers).total() <= input.limit_bytes;
    if (is_ok) fits = middle * kTokenBlock;
    (is_ok ? low : high) = is_ok ? middle + 1 : middle;
  }
  std::string other_form;
  if (!input.base_format.linear) {
    MemoryInput quantized = input;
    quantized.base_format = BaseFormat::qlora();
    const uint64_t bytes = MemoryModel(quantized).needs(least, Recompute::kLayers).total();
    if (bytes <= input.limit_bytes) {
      other_form = fmt::format("--weights nf4 needs about {} MiB and fits; or ", mib(bytes));
    }
  }
  throw Error(
      ErrorKind::kTrain,
      fmt::format("training needs about {} MiB of memory, {} MiB are {}", mib(plan.needs.total()),
                  input.limit_bytes >> 20, input.limit_is_asked ? "allowed" : "free"),
      other_form +
          (fits > 0
               ? fmt::format("write training.sequence_len: {} or less, or use a smaller base", fits)
               : fmt::format("no shorter rows would fit: {} MiB are for the base and its adapter; "
                             "use a smaller base",
                             mib(plan.needs.total() - plan.needs.activations))));
}

}  // namespace dlm
