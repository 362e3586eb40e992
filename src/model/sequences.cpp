#include "model/sequences.h"

#include <algorithm>
#include <numeric>

#include "engine/few_tokens.h"
#include "support/error.h"

namespace dlm {

namespace {

int64_t tokens_of(std::span<const SequenceRoom> rooms, bool is_passing) {
  int64_t tokens = 0;
  for (const SequenceRoom& room : rooms) {
    tokens += room.is_passing == is_passing ? room.capacity : 0;
  }
  return tokens;
}

int64_t longest_of(std::span<const SequenceRoom> rooms) {
  int64_t longest = 0;
  for (const SequenceRoom& room : rooms) longest = std::max(longest, room.capacity);
  return longest;
}

}  // namespace

Sequences::Sequences(Decoder& decoder, LoraAdapter* adapter, Device& device,
                     std::span<const SequenceRoom> rooms, Sharing sharing)
    : decoder_(decoder),
      head_(head_of(decoder, adapter)),
      device_(device),
      sharing_(sharing),
      cache_(make_kv_cache(decoder, tokens_of(rooms, false), tokens_of(rooms, true))),
      graph_(build_generation_graph(decoder, adapter, cache_, longest_of(rooms))),
      exec_(graph_->graph, device) {
  int64_t kept = 0, passing = 0;
  for (const SequenceRoom& room : rooms) {
    int64_t& next = room.is_passing ? passing : kept;
    Sequence sequence;
    sequence.place = {next, room.is_passing};
    sequence.capacity = room.capacity;
    next += room.capacity;
    sequences_.push_back(std::move(sequence));
  }
}

void Sequences::append(size_t sequence, std::span<const int32_t> tokens, int64_t num_outputs) {
  Sequence& s = sequences_[sequence];
  const auto count = static_cast<int64_t>(tokens.size());
  check(count > 0, "generation needs at least one token");
  check(num_outputs > 0 && num_outputs <= count, "outputs are asked of tokens that are read");
  check(!s.place.is_passing || s.num_read == 0, "a passing sequence is not carried on");
  if (length(sequence) + count > s.capacity) {
    throw Error(ErrorKind::kInference,
                "the text has " + std::to_string(length(sequence) + count) +
                    " tokens, more than the " + std::to_string(s.capacity) +
                    " that there is room for",
                "shorten the prompt, or lower --max-tokens");
  }
  s.text.insert(s.text.end(), tokens.begin(), tokens.end());
  s.num_outputs = num_outputs;
}

void Sequences::cut(size_t sequence, int64_t length) {
  Sequence& s = sequences_[sequence];
  check(length >= 0 && length <= this->length(sequence), "a text is cut within its length");
  s.text.resize(static_cast<size_t>(length));
  s.num_read = std::min(s.num_read, length);
}

void Sequences::read() {
  batch_.tokens.clear();
  batch_.positions.clear();
  batch_.rows.clear();
  num_texts_.clear();
  for (size_t i = 0; i < sequences_.size(); ++i) add_row(i);
  exec_.forward(batch_);
  for (Sequence& s : sequences_) s.num_read = static_cast<int64_t>(s.text.size());
}

void Sequences::add_row(size_t index) {
  Sequence& s = sequences_[index];
  s.line.reset();
  const int64_t length = this->length(index);
  if (s.num_read == length) return;
  // Where the rotation depends on the length (longrope, dynamic), crossing its limit makes the
  // cached keys worthless: the whole text is read again.
  const int64_t variant = config().rope_variant(length);
  if (variant != s.variant) s.num_read = 0;
  s.variant = variant;
  BatchRow row;
  row.cache = s.place;
  s.first = s.num_read;
  s.prefix.reset();
  if (s.first == 0 && sharing_ == Sharing::kBeginnings) s.prefix = find_prefix(index, s.first);
  if (s.prefix) row.prefix = sequences_[*s.prefix].place;
  row.begin = batch_.num_tokens();
  s.line = row.begin;
  batch_.tokens.insert(batch_.tokens.end(), s.text.begin() + s.first, s.text.end());
  row.end = batch_.num_tokens();
  batch_.positions.resize(batch_.tokens.size());
  std::iota(batch_.positions.begin() + row.begin, batch_.positions.end(),
            static_cast<int32_t>(s.first));
  batch_.rows.push_back(row);
  num_texts_.resize(batch_.tokens.size(), 1);
  if (s.prefix) count_text(*s.prefix, s.first);
}

// One text more has the first `length` tokens of a sequence.
void Sequences::count_text(size_t index, int64_t length) {
  const Sequence& s = sequences_[index];
  if (!s.line) return;
  const auto begin = num_texts_.begin() + *s.line;
  for (int64_t i = 0; i < length - s.first; ++i) ++begin[i];
  if (s.prefix) count_text(*s.prefix, std::min(length, s.first));
}

// The sequence that begins alike for longest, and for how long: one whose keys are
// there already, or will be when its row of this pass is written.
std::optional<size_t> Sequences::find_prefix(size_t index, int64_t& length) const {
  const Sequence& s = sequences_[index];
  const int64_t most = this->length(index) - s.num_outputs;
  std::optional<size_t> longest;
  length = 0;
  for (size_t i = 0; i < sequences_.size() && length < most; ++i) {
    const Sequence& other = sequences_[i];
    const bool is_in_pass = i < index && other.line.has_value();
    const bool is_kept = !other.place.is_passing && other.num_read == this->length(i);
    if (i == index || !(is_in_pass || is_kept) || other.variant != s.variant) continue;
    const auto end =
        std::mismatch(s.text.begin(), s.text.begin() + most, other.text.begin(), other.text.end());
    const int64_t common = end.first - s.text.begin();
    if (common <= length) continue;
    length = common;
    longest = i;
  }
  return longest;
}

int64_t Sequences::line_of(size_t sequence, int64_t position) const {
  const Sequence& s = sequences_[sequence];
  check(s.line.has_value() && position >= s.first, "an output of a token that was not read");
  return *s.line + position - s.first;
}

const void* Sequences::output(size_t sequence, int64_t position) {
  const auto bytes = static_cast<size_t>(config().hidden_size) * dtype_size(dtype());
  return static_cast<const std::byte*>(exec_.raw_data(graph_->final)) +
         static_cast<size_t>(line_of(sequence, position)) * bytes;
}

void Sequences::logits(size_t sequence, int64_t position, int64_t count, float* to) {
  const int64_t vocab = config().vocab_size;
  const int64_t line = line_of(sequence, position);
  for (int64_t i = 0; i < count; i += kFewTokens) {
    const int64_t some = std::min(kFewTokens, count - i);
    if (dtype() == DType::kBF16) {
      project<BF16>(line + i, some, to + i * vocab);
    } else {
      project<float>(line + i, some, to + i * vocab);
    }
  }
  if (const double cap = config().final_softcap; cap > 0) {
    device_.kernels().softcap(to, count * vocab, 1.0f, static_cast<float>(cap));
  }
  if (!device_.kernels().all_finite(to, count * vocab)) {
    throw Error(ErrorKind::kInference, "the model answers with numbers that are not finite",
                "the weights of the base or the adapter are damaged: copy the base again, or train "
                "again");
  }
}

template <class T>
void Sequences::project(int64_t line, int64_t count, float* to) {
  constexpr int64_t kRows = 256;
  const int64_t vocab = head_.value.dim(0);
  const int64_t hidden = head_.value.dim(1);
  const FewTokens<T> lines(device_.kernels(), exec_.data<T>(graph_->final) + line * hidden, count,
                           hidden);
  device_.pool().run((vocab + kRows - 1) / kRows, [&](int64_t task, int) {
    const int64_t row = task * kRows;
    lines.multiply(device_.kernels(), head_, row, std::min(kRows, vocab - row), to + row, vocab);
  });
}

}  // namespace dlm
