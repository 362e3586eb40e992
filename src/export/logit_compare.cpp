#include "export/logit_compare.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/cpu/gemm.h"

namespace dlm {

namespace {

// Rows of a head that is held in blocks are decoded so many at a time: with 2,048 columns 16 MiB.
constexpr int64_t kHeadRows = 2048;
constexpr int64_t kMaxChunk = 128;
constexpr int64_t kLogitBytes = int64_t{12} << 20;  // of each model, a worker

struct Buffers {
  std::vector<float> reference, other;  // logits, [chunk, vocab]
  std::vector<float> p;                 // [vocab]
  std::vector<float> lines_f32, head_f32;
  std::vector<BF16> lines_bf16, head_bf16;
};

// Logits of some lines of the batch, f32 [count, vocab], after the cap.
template <class T>
void project(const ComparedModel& model, std::span<const int64_t> tokens, const Kernels& kernels,
             std::vector<T>& lines, std::vector<T>& decoded, float* logits) {
  const int64_t vocab = model.head->value.dim(0);
  const int64_t hidden = model.head->value.dim(1);
  // A product of one line may sum in another order than one of many.
  const auto count = static_cast<int64_t>(tokens.size());
  const T* final = model.exec->data<T>(model.final);
  lines.resize(static_cast<size_t>(kMaxChunk * hidden));
  for (int64_t i = 0; i < count; ++i) {
    std::copy_n(final + tokens[static_cast<size_t>(i)] * hidden, hidden, lines.data() + i * hidden);
  }
  for (int64_t first = 0; first < vocab; first += kHeadRows) {
    const int64_t rows = std::min(kHeadRows, vocab - first);
    const T* head = static_cast<const T*>(model.head->value.data()) + first * hidden;
    if (model.head->quantized != nullptr) {
      decoded.resize(static_cast<size_t>(kHeadRows * hidden));
      model.head->quantized->dequantize(kernels, first, rows, decoded.data());
      head = decoded.data();
    }
    GemmShape shape;
    shape.m = kTokenBlock * ((count + kTokenBlock - 1) / kTokenBlock);
    shape.n = rows;
    shape.k = hidden;
    shape.lda = hidden;
    shape.ldb = hidden;
    shape.ldc = vocab;
    shape.trans_b = true;
    shape.input = model.dtype;
    gemm(shape, lines.data(), head, logits + first);
  }
  if (model.softcap > 0) {
    for (int64_t i = 0; i < count; ++i) {
      kernels.softcap(logits + i * vocab, vocab, 1.0f, static_cast<float>(model.softcap));
    }
  }
}

void project(const ComparedModel& model, std::span<const int64_t> tokens, const Kernels& kernels,
             Buffers& b, float* logits) {
  if (model.dtype == DType::kBF16) {
    project<BF16>(model, tokens, kernels, b.lines_bf16, b.head_bf16, logits);
  } else {
    project<float>(model, tokens, kernels, b.lines_f32, b.head_f32, logits);
  }
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
                                            const ComparedModel& other, const Batch& batch,
                                            Device& device) {
  std::vector<int64_t> labelled;
  for (size_t t = 0; t < batch.labels.size(); ++t) {
    if (batch.labels[t] != Batch::kNoLabel) labelled.push_back(static_cast<int64_t>(t));
  }
  const int64_t vocab = reference.head->value.dim(0);
  const int64_t fitting = kLogitBytes / (vocab * static_cast<int64_t>(sizeof(float)));
  const int64_t chunk = std::clamp(fitting / kTokenBlock * kTokenBlock, kTokenBlock, kMaxChunk);
  std::vector<TokenComparison> results(labelled.size());
  std::vector<Buffers> buffers(static_cast<size_t>(device.pool().num_threads()));
  const auto total = static_cast<int64_t>(labelled.size());
  device.pool().run((total + chunk - 1) / chunk, [&](int64_t task, int worker) {
    Buffers& b = buffers[static_cast<size_t>(worker)];
    const int64_t first = task * chunk;
    const int64_t count = std::min(chunk, total - first);
    b.reference.resize(static_cast<size_t>(chunk * vocab));
    b.other.resize(b.reference.size());
    b.p.resize(static_cast<size_t>(vocab));
    const auto tokens =
        std::span(labelled).subspan(static_cast<size_t>(first), static_cast<size_t>(count));
    project(reference, tokens, device.kernels(), b, b.reference.data());
    project(other, tokens, device.kernels(), b, b.other.data());
    for (int64_t i = 0; i < count; ++i) {
      const int32_t label = batch.labels[static_cast<size_t>(tokens[static_cast<size_t>(i)])];
      results[static_cast<size_t>(first + i)] =
          compare(b.reference.data() + i * vocab, b.other.data() + i * vocab, vocab, label,
                  device.kernels(), b.p.data());
    }
  });
  return results;
}

}  // namespace dlm
