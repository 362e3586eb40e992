// What it is worth that batches have no padding: a training step over short rows as they are,
// beside the same rows padded to the longest of each eight, as trainers with rectangular batches
// do.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/exec.h"
#include "model/decoder.h"
#include "train/spread.h"

namespace dlm {

struct ShortRowsResult {
  double mean_row_tokens = 0;
  int64_t longest_row_tokens = 0;
  // Tokens of rows, pads not counted, in a second.
  Spread tokens_per_s;
  Spread padded_tokens_per_s;
  double gain() const { return tokens_per_s.median / padded_tokens_per_s.median; }
};

// Row lengths with an exponential distribution of mean 64, cut to [8, most]; the same everywhere.
std::vector<int64_t> short_row_lengths(size_t count, int64_t most);

// A pad costs what a token costs: layers, attention and logits. Both kinds of step take turns.
ShortRowsResult measure_short_rows(Decoder& decoder, LoraAdapter& adapter, Device& device,
                                   int64_t runs);

}  // namespace dlm
