#include "export/imatrix_collector.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <span>

#include "engine/graph.h"
#include "formats/gguf_names.h"
#include "model/sequences.h"
#include "support/error.h"

namespace dlm {

namespace {

// Columns of one task: eight cache lines of double sums.
constexpr int64_t kTaskColumns = 64;

float widened(float x) {
  return x;
}
float widened(BF16 x) {
  return to_f32(x);
}

// The layers that share one input, and what went into them so far.
struct InputSums {
  std::vector<GgufPlace> places;
  std::vector<double> sums;  // [columns]
  int64_t num_tokens = 0;
};

class InputObserver : public OpObserver {
 public:
  // `sequences`, unless null, say how often each token of a pass counts.
  InputObserver(Decoder& decoder, const Sequences* sequences) : sequences_(sequences) {
    for (const auto& [layer, weight] : decoder.linear_layers()) {
      const auto place = gguf_place(decoder.config().model_type, layer + ".weight");
      check(place.has_value(), "importance matrix: a linear layer without a name in GGUF");
      places_[weight] = *place;
    }
  }

  void before_forward(Exec& exec, const Op& op) override {
    if (op.name() != "linear") return;
    const ValueId x = op.reads().front();
    InputSums& input = inputs_[&op];
    if (input.sums.empty()) {
      for (const Parameter* parameter : op.parameters()) {
        if (const auto place = places_.find(parameter); place != places_.end()) {
          input.places.push_back(place->second);
        }
      }
      input.sums.assign(static_cast<size_t>(exec.graph().cols(x)), 0.0);
    }
    if (exec.graph().dtype(x) == DType::kF32) {
      add_squares(exec, exec.data<float>(x), input);
    } else {
      add_squares(exec, exec.data<BF16>(x), input);
    }
  }

  std::map<std::string, ImatrixEntry> entries() const {
    std::map<std::string, ImatrixEntry> all;
    // Experts that no token chose count too: their stacks are whole.
    std::map<std::string, size_t> num_matrices;
    for (const auto& [parameter, place] : places_) {
      size_t& most = num_matrices[place.name];
      most = std::max(most, static_cast<size_t>(std::max<int64_t>(place.expert, 0)) + 1);
    }
    for (const auto& [op, input] : inputs_) {
      for (const GgufPlace& place : input.places) add_entry(place, input, num_matrices, all);
    }
    return all;
  }

 private:
  // Lines behind the last row belong to no token: small passes of experts have some.
  static int64_t num_row_tokens(Exec& exec) {
    return exec.batch().rows.empty() ? 0 : exec.batch().rows.back().end;
  }

  template <class T>
  void add_squares(Exec& exec, const T* x, InputSums& input) const {
    const int64_t columns = static_cast<int64_t>(input.sums.size());
    const int64_t num_tokens = num_row_tokens(exec);
    const std::vector<int64_t> once(sequences_ == nullptr ? static_cast<size_t>(num_tokens) : 0, 1);
    const std::span<const int64_t> times = sequences_ == nullptr ? once : sequences_->num_texts();
    exec.run((columns + kTaskColumns - 1) / kTaskColumns, [&](int64_t task, int) {
      const int64_t first = task * kTaskColumns;
      const int64_t count = std::min(kTaskColumns, columns - first);
      double* to = input.sums.data() + first;
      for (int64_t t = 0; t < num_tokens; ++t) {
        const T* line = x + t * columns + first;
        const auto weight = static_cast<double>(times[static_cast<size_t>(t)]);
        for (int64_t c = 0; c < count; ++c) {
          const double value = static_cast<double>(widened(line[c]));
          to[c] += weight * (value * value);
        }
      }
    });
    for (int64_t t = 0; t < num_tokens; ++t) input.num_tokens += times[static_cast<size_t>(t)];
  }

  static void add_entry(const GgufPlace& place, const InputSums& input,
                        const std::map<std::string, size_t>& num_matrices,
                        std::map<std::string, ImatrixEntry>& all) {
    ImatrixEntry& entry = all[place.name];
    if (entry.sums.empty()) {
      const size_t matrices = num_matrices.at(place.name);
      entry.columns = static_cast<int64_t>(input.sums.size());
      entry.sums.assign(matrices * input.sums.size(), 0.0f);
      entry.counts.assign(matrices, 0);
    }
    const size_t matrix = static_cast<size_t>(std::max<int64_t>(place.expert, 0));
    entry.counts[matrix] = input.num_tokens;
    for (size_t c = 0; c < input.sums.size(); ++c) {
      const float sum = static_cast<float>(input.sums[c]);
      if (!std::isfinite(sum)) {
        throw Error(ErrorKind::kExport,
                    "the model's numbers are not finite where \"" + place.name + "\" reads them",
                    "the adapter or the base is damaged: train again, or export another version");
      }
      entry.sums[matrix * input.sums.size() + c] = sum;
    }
  }

  const Sequences* sequences_;
  std::map<const Parameter*, GgufPlace> places_;
  std::map<const Op*, InputSums> inputs_;  // summed per op; the order of ops never shows
};

// Tokens [begin, begin + size) of a row.
struct RowPart {
  size_t row;
  size_t begin;
  size_t size;
};
// Rows, whole or cut, in passes of up to so many tokens.
using Chunk = std::vector<RowPart>;

std::vector<Chunk> cut_into_chunks(std::span<const RowOutline> rows, int64_t chunk_tokens) {
  std::vector<Chunk> chunks;
  size_t room = 0;
  for (size_t row = 0; row < rows.size(); ++row) {
    size_t size = 0;
    for (size_t begin = 0; begin < rows[row].num_tokens; begin += size) {
      size = std::min(rows[row].num_tokens - begin, static_cast<size_t>(chunk_tokens));
      if (size > room) {
        chunks.emplace_back();
        room = static_cast<size_t>(chunk_tokens);
      }
      chunks.back().push_back({row, begin, size});
      room -= size;
    }
  }
  return chunks;
}

// `most` of them, spread evenly, in order.
std::vector<Chunk> spread(std::vector<Chunk> chunks, size_t most) {
  if (chunks.size() <= most) return chunks;
  std::vector<Chunk> some;
  for (size_t i = 0; i < most; ++i) some.push_back(std::move(chunks[i * chunks.size() / most]));
  return some;
}

int64_t num_tokens_of(const std::vector<Chunk>& chunks) {
  int64_t total = 0;
  for (const Chunk& chunk : chunks) {
    for (const RowPart& part : chunk) total += static_cast<int64_t>(part.size);
  }
  return total;
}

std::vector<int32_t> tokens_of(const RowPart& part, const TokenRows& rows) {
  const std::vector<int32_t> ids = rows[part.row].tokens;
  const auto begin = ids.begin() + static_cast<std::ptrdiff_t>(part.begin);
  return {begin, begin + static_cast<std::ptrdiff_t>(part.size)};
}

std::map<std::string, ImatrixEntry> read_chunks(Decoder& decoder, LoraAdapter* adapter,
                                                const TokenRows& rows,
                                                const std::vector<Chunk>& chunks, Device& device) {
  std::vector<SequenceRoom> rooms;
  for (const Chunk& chunk : chunks) {
    for (const RowPart& part : chunk) rooms.push_back({static_cast<int64_t>(part.size), true});
  }
  // An expert sees the tokens that chose it: no list says in how many texts one of them stands.
  const bool has_experts = decoder.config().family().has_experts;
  Sequences sequences(decoder, adapter, device, rooms,
                      has_experts ? Sharing::kNothing : Sharing::kBeginnings);
  InputObserver observer(decoder, has_experts ? nullptr : &sequences);
  sequences.set_observer(&observer);
  size_t next = 0;
  for (const Chunk& chunk : chunks) {
    for (const RowPart& part : chunk) sequences.append(next++, tokens_of(part, rows));
    sequences.read();
  }
  return observer.entries();
}

std::string notice_of(const ImatrixCollection& result) {
  const std::string tokens = std::to_string(result.num_tokens);
  if (!result.imatrix.has_value()) {
    return "the document has " + std::to_string(result.num_all_tokens) +
           " tokens, too few for an importance matrix: quantized without one";
  }
  if (result.num_tokens < result.num_all_tokens) {
    return "the importance matrix rests on " + tokens + " of the document's " +
           std::to_string(result.num_all_tokens) + " tokens, spread evenly";
  }
  if (result.num_tokens < kPlentyImatrixTokens) {
    return "the importance matrix rests on " + tokens + " tokens only";
  }
  return "";
}

}  // namespace

ImatrixCollection collect_imatrix(Decoder& decoder, LoraAdapter* adapter, const TokenRows& rows,
                                  const ImatrixOptions& options, Device& device) {
  check(options.chunk_tokens > 0 && options.max_chunks > 0, "importance matrix: no chunks asked");
  const int64_t chunk_tokens =
      std::min<int64_t>(options.chunk_tokens, decoder.config().max_positions);
  std::vector<Chunk> chunks = cut_into_chunks(rows.outlines(), chunk_tokens);
  ImatrixCollection result;
  result.num_all_tokens = num_tokens_of(chunks);
  if (result.num_all_tokens < kLeastImatrixTokens) {
    result.notice = notice_of(result);
    return result;
  }
  chunks = spread(std::move(chunks), static_cast<size_t>(options.max_chunks));
  result.num_tokens = num_tokens_of(chunks);

  Imatrix& imatrix = result.imatrix.emplace();
  imatrix.dataset = options.dataset;
  imatrix.chunk_size = options.chunk_tokens;
  imatrix.chunk_count = static_cast<int64_t>(chunks.size());
  imatrix.entries = read_chunks(decoder, adapter, rows, chunks, device);
  result.notice = notice_of(result);
  return result;
}

}  // namespace dlm
