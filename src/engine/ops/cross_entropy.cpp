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

// Labelled tokens that all workers work on together: the head is packed once for so many lines, and
// their logits, f32 [256, vocab], take 48 MiB for 49,152 tokens, 148 MiB for 152,064.
constexpr int64_t kGroup = 256;
// Rows of the head in one product: they stay in L2 for hidden sizes up to 512, and bound oneDNN's
// packing buffer.
constexpr int64_t kVocabPiece = 2048;
// Lines of logits that a task turns into their gradients.
constexpr int64_t kLossLines = 8;
// Tiles of the input gradient: as narrow as lets all workers share, where that changes no bits.
constexpr int64_t kMinTileCols = 128;
constexpr int64_t kMinTileLines = 64;
// When the head trains too, dlogits of this many labelled tokens are held at once: 48 MiB in bf16
// for 49,152 tokens. A larger group reads and writes the head's gradient less often.
constexpr int64_t kHeldLines = 512;
// Head rows of one task: with 576 columns its gradient tile is 576 KiB, which stays in L2 while all
// document rows of a group are added.
constexpr int64_t kHeadRows = 256;

// Logits of rows [first, first + rows) of the head, in their columns of [count, vocab].
template <class T>
void project_to_rows(const T* lines, int64_t count, const Parameter& head, int64_t first,
                     int64_t rows, float* logits) {
  const int64_t vocab = head.value.dim(0);
  const int64_t hidden = head.value.dim(1);
  const auto weights = head.rows_as_they_lie();
  check(weights.has_value(), "project_to_vocabulary: the head has to be decoded");
  GemmShape shape;
  shape.m = count;
  shape.n = rows;
  shape.k = hidden;
  shape.lda = hidden;
  shape.ldb = hidden;
  shape.ldc = vocab;
  shape.trans_b = true;
  shape.input = head.value.dtype();
  shape.b_is_bf16 = weights->dtype != shape.input;
  gemm(shape, lines, weights->at(first * hidden), logits + first);
}

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
    return softcap_ > 0 ? static_cast<size_t>(vocab_) * sizeof(float) : 0;
  }
  size_t shared_bytes(int64_t tokens) const override {
    const auto lines = static_cast<size_t>(std::min(kGroup, padded(tokens)));
    return lines * static_cast<size_t>(vocab_ + 2 * hidden_) * sizeof(float);
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
    for (int64_t first = 0; first < total; first += kGroup) {
      process_group(exec, labelled, first, std::min(kGroup, total - first));
    }
  }

  // Gradients of logits lie over the logits that they come from, in T.
  int64_t dlogits_stride() const {
    return vocab_ * static_cast<int64_t>(sizeof(float) / sizeof(T));
  }

  // Labelled tokens of one document row, or of kHeldLines of them in a long one: [first, first +
  // count) of the list of labelled tokens, at line `slot` of the group's buffers.
  struct Piece {
    int64_t first;
    int64_t count;
    int64_t slot;
    int64_t padded_count() const { return padded(count); }
  };

  // The pieces of all rows, cut into groups of at most kHeldLines padded lines. A piece depends on
  // its own row only.
  static std::vector<std::vector<Piece>> groups_of(Exec& exec,
                                                   const std::vector<int64_t>& labelled) {
    std::vector<std::vector<Piece>> groups;
    int64_t used = kHeldLines;
    const auto total = static_cast<int64_t>(labelled.size());
    int64_t first = 0;
    for (const BatchRow& row : exec.batch().rows) {
      int64_t end = first;
      while (end < total && labelled[static_cast<size_t>(end)] < row.end) ++end;
      for (; first < end; first += groups.back().back().count) {
        Piece piece{first, std::min(kHeldLines, end - first), 0};
        if (used + piece.padded_count() > kHeldLines) {
          groups.emplace_back();
          used = 0;
        }
        piece.slot = used;
        used += piece.padded_count();
        groups.back().push_back(piece);
      }
    }
    return groups;
  }

  // The head's gradient, dlogits^T lines, is one product per document row, added in the order of
  // rows: its bits do not depend on which rows share a batch.
  void backward_with_head(Exec& exec, const std::vector<int64_t>& labelled) const {
    std::vector<T> dlogits(static_cast<size_t>(kHeldLines * vocab_));
    std::vector<T> lines(static_cast<size_t>(kHeldLines * hidden_));
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
      for (int64_t at = 0; at < count; at += kGroup) {
        const int64_t size = std::min(kGroup, count - at);
        process_group(exec, labelled, first + at, size);
        const Group group_of_lines = buffers(exec, size);
        exec.run(size, [&](int64_t i, int) {
          const int64_t slot = slots[static_cast<size_t>(at + i)];
          std::copy_n(group_of_lines.dlogits + i * dlogits_stride(), vocab_,
                      dlogits.data() + slot * vocab_);
          std::copy_n(group_of_lines.lines + i * hidden_, hidden_, lines.data() + slot * hidden_);
        });
      }
      exec.run((vocab_ + kHeadRows - 1) / kHeadRows, [&](int64_t task, int) {
        for (const Piece& piece : group) {
          GemmShape shape;
          shape.m = std::min(kHeadRows, vocab_ - task * kHeadRows);
          shape.n = hidden_;
          shape.k = piece.padded_count();
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

  // Where a group works, in the pass's shared memory.
  struct Group {
    float* logits;  // [padded, vocab]
    T* dlogits;     // over them, with lines dlogits_stride() apart
    T* lines;       // [padded, hidden], the input of the head
    float* sums;    // [padded, hidden], the input's gradient
  };
  Group buffers(Exec& exec, int64_t count) const {
    float* logits = reinterpret_cast<float*>(exec.shared());
    float* lines = logits + padded(count) * vocab_;
    return {logits, reinterpret_cast<T*>(logits), reinterpret_cast<T*>(lines),
            lines + padded(count) * hidden_};
  }

  // Losses of the labelled tokens [first, first + count), and their input gradient when the graph
  // trains. Leaves their lines and the gradient of their logits in buffers(). No line depends on
  // which others are in its group.
  void process_group(Exec& exec, const std::vector<int64_t>& labelled, int64_t first,
                     int64_t count) const {
    const Group group = buffers(exec, count);
    const int64_t* tokens = labelled.data() + first;
    for (int64_t i = 0; i < padded(count); ++i) {
      T* line = group.lines + i * hidden_;
      const auto bytes = static_cast<size_t>(hidden_) * sizeof(T);
      if (i < count) {
        std::memcpy(static_cast<void*>(line), exec.data<T>(x_) + tokens[i] * hidden_, bytes);
      } else {
        std::memset(static_cast<void*>(line), 0, bytes);
      }
    }
    exec.run((vocab_ + kVocabPiece - 1) / kVocabPiece, [&](int64_t piece, int) {
      const int64_t row = piece * kVocabPiece;
      project_to_rows<T>(group.lines, padded(count), *head_, row,
                         std::min(kVocabPiece, vocab_ - row), group.logits);
    });
    exec.run((padded(count) + kLossLines - 1) / kLossLines, [&](int64_t task, int worker) {
      const int64_t line = task * kLossLines;
      const int64_t end = std::min(padded(count), line + kLossLines);
      for (int64_t i = line; i < std::min(count, end); ++i) {
        loss_of_line(exec, group, first + i, tokens[i], i, exec.scratch(worker));
      }
      for (int64_t i = std::max(count, line); i < end; ++i) {
        std::memset(static_cast<void*>(group.dlogits + i * dlogits_stride()), 0,
                    static_cast<size_t>(vocab_) * sizeof(T));
      }
    });
    const bool training = exec.graph().requires_grad(loss_);
    if (training && exec.graph().requires_grad(x_)) input_gradient(exec, group, tokens, count);
  }

  // The loss of the labelled token `index`, whose logits are line i; the gradient replaces them.
  void loss_of_line(Exec& exec, const Group& group, int64_t index, int64_t token, int64_t i,
                    std::byte* memory) const {
    const bool training = exec.graph().requires_grad(loss_);
    const int64_t label = exec.batch().labels[static_cast<size_t>(token)];
    check(label >= 0 && label < vocab_, "cross_entropy: a label beyond the vocabulary");
    float* line = group.logits + i * vocab_;
    T* gradient = training ? group.dlogits + i * dlogits_stride() : nullptr;
    // The loss destroys its logits, their capped values are needed once more.
    float* capped = reinterpret_cast<float*>(memory);
    if (softcap_ > 0) {
      exec.kernels().softcap(line, vocab_, 1.0f, softcap_);
      std::memcpy(capped, line, static_cast<size_t>(vocab_) * sizeof(float));
    }
    exec.token_losses[static_cast<size_t>(index)] =
        exec.rows<T>().cross_entropy(line, vocab_, label, exec.loss_scale, gradient);
    if (softcap_ > 0 && training) {
      exec.rows<T>().softcap_backward(capped, vocab_, softcap_, gradient);
    }
  }

  // dx = dlogits head, in tiles that sum over the whole vocabulary.
  void input_gradient(Exec& exec, const Group& group, const int64_t* tokens, int64_t count) const {
    const int workers = exec.device().pool().num_threads();
    const int64_t cols =
        gemm_is_own(head_->value.dtype())
            ? std::min(hidden_, std::max(kMinTileCols, hidden_ / workers / 32 * 32))
            : hidden_;  // oneDNN is not known to sum alike in fewer columns
    const int64_t tiles_a_line = (hidden_ + cols - 1) / cols;
    const int64_t parts = (workers + tiles_a_line - 1) / tiles_a_line;
    const int64_t lines = std::max(kMinTileLines, padded((count + parts - 1) / parts));
    const int64_t lines_of_tiles = (count + lines - 1) / lines;
    exec.run(tiles_a_line * lines_of_tiles, [&](int64_t task, int) {
      const int64_t line = task / tiles_a_line * lines;
      const int64_t col = task % tiles_a_line * cols;
      input_gradient_tile(exec, group, tokens, line, std::min(lines, count - line), col,
                          std::min(cols, hidden_ - col));
    });
  }
  void input_gradient_tile(Exec& exec, const Group& group, const int64_t* tokens, int64_t line,
                           int64_t count, int64_t col, int64_t cols) const {
    const WeightRows head = head_->rows_as_they_lie().value();
    float* sums = group.sums + line * hidden_ + col;
    for (int64_t row = 0; row < vocab_; row += kVocabPiece) {
      GemmShape shape;
      shape.m = padded(count);
      shape.n = cols;
      shape.k = std::min(kVocabPiece, vocab_ - row);
      shape.lda = dlogits_stride();
      shape.ldb = hidden_;
      shape.ldc = hidden_;
      shape.accumulate = row > 0;
      shape.input = head_->value.dtype();
      shape.b_is_bf16 = head.dtype != shape.input;
      gemm(shape, group.dlogits + line * dlogits_stride() + row, head.at(row * hidden_ + col),
           sums);
    }
    for (int64_t i = 0; i < count; ++i) {
      exec.rows<T>().from_f32(sums + i * hidden_, cols,
                              exec.grad<T>(x_) + tokens[line + i] * hidden_ + col);
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
  const int64_t vocab = head.value.dim(0);
  for (int64_t row = 0; row < vocab; row += kVocabPiece) {
    project_to_rows(lines, count, head, row, std::min(kVocabPiece, vocab - row), logits);
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
