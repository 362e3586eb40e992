// Texts that a decoder reads and carries on side by side: one pass serves all of them, so that its
// weights are read once, and a beginning that several have in common is computed once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "model/decoder.h"

namespace dlm {

struct SequenceRoom {
  int64_t capacity = 0;  // tokens
  // It is read in one pass and not carried on: no layer keeps its keys and values.
  bool is_passing = false;
};

enum class Sharing { kBeginnings, kNothing };

class Sequences {
 public:
  // `adapter` may be null. Decoder, adapter and device must outlive the sequences.
  Sequences(Decoder& decoder, LoraAdapter* adapter, Device& device,
            std::span<const SequenceRoom> rooms, Sharing sharing = Sharing::kBeginnings);
  // Whoever looks at what flows through the passes finds in num_texts(), for each token of the one
  // that runs, in how many of the texts that it reads it stands. May be null.
  void set_observer(OpObserver* observer) { exec_.observer = observer; }
  std::span<const int64_t> num_texts() const { return num_texts_; }
  Sequences(const Sequences&) = delete;
  Sequences& operator=(const Sequences&) = delete;

  const ModelConfig& config() const { return decoder_.config(); }
  DType dtype() const { return decoder_.dtype(); }
  const Parameter& head() const { return head_; }
  size_t size() const { return sequences_.size(); }
  // Tokens of a text, those that were not read yet included.
  int64_t length(size_t sequence) const {
    return static_cast<int64_t>(sequences_[sequence].text.size());
  }
  int64_t capacity(size_t sequence) const { return sequences_[sequence].capacity; }

  // Adds one or more tokens for the next pass; outputs of the last `num_outputs` of them will be
  // asked for. Throws Error(kInference) when there is no room.
  void append(size_t sequence, std::span<const int32_t> tokens, int64_t num_outputs = 1);
  // Forgets all but the first `length` tokens.
  void cut(size_t sequence, int64_t length);
  // Reads what was appended, in one pass.
  void read();

  // Of tokens that the last pass read, from `position` of the text: what the head is multiplied
  // with, T [hidden] in the decoder's type, and logits after the cap, f32 [count, vocab]. Throws
  // Error(kInference) when a logit is not finite.
  const void* output(size_t sequence, int64_t position);
  void logits(size_t sequence, int64_t position, int64_t count, float* to);

 private:
  struct Sequence {
    KvPlace place;
    int64_t capacity = 0;
    std::vector<int32_t> text;
    int64_t num_read = 0;  // tokens whose keys are there
    int64_t num_outputs = 1;
    int64_t variant = 0;  // the rotation of its keys
    // In the last pass: its first position, and the line of that.
    int64_t first = 0;
    std::optional<int64_t> line;
    std::optional<size_t> prefix;  // which other one it shares the positions before with
  };
  void add_row(size_t index);
  std::optional<size_t> find_prefix(size_t index, int64_t& length) const;
  void count_text(size_t index, int64_t length);
  int64_t line_of(size_t sequence, int64_t position) const;
  template <class T>
  void project(int64_t line, int64_t count, float* to);

  Decoder& decoder_;
  Parameter& head_;
  Device& device_;
  const Sharing sharing_;
  std::vector<Sequence> sequences_;
  KvCache cache_;
  std::unique_ptr<DecoderGraph> graph_;
  Exec exec_;
  Batch batch_;
  std::vector<int64_t> num_texts_;
};

}  // namespace dlm
