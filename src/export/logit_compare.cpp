#include "export/logit_compare.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "engine/cpu/gemm.h"

namespace dlm {

namespace {

// So many rows of a head are one task; those that are held in blocks are decoded first: with 2,048
// columns 8 MiB.
constexpr int64_t kHeadRows = 1024;
constexpr int64_t kMaxChunk = 128;
constexpr int64_t kLogitBytes = int64_t{24} << 20;  // of each model

struct WorkerMemory {
  std::vector<float> head_f32;
  std::vector<BF16> head_bf16;
  std::vector<float> p;  // [vocab]
};

// Logits of lines T [padded count, hidden] at rows [first, first + rows) of the head, into columns
// of f32 [padded count, vocab].
template <class T>
void project(const ComparedModel& model, const T* lines, int64_t count, int64_t first, int64_t rows,
             const Kernels& kernels, std::vector<T>& decoded, float* logits) {
  const int64_t hidden = model.head->value.dim(1);
  const T* head = static_cast<const T*>(model.head->value.data()) + first * hidden;
  if (model.head->quantized != nullptr) {
    decoded.resize(static_cast<size_t>(kHeadRows * hidden));
    model.head->quantized->dequantize(kernels, first, rows, decoded.data());
    head = decoded.data();
  }
  GemmShape shape;
  shape.m = count;
  shape.n = rows;
  shape.k = hidden;
  shape.lda = hidden;
  shape.ldb = hidden;
  shape.ldc = model.head->value.dim(0);
  shape.trans_b = true;
  shape.input = model.lines.dtype();
  gemm(shape, lines, head, logits + first);
}

void project(const ComparedModel& model, const Tensor& lines, int64_t first, int64_t rows,
             const Kernels& kernels, WorkerMemory& memory, float* logits) {
  const int64_t count = lines.dim(0);
  if (lines.dtype() == DType::kBF16) {
    project(model, lines.bf16(), count, first, rows, kernels, memory.head_bf16, logits);
  } else {
    project(model, lines.f32(), count, first, rows, kernels, memory.head_f32, logits);
  }
}

// Lines [first, first + count), then zeros to a whole block: a product of one line may sum in
// another order than one of many.
Tensor padded_lines(const Tensor& lines, int64_t first, int64_t count) {
  const int64_t padded = (count + kTokenBlock - 1) / kTokenBlock * kTokenBlock;
  Tensor out = Tensor::zeros({padded, lines.dim(1)}, lines.dtype());
  const size_t bytes = static_cast<size_t>(lines.dim(1)) * dtype_size(lines.dtype());
  std::memcpy(out.mutable_data(),
              static_cast<const std::byte*>(lines.data()) + static_cast<size_t>(first) * bytes,
              static_cast<size_t>(count) * bytes);
  return out;
}

TokenComparison compare(const float* reference, const float* other, int64_t vocab, int32_t label,
                        const Kernels& kernels, float* p) {
  const auto softmax = [&](const float* logits) {
    std::copy_n(logits, vocab, p);
    return static_cast<double>(kernels.f32.softmax(p, vocab, vocab, 1.0f, p));
  };
  const double other_lse = softmax(other);
  const double lse = softmax(reference);  // p is the reference's
  double sum = 0;
  for (int64_t v = 0; v < vocab; ++v) {
    sum += static_cast<double>(p[v]) *
           (static_cast<double>(reference[v]) - static_cast<double>(other[v]));
  }
  TokenComparison out;
  const double kl = sum + other_lse - lse;
  // Rounding may leave it a little below 0; where a logit is no number nothing agrees.
  out.kl = std::isfinite(kl) ? std::max(0.0, kl) : std::numeric_limits<double>::infinity();
  out.reference_nll = lse - static_cast<double>(reference[label]);
  out.other_nll = other_lse - static_cast<double>(other[label]);
  out.same_top = std::max_element(reference, reference + vocab) - reference ==
                 std::max_element(other, other + vocab) - other;
  return out;
}

}  // namespace

std::vector<TokenComparison> compare_logits(const ComparedModel& reference,
                                            const ComparedModel& other,
                                            std::span<const int32_t> labels, Device& device) {
  const int64_t vocab = reference.head->value.dim(0);
  const int64_t fitting = kLogitBytes / (vocab * static_cast<int64_t>(sizeof(float)));
  const auto total = static_cast<int64_t>(labels.size());
  const int64_t whole = (total + kTokenBlock - 1) / kTokenBlock * kTokenBlock;
  const int64_t chunk = std::clamp(fitting / kTokenBlock * kTokenBlock, kTokenBlock,
                                   std::min(kMaxChunk, std::max(whole, kTokenBlock)));
  const int64_t num_pieces = (vocab + kHeadRows - 1) / kHeadRows;
  const ComparedModel* models[] = {&reference, &other};
  std::vector<float> logits[] = {std::vector<float>(static_cast<size_t>(chunk * vocab)),
                                 std::vector<float>(static_cast<size_t>(chunk * vocab))};
  std::vector<WorkerMemory> memory(static_cast<size_t>(device.pool().num_threads()));
  std::vector<TokenComparison> results(labels.size());
  for (int64_t first = 0; first < total; first += chunk) {
    const int64_t count = std::min(chunk, total - first);
    const Tensor lines[] = {padded_lines(reference.lines, first, count),
                            padded_lines(other.lines, first, count)};
    device.pool().run(2 * num_pieces, [&](int64_t task, int worker) {
      const auto side = static_cast<size_t>(task % 2);
      const int64_t row = task / 2 * kHeadRows;
      project(*models[side], lines[side], row, std::min(kHeadRows, vocab - row), device.kernels(),
              memory[static_cast<size_t>(worker)], logits[side].data());
    });
    device.pool().run(count, [&](int64_t line, int worker) {
      for (size_t side = 0; side < 2; ++side) {
        if (const auto cap = static_cast<float>(models[side]->softcap); cap > 0) {
          device.kernels().softcap(logits[side].data() + line * vocab, vocab, 1.0f, cap);
        }
      }
      std::vector<float>& p = memory[static_cast<size_t>(worker)].p;
      p.resize(static_cast<size_t>(vocab));
      results[static_cast<size_t>(first + line)] =
          compare(logits[0].data() + line * vocab, logits[1].data() + line * vocab, vocab,
                  labels[static_cast<size_t>(first + line)], device.kernels(), p.data());
    });
  }
  return results;
}

}  // namespace dlm
