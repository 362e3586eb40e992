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

// One chunk's logits are [128, vocab] f32 a worker: 24 MiB for 49,152 tokens, 74 MiB for 152,064.
// oneDNN packs the head once a chunk, which 128 lines amortise 12% better than 64; but a batch with
// few labels is cut finer, so that all workers have a share.
constexpr int64_t kMaxChunk = 128;
int64_t chunk_of(int64_t num_labels) {
  return num_labels < 8 * kMaxChunk ? kMaxChunk / 2 : kMaxChunk;
}
// The input gradient sums over the vocabulary in pieces, which stay in the cache while they are
// packed.
constexpr int64_t kVocabPiece = 2048;
// When the head trains too, dlogits of this many labelled tokens are held at once: 48 MiB in bf16
// for 49,152 tokens. A larger group reads and writes the head's gradient less often.
constexpr int64_t kGroup = 512;
// Head rows of one task: with 576 columns its gradient tile is 576 KiB, which stays in L2 while all
// document rows of a group are added.
constexpr int64_t kHeadRows = 256;

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
    const int64_t logits = kMaxChunk * vocab_ * static_cast<int64_t>(sizeof(float));
    const int64_t lines = 2 * kMaxChunk * hidden_ * static_cast<int64_t>(sizeof(float));
    const int64_t capped = softcap_ > 0 ? vocab_ * static_cast<int64_t>(sizeof(float)) : 0;
    return static_cast<size_t>(logits + lines + capped) + 256;
  }

  // Without a gradient only the losses; with one, forward leaves the work to backward(), which
  // computes the logits once and uses them for both.
  void forward(Exec& exec) const override {
    const std::vector<int64_t> labelled = labelled_tokens(exec);
    exec.token_losses.assign(labelled.size(), 0.0f);
    if (exec.graph().requires_grad(loss_)) return;
    process_all(exec, labelled);
  }

  void backward(Exec& exec) const override {
    const std::vector<int64_t> labelled = labelled_tokens(exec);
    const bool input_grad = exec.graph().requires_grad(x_);
    if (input_grad) {
      std::memset(static_cast<void*>(exec.grad<T>(x_)), 0,
                  static_cast<size_t>(exec.padded_tokens() * hidden_) * sizeof(T));
    }
    if (!head_->trains) {
      process_all(exec, labelled);
      return;
    }
    backward_with_head(exec, labelled);
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
  void process_all(Exec& exec, const std::vector<int64_t>& labelled) const {
    const auto total = static_cast<int64_t>(labelled.size());
    const int64_t chunk = chunk_of(total);
    exec.run((total + chunk - 1) / chunk, [&](int64_t task, int worker) {
      const int64_t first = task * chunk;
      process_chunk(exec, labelled, first, std::min(chunk, total - first), exec.scratch(worker));
    });
  }

  // Gradients of logits lie over the logits that they come from, in T.
  int64_t dlogits_stride() const {
    return vocab_ * static_cast<int64_t>(sizeof(float) / sizeof(T));
  }

  // Labelled tokens of one document row, or of kGroup of them in a long one: [first, first + count)
  // of the list of labelled tokens, at line `slot` of the group's buffers.
  struct Piece {
    int64_t first;
    int64_t count;
    int64_t slot;
    int64_t padded() const { return (count + kTokenBlock - 1) / kTokenBlock * kTokenBlock; }
  };

  // The pieces of all rows, cut into groups of at most kGroup padded lines. A piece depends on its
  // own row only.
  static std::vector<std::vector<Piece>> groups_of(Exec& exec,
                                                   const std::vector<int64_t>& labelled) {
    std::vector<std::vector<Piece>> groups;
    int64_t used = kGroup;
    const auto total = static_cast<int64_t>(labelled.size());
    int64_t first = 0;
    for (const BatchRow& row : exec.batch().rows) {
      int64_t end = first;
      while (end < total && labelled[static_cast<size_t>(end)] < row.end) ++end;
      for (; first < end; first += groups.back().back().count) {
        Piece piece{first, std::min(kGroup, end - first), 0};
        if (used + piece.padded() > kGroup) {
          groups.emplace_back();
          used = 0;
        }
        piece.slot = used;
        used += piece.padded();
        groups.back().push_back(piece);
      }
    }
    return groups;
  }

  // The head's gradient, dlogits^T lines, is one product per document row, added in the order of
  // rows: its bits do not depend on which rows share a batch.
  void backward_with_head(Exec& exec, const std::vector<int64_t>& labelled) const {
    std::vector<T> dlogits(static_cast<size_t>(kGroup * vocab_));
    std::vector<T> lines(static_cast<size_t>(kGroup * hidden_));
    for (const std::vector<Piece>& group : groups_of(exec, labelled)) {
      // Padding lines are multiplied too.
      std::fill(dlogits.begin(), dlogits.end(), T{});
      std::fill(lines.begin(), lines.end(), T{});
      std::vector<int64_t> slots;  // of each labelled token of the group
      for (const Piece& piece : group) {
        for (int64_t i = 0; i < piece.count; ++i) slots.push_back(piece.slot + i);
      }
      const int64_t first = group.front().first;
      const auto count = static_cast<int64_t>(slots.size());
      exec.run((count + kMaxChunk - 1) / kMaxChunk, [&](int64_t chunk, int worker) {
        const int64_t at = chunk * kMaxChunk;
        const int64_t size = std::min(kMaxChunk, count - at);
        process_chunk(exec, labelled, first + at, size, exec.scratch(worker));
        const T* gradient = reinterpret_cast<const T*>(exec.scratch(worker));
        for (int64_t i = 0; i < size; ++i) {
          const int64_t slot = slots[static_cast<size_t>(at + i)];
          const int64_t token = labelled[static_cast<size_t>(first + at + i)];
          std::copy_n(gradient + i * dlogits_stride(), vocab_, dlogits.data() + slot * vocab_);
          std::copy_n(exec.data<T>(x_) + token * hidden_, hidden_, lines.data() + slot * hidden_);
        }
      });
      exec.run((vocab_ + kHeadRows - 1) / kHeadRows, [&](int64_t task, int) {
        for (const Piece& piece : group) {
          GemmShape shape;
          shape.m = std::min(kHeadRows, vocab_ - task * kHeadRows);
          shape.n = hidden_;
          shape.k = piece.padded();
          shape.lda = vocab_;
          shape.ldb = hidden_;
          shape.ldc = hidden_;
          shape.trans_a = true;
          shape.accumulate = true;
          shape.input = head_->value.dtype();
          gemm(shape, dlogits.data() + piece.slot * vocab_ + task * kHeadRows,
               lines.data() + piece.slot * hidden_,
               head_->grad.mutable_f32() + task * kHeadRows * hidden_);
        }
      });
    }
  }

  // Losses of the labelled tokens [first, first + count), and their input gradient when the graph
  // trains. Leaves the gradient of the logits in `memory`.
  void process_chunk(Exec& exec, const std::vector<int64_t>& labelled, int64_t first, int64_t count,
                     std::byte* memory) const {
    const int64_t padded = (count + kTokenBlock - 1) / kTokenBlock * kTokenBlock;
    float* logits = reinterpret_cast<float*>(memory);
    float* tile = logits + padded * vocab_;
    T* lines = reinterpret_cast<T*>(tile + padded * hidden_);
    // The loss destroys its logits, their capped values are needed once more.
    float* capped = tile + 2 * padded * hidden_;
    T* dlogits = reinterpret_cast<T*>(logits);
    const int64_t ld = dlogits_stride();
    const bool training = exec.graph().requires_grad(loss_);
    std::memset(static_cast<void*>(lines), 0, static_cast<size_t>(padded * hidden_) * sizeof(T));
    for (int64_t i = 0; i < count; ++i) {
      std::memcpy(static_cast<void*>(lines + i * hidden_),
                  exec.data<T>(x_) + labelled[static_cast<size_t>(first + i)] * hidden_,
                  static_cast<size_t>(hidden_) * sizeof(T));
    }
    project_to_vocabulary<T>(lines, padded, *head_, logits);
    for (int64_t i = 0; i < count; ++i) {
      const auto index = static_cast<size_t>(first + i);
      const int64_t label = exec.batch().labels[static_cast<size_t>(labelled[index])];
      check(label >= 0 && label < vocab_, "cross_entropy: a label beyond the vocabulary");
      float* line = logits + i * vocab_;
      T* gradient = training ? dlogits + i * ld : nullptr;
      if (softcap_ > 0) {
        exec.kernels().softcap(line, vocab_, 1.0f, softcap_);
        std::memcpy(capped, line, static_cast<size_t>(vocab_) * sizeof(float));
      }
      exec.token_losses[index] =
          exec.rows<T>().cross_entropy(line, vocab_, label, exec.loss_scale, gradient);
      if (softcap_ > 0 && training) {
        exec.rows<T>().softcap_backward(capped, vocab_, softcap_, gradient);
      }
    }
    if (!training || !exec.graph().requires_grad(x_)) return;
    for (int64_t i = count; i < padded; ++i) {
      std::memset(static_cast<void*>(dlogits + i * ld), 0, static_cast<size_t>(vocab_) * sizeof(T));
    }
    const WeightRows head = head_->rows_as_they_lie().value();
    for (int64_t col = 0; col < vocab_; col += kVocabPiece) {
      GemmShape shape;
      shape.m = padded;
      shape.n = hidden_;
      shape.k = std::min(kVocabPiece, vocab_ - col);
      shape.lda = ld;
      shape.ldb = hidden_;
      shape.ldc = hidden_;
      shape.accumulate = col > 0;
      shape.input = head_->value.dtype();
      shape.b_is_bf16 = head.dtype != shape.input;
      gemm(shape, dlogits + col, head.at(col * hidden_), tile);
    }
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
void project_to_vocabulary(const T* lines, int64_t count, const Parameter& head, float* logits) {
  // 2,048 rows of the head stay in L2 for hidden sizes up to 512, and bound oneDNN's packing
  // buffer.
  constexpr int64_t kCols = 2048;
  const int64_t vocab = head.value.dim(0);
  const int64_t hidden = head.value.dim(1);
  const auto rows = head.rows_as_they_lie();
  check(rows.has_value(), "project_to_vocabulary: the head has to be decoded");
  for (int64_t col = 0; col < vocab; col += kCols) {
    GemmShape shape;
    shape.m = count;
    shape.n = std::min(kCols, vocab - col);
    shape.k = hidden;
    shape.lda = hidden;
    shape.ldb = hidden;
    shape.ldc = vocab;
    shape.trans_b = true;
    shape.input = head.value.dtype();
    shape.b_is_bf16 = rows->dtype != shape.input;
    gemm(shape, lines, rows->at(col * hidden), logits + col);
  }
}

template void project_to_vocabulary<float>(const float*, int64_t, const Parameter&, float*);
template void project_to_vocabulary<BF16>(const BF16*, int64_t, const Parameter&, float*);

void cross_entropy(Graph& graph, ValueId x, Parameter* head, DType dtype, float softcap) {
  check(head->value.dtype() == dtype, "cross_entropy: the head is not in the activation type");
  check(head->rows_as_they_lie().has_value(), "cross_entropy: the head is quantized");
  const ValueId loss = graph.add_value("loss", 1, DType::kF32);
  if (dtype == DType::kBF16) {
    graph.add_op(std::make_unique<CrossEntropyOp<BF16>>(x, head, softcap, loss));
  } else {
    graph.add_op(std::make_unique<CrossEntropyOp<float>>(x, head, softcap, loss));
  }
}

}  // namespace dlm
