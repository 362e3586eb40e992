// The rows of a document as people and programs read them: where each came from, on which side of
// the split it is, and which of its tokens carry loss.
#pragma once

#include <functional>
#include <string>

#include "train/prepare.h"

namespace dlm {

struct RowListing {
  const Prepared& prepared;
  int64_t seed = 0;
  std::vector<int64_t> copies;  // of each token row
  std::vector<bool> held_out;   // of each token row
};

RowListing list_rows(const Prepared& prepared);

// What carries loss stands between ⟦ and ⟧, or in green where there is colour. Calls `write` row by
// row.
void write_rows(const RowListing& listing, bool has_colour,
                const std::function<void(const std::string&)>& write);

// An array with one object a row: line, kind, origin, section_id, side, copies, num_tokens, num_loss_tokens, ids,
// loss_spans (over ids, ends excluded), pieces of text with their loss. `ids` ends with the token
// behind the row where that carries loss. Calls `write` row by row, so that memory stays small.
void write_rows_json(const RowListing& listing,
                     const std::function<void(const std::string&)>& write);

}  // namespace dlm
