// How well a base predicts text: bits per byte, which compares bases whatever their tokenizers.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/decoder.h"
#include "text/tokenizer.h"

namespace dlm {

struct TextMeasure {
  double nats = 0;     // summed over all tokens of the texts
  int64_t tokens = 0;  // that were predicted
  uint64_t bytes = 0;  // of the texts, UTF-8
  double bits_per_byte() const;
  double nats_per_token() const { return tokens > 0 ? nats / static_cast<double>(tokens) : 0; }
};

// Each text is cut into windows of `context` tokens (at least 2, at most the base's own), which do
// not overlap: the first token of a window is predicted from the one before the window alone, that
// of a text from the token that begins texts (BOS, else the end of a text). Special tokens written
// in a text are read as plain text. The log-probabilities are those of the decoder's dtype.
TextMeasure measure_text(Decoder& decoder, const Tokenizer& tokenizer,
                         const std::vector<std::string>& texts, int64_t context, Device& device);

}  // namespace dlm
