// The output projection and the loss in one, over chunks of labelled tokens; and plain logits for
// generation and tests.

#include <algorithm>
#include <cstring>

#include "engine/cpu/gemm.h"
#include "engine/exec.h"
#include "engine/head.h"
#include "engine/ops.h"
#include "support/error.h"

namespace dlm {

namespace {

// One chunk's logits are [64, vocab] f32 a worker: 12 MiB for 49,152 tokens, 37 MiB for 152,064.
constexpr int64_t kChunk = 64;
// When the head trains too, its gradient is one product over this many labelled tokens.
constexpr int64_t kGroup = 1024;

template <class T>
class CrossEntropyOp : public Op {
 public:
  CrossEntropyOp(ValueId x, Parameter* head, float softcap, ValueId loss)
      : x_(x),
        head_(head),
        softcap_(softcap),
        loss_(loss),
        vocab_(head->value.dim(0)),
        hidden_(head->value.dim(1)) {}

  std::string name() const override { return "cross_entropy"; }
  std::vector<ValueId> reads() const override { return {x_}; }
  std::vector<ValueId> writes() const override { return {loss_}; }
  std::vector<ValueId> saves() const override { return {x_}; }
  std::vector<Parameter*> parameters() const override { return {head_}; }
  size_t scratch_bytes(int64_t) const override {
    const int64_t logits = kChunk * vocab_ * static_cast<int64_t>(sizeof(float));
    const int64_t gradient = kChunk * vocab_ * static_cast<int64_t>(sizeof(T));
    const int64_t lines = 2 * kChunk * hidden_ * static_cast<int64_t>(sizeof(float));
    const int64_t capped = softcap_ > 0 ? vocab_ * static_cast<int64_t>(sizeof(float)) : 0;
    return static_cast<size_t>(logits + gradient + lines + capped) + 256;
  }

  // Without a gradient only the losses; with one, forward leaves the work to backward(), which
  // computes the logits once and uses them for both.
  void forward(Exec& exec) const override {
    const std::vector<int64_t> labelled = labelled_tokens(exec);
    exec.token_losses.assign(labelled.size(), 0.0f);
    if (exec.graph().requires_grad(loss_)) return;
    exec.run(num_chunks(labelled), [&](int64_t chunk, int worker) {
      process_chunk(exec, labelled, chunk, exec.scratch(worker), nullptr);
    });
  }

  void backward(Exec& exec) const override {
    const std::vector<int64_t> labelled = labelled_tokens(exec);
    const bool input_grad = exec.graph().requires_grad(x_);
    if (input_grad) {
      std::memset(static_cast<void*>(exec.grad<T>(x_)), 0,
                  static_cast<size_t>(exec.padded_tokens() * hidden_) * sizeof(T));
    }
    if (!head_->trains) {
      exec.run(num_chunks(labelled), [&](int64_t chunk, int worker) {
        process_chunk(exec, labelled, chunk, exec.scratch(worker), nullptr);
      });
      return;
    }
    // The head's gradient sums over tokens, so chunks leave their dlogits in a shared buffer.
    std::vector<T> dlogits(static_cast<size_t>(kGroup * vocab_));
    std::vector<T> lines(static_cast<size_t>(kGroup * hidden_));
    const auto total = static_cast<int64_t>(labelled.size());
    for (int64_t first = 0; first < total; first += kGroup) {
      const int64_t count = std::min(kGroup, total - first);
      const int64_t padded = (count + kTokenBlock - 1) / kTokenBlock * kTokenBlock;
      std::memset(static_cast<void*>(dlogits.data() + count * vocab_), 0,
                  static_cast<size_t>((padded - count) * vocab_) * sizeof(T));
      std::memset(static_cast<void*>(lines.data() + count * hidden_), 0,
                  static_cast<size_t>((padded - count) * hidden_) * sizeof(T));
      exec.run((count + kChunk - 1) / kChunk, [&](int64_t chunk, int worker) {
        const int64_t at = chunk * kChunk;
        process_chunk(exec, labelled, first / kChunk + chunk, exec.scratch(worker),
                      dlogits.data() + at * vocab_);
        for (int64_t i = at; i < std::min(at + kChunk, count); ++i) {
          std::memcpy(static_cast<void*>(lines.data() + i * hidden_),
                      exec.data<T>(x_) + labelled[static_cast<size_t>(first + i)] * hidden_,
                      static_cast<size_t>(hidden_) * sizeof(T));
        }
      });
      constexpr int64_t kRows = 256;
      exec.run((vocab_ + kRows - 1) / kRows, [&](int64_t task, int) {
        GemmShape shape;
        shape.m = std::min(kRows, vocab_ - task * kRows);
        shape.n = hidden_;
        shape.k = padded;
        shape.lda = vocab_;
        shape.ldb = hidden_;
        shape.ldc = hidden_;
        shape.trans_a = true;
        shape.accumulate = true;
        shape.input = head_->value.dtype();
        gemm(shape, dlogits.data() + task * kRows, lines.data(),
             head_->grad.mutable_f32() + task * kRows * hidden_);
      });
    }
  }

 private:
  static std::vector<int64_t> labelled_tokens(Exec& exec) {
    std::vector<int64_t> tokens;
    const auto& labels = exec.batch().labels;
    for (size_t t = 0; t < labels.size(); ++t) {
      if (labels[t] != Batch::kNoLabel) tokens.push_back(static_cast<int64_t>(t));
    }
    return tokens;
  }
  static int64_t num_chunks(const std::vector<int64_t>& labelled) {
    return (static_cast<int64_t>(labelled.size()) + kChunk - 1) / kChunk;
  }

  // Losses of one chunk, and its input gradient when the graph trains. dlogits go to `dlogits` when
  // it is given, else to scratch.
  void process_chunk(Exec& exec, const std::vector<int64_t>& labelled, int64_t chunk,
                     std::byte* memory, T* dlogits) const {
    const int64_t first = chunk * kChunk;
    const int64_t count = std::min(kChunk, static_cast<int64_t>(labelled.size()) - first);
    float* logits = reinterpret_cast<float*>(memory);
    float* tile = logits + kChunk * vocab_;
    T* lines = reinterpret_cast<T*>(tile + kChunk * hidden_);
    T* own_dlogits = lines + kChunk * hidden_;
    // The loss destroys its logits, their capped values are needed once more.
    float* capped = tile + 2 * kChunk * hidden_;
    if (softcap_ > 0) own_dlogits = reinterpret_cast<T*>(capped + vocab_);
    const bool training = exec.graph().requires_grad(loss_);
    if (dlogits == nullptr) dlogits = own_dlogits;
    std::memset(static_cast<void*>(lines), 0, static_cast<size_t>(kChunk * hidden_) * sizeof(T));
    for (int64_t i = 0; i < count; ++i) {
      std::memcpy(static_cast<void*>(lines + i * hidden_),
                  exec.data<T>(x_) + labelled[static_cast<size_t>(first + i)] * hidden_,
                  static_cast<size_t>(hidden_) * sizeof(T));
    }
    project_to_vocabulary<T>(lines, kChunk, head_->value, logits);
    for (int64_t i = 0; i < count; ++i) {
      const auto index = static_cast<size_t>(first + i);
      const int64_t label = exec.batch().labels[static_cast<size_t>(labelled[index])];
      check(label >= 0 && label < vocab_, "cross_entropy: a label beyond the vocabulary");
      float* line = logits + i * vocab_;
      if (softcap_ > 0) {
        exec.kernels().softcap(line, vocab_, 1.0f, softcap_);
        std::memcpy(capped, line, static_cast<size_t>(vocab_) * sizeof(float));
      }
      exec.token_losses[index] = exec.rows<T>().cross_entropy(
          line, vocab_, label, exec.loss_scale, training ? dlogits + i * vocab_ : nullptr);
      if (softcap_ > 0 && training) {
        exec.rows<T>().softcap_backward(capped, vocab_, softcap_, dlogits + i * vocab_);
      }
    }
    if (!training || !exec.graph().requires_grad(x_)) return;
    if (dlogits == own_dlogits && count < kChunk) {
      std::memset(static_cast<void*>(dlogits + count * vocab_), 0,
                  static_cast<size_t>((kChunk - count) * vocab_) * sizeof(T));
    }
    GemmShape shape;
    shape.m = dlogits == own_dlogits ? kChunk : count;
    shape.n = hidden_;
    shape.k = vocab_;
    shape.lda = vocab_;
    shape.ldb = hidden_;
    shape.ldc = hidden_;
    shape.input = head_->value.dtype();
    gemm(shape, dlogits, head_->value.data(), tile);
    for (int64_t i = 0; i < count; ++i) {
      exec.rows<T>().from_f32(
          tile + i * hidden_, hidden_,
          exec.grad<T>(x_) + labelled[static_cast<size_t>(first + i)] * hidden_);
    }
  }

  ValueId x_;
  Parameter* head_;
  float softcap_;
  ValueId loss_;
  int64_t vocab_;
  int64_t hidden_;
};

}  // namespace

template <class T>
void project_to_vocabulary(const T* lines, int64_t count, const Tensor& head, float* logits) {
  // 2,048 rows of the head stay in L2 for hidden sizes up to 512, and bound oneDNN's packing
  // buffer.
  constexpr int64_t kCols = 2048;
  const int64_t vocab = head.dim(0);
  const int64_t hidden = head.dim(1);
  for (int64_t col = 0; col < vocab; col += kCols) {
    GemmShape shape;
    shape.m = count;
    shape.n = std::min(kCols, vocab - col);
    shape.k = hidden;
    shape.lda = hidden;
    shape.ldb = hidden;
    shape.ldc = vocab;
    shape.trans_b = true;
    shape.input = head.dtype();
    gemm(shape, lines, static_cast<const T*>(head.data()) + col * hidden, logits + col);
  }
}

template void project_to_vocabulary<float>(const float*, int64_t, const Tensor&, float*);
template void project_to_vocabulary<BF16>(const BF16*, int64_t, const Tensor&, float*);

void cross_entropy(Graph& graph, ValueId x, Parameter* head, DType dtype, float softcap) {
  check(head->value.dtype() == dtype, "cross_entropy: the head is not in the activation type");
  const ValueId loss = graph.add_value("loss", 1, DType::kF32);
  if (dtype == DType::kBF16) {
    graph.add_op(std::make_unique<CrossEntropyOp<BF16>>(x, head, softcap, loss));
  } else {
    graph.add_op(std::make_unique<CrossEntropyOp<float>>(x, head, softcap, loss));
  }
}

}  // namespace dlm
