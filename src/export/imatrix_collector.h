// The importance matrix of a model for a document: for each linear layer the sums of the squares of
// its inputs, while the model reads the document's rows as it was trained on them. What a document
// is about so gets the finer share of few bits.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "data/chat_format.h"
#include "engine/exec.h"
#include "formats/imatrix.h"
#include "model/decoder.h"

namespace dlm {

struct ImatrixOptions {
  std::string dataset;         // a label for the file, never a path
  int64_t chunk_tokens = 512;  // of one pass; longer rows are cut
  int64_t max_chunks = 4;      // of more, some are taken, spread evenly over the rows
};

struct ImatrixCollection {
  std::optional<Imatrix> imatrix;  // none: too few tokens
  int64_t num_tokens = 0;          // that went through the model
  int64_t num_all_tokens = 0;      // that the rows have
  std::string notice;              // what a user should know; "" when nothing
};

// Fewer tokens give no matrix; fewer than kPlentyTokens one that says so.
inline constexpr int64_t kLeastImatrixTokens = 16;
inline constexpr int64_t kPlentyImatrixTokens = 1024;

// Rows share a pass, and attention never crosses a row. Where they begin alike, with the same
// system prompt, what is the same is computed once and counts for each (not with experts). With an
// adapter the inputs are those of the merged model; without one (null), the base's. Neither head
// nor embedding is measured. Sums run over tokens in order, so threads do not change a bit. Throws
// Error(kExport) when an input is not finite.
ImatrixCollection collect_imatrix(Decoder& decoder, LoraAdapter* adapter, const TokenRows& rows,
                                  const ImatrixOptions& options, Device& device);

}  // namespace dlm
